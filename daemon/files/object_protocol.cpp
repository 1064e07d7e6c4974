#include "daemon/files/object_protocol.hpp"

#include <time.h>

#include "base/base64.hpp"
#include "base/clock.hpp"
#include "base/crypto/md5.hpp"
#include "base/text.hpp"
#include "daemon/files/limits.hpp"
#include "daemon/http_client/backoff.hpp"

namespace export_worker::files {

void add_content_md5(ObjectRequest& request, std::string_view bytes) {
    const auto digest = crypto::md5(bytes);
    if (!digest) return;
    request.headers.emplace_back(
        "Content-MD5", to_base64({reinterpret_cast<const char*>(digest->data()), digest->size()}));
}

std::int64_t parse_time(const std::string& text) {
    std::string iso = text.substr(0, text.find('.'));
    if (!iso.ends_with('Z')) iso += 'Z';
    if (const auto unix_s = parse_iso8601_seconds(iso)) return *unix_s;
    struct tm parts {};
    const char* end = ::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    return end != nullptr && *end == '\0' ? ::timegm(&parts) : 0;
}

Result<std::optional<std::uint64_t>> size_of(ObjectRequests& requests, std::string_view key) {
    ObjectRequest head;
    head.method = "HEAD";
    head.key = key;
    EW_TRY(const http::HttpAnswer answer, requests.send(head));
    if (answer.status == 404) return std::optional<std::uint64_t>();
    if (answer.status != 200) return fail(error_of(answer, "look for the object"));
    return parse_unsigned(answer.header("content-length"));
}

Result<void> complete_surely(ObjectRequests& requests, const ObjectRequest& request,
                             std::uint64_t bytes,
                             const std::function<bool(const http::HttpAnswer&)>& is_complete) {
    for (int failures = 0;;) {
        const auto answer = requests.send_once(request);
        if (answer && is_complete(*answer)) return {};
        const Error why = answer ? error_of(*answer, "complete the upload") : answer.error();
        // No answer, an answer that says "later", and "there is no such upload" all may come from
        // a store that has done it: only the object itself knows.
        const bool may_have_happened =
            why.code == ErrorCode::kUnavailable || (answer && answer->status == 404);
        if (!may_have_happened) return fail(why);
        EW_TRY(const auto found, size_of(requests, request.key));
        if (found && *found == bytes) return {};
        const bool gone = answer && answer->status == 404;
        if (gone || ++failures >= limits::kHttpTriesMax) return fail(why);
        EW_CHECK(requests.wait(failures));
    }
}

}  // namespace export_worker::files
