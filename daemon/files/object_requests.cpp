#include "daemon/files/object_requests.hpp"

#include "base/text.hpp"
#include "daemon/files/limits.hpp"
#include "daemon/http_client/backoff.hpp"
#include "daemon/http_client/xml_document.hpp"

namespace export_worker::files {
namespace {

tl::unexpected<Error> stopping() {
    return fail(ErrorCode::kUnavailable, "the daemon is stopping");
}

signing::NamesAndValues views_of(const std::vector<std::pair<std::string, std::string>>& pairs) {
    signing::NamesAndValues out;
    for (const auto& [name, value] : pairs) out.emplace_back(name, value);
    return out;
}

}  // namespace

Result<http::HttpAnswer> ObjectRequests::send_once(const ObjectRequest& request) {
    const signing::Store& store = deps_.store;
    EW_TRY(const signing::SigningKey key, deps_.signing_key());
    const std::int64_t now_unix_s = deps_.clock->unix_us() / 1'000'000;
    signing::StoreLinkRequest link;
    link.method = request.method;
    link.endpoint = &store.endpoint;
    link.key = request.key;
    link.times = {now_unix_s, now_unix_s + limits::kUploadLinkSeconds};
    link.permissions = request.permissions;
    link.resource = request.key.empty() ? "c" : "b";
    link.query = views_of(request.query);
    if (store.kind != signing::StoreKind::kAzure) link.headers = views_of(request.headers);
    EW_TRY(signing::StoreLink url, signing::sign_store_link(store, key, link));
    http::HttpRequest sent;
    sent.method = request.method;
    sent.url = std::move(url.url);
    sent.headers = request.headers;
    sent.body = request.body;
    sent.stall = request.stall;
    auto answer = client_.send(sent);
    if (!answer && answer.error().code == ErrorCode::kCancelled) return stopping();
    return answer;
}

Result<void> ObjectRequests::wait(int failures) const {
    if (!http::wait_backoff(failures, *deps_.clock, deps_.stopping)) return stopping();
    return {};
}

Result<http::HttpAnswer> ObjectRequests::send(const ObjectRequest& request) {
    for (int failures = 0;;) {
        auto answer = send_once(request);
        const bool later = answer ? http::is_worth_retrying(answer->status)
                                  : answer.error().code == ErrorCode::kUnavailable;
        if (!later || ++failures >= limits::kHttpTriesMax) return answer;
        EW_CHECK(wait(failures));
    }
}

std::string code_of(const http::HttpAnswer& answer) {
    if (const auto code = answer.header("x-ms-error-code"); !code.empty()) return std::string(code);
    const auto document = http::XmlElement::parse(answer.body);
    return document && document->name() == "Error" ? document->text("Code") : "";
}

Error error_of(const http::HttpAnswer& answer, std::string_view tried) {
    const std::string code = code_of(answer);
    std::string message =
        std::string(tried) + ": the store answered " + std::to_string(answer.status);
    if (!code.empty()) message += " " + printable(code);
    if (const auto document = http::XmlElement::parse(answer.body);
        document && document->name() == "Error")
        message += ": " + printable(document->text("Message"), 300);
    const bool later =
        http::is_worth_retrying(answer.status) || code == "ExpiredToken" || answer.status == 200;
    return {later ? ErrorCode::kUnavailable : ErrorCode::kFailedPrecondition, std::move(message)};
}

}  // namespace export_worker::files
