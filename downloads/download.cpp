#include "downloads/download.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/openat2.h>

#include <algorithm>
#include <ctime>
#include <optional>

#include "base/text.hpp"
#include "signing/content_disposition.hpp"

namespace export_worker::downloads {
namespace {

Download refuse(int status, std::string_view detail) {
    Download out;
    out.status = status;
    out.detail = detail;
    return out;
}

// The kernel resolves the path and refuses to leave `root`, whatever lies there.
UniqueFd open_beneath(const std::string& root, const std::string& path) {
    const UniqueFd directory(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!directory) return {};
    open_how how{};
    how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    const long fd = ::syscall(SYS_openat2, directory.get(), path.c_str(), &how, sizeof how);
    return UniqueFd(static_cast<int>(fd));
}

// Strong: an export file is never written again once it has its name.
std::string etag_of(const struct stat& info) {
    char text[80];
    const int used = std::snprintf(
        text, sizeof text, "\"%llx-%llx-%llx\"", static_cast<unsigned long long>(info.st_ino),
        static_cast<unsigned long long>(info.st_size),
        static_cast<unsigned long long>(info.st_mtim.tv_sec * 1'000'000'000LL +
                                        info.st_mtim.tv_nsec));
    return {text, static_cast<std::size_t>(used)};
}

std::string http_date(std::time_t at) {
    std::tm parts{};
    gmtime_r(&at, &parts);
    char text[40];
    return {text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts)};
}

struct Range {
    std::uint64_t first = 0;
    std::uint64_t last = 0;  // Inclusive.
};
enum class RangeOutcome { kWhole, kPart, kUnsatisfiable };

// One range of a file of `size` bytes. A header that is not understood is ignored, as RFC 9110 14.2
// wants.
RangeOutcome parse_range(std::string_view header, std::uint64_t size, Range& range) {
    constexpr std::string_view kUnit = "bytes=";
    if (!header.starts_with(kUnit) || header.find(',') != std::string_view::npos)
        return RangeOutcome::kWhole;
    header.remove_prefix(kUnit.size());
    const std::size_t dash = header.find('-');
    if (dash == std::string_view::npos) return RangeOutcome::kWhole;
    const auto first = parse_unsigned(header.substr(0, dash));
    const auto last = parse_unsigned(header.substr(dash + 1));
    if (dash == 0) {  // "-N": the last N bytes.
        if (!last) return RangeOutcome::kWhole;
        if (*last == 0 || size == 0) return RangeOutcome::kUnsatisfiable;
        range = {size - std::min(*last, size), size - 1};
        return RangeOutcome::kPart;
    }
    if (!first || (!last && dash + 1 != header.size()) || (last && *last < *first))
        return RangeOutcome::kWhole;
    if (*first >= size) return RangeOutcome::kUnsatisfiable;
    range = {*first, last ? std::min(*last, size - 1) : size - 1};
    return RangeOutcome::kPart;
}

// A list of entity tags, or "*". Ours are strong; If-None-Match compares weakly (RFC
// 9110, 8.8.3.2).
bool names_etag(std::string_view header, std::string_view etag, bool weak) {
    if (header == "*") return true;
    for (std::size_t at = header.find(etag); at != std::string_view::npos;
         at = header.find(etag, at + etag.size())) {
        if (weak || at < 2 || header.substr(at - 2, 2) != "W/") return true;
    }
    return false;
}

// nullopt for what is no date in the preferred form: the condition is ignored then (RFC
// 9110, 13.1).
std::optional<std::time_t> parse_http_date(std::string_view text) {
    std::tm parts{};
    const std::string copy(text);
    const char* const end = ::strptime(copy.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    if (end == nullptr || *end != '\0') return std::nullopt;
    return ::timegm(&parts);
}

// In the order of RFC 9110, 13.2.2. 0: go on.
int failed_condition(const DownloadRequest& request, const std::string& etag,
                     std::time_t modified) {
    if (!request.if_match.empty()) {
        if (!names_etag(request.if_match, etag, false)) return 412;
    } else if (const auto since = parse_http_date(request.if_unmodified_since)) {
        if (modified > *since) return 412;
    }
    if (!request.if_none_match.empty()) {
        if (names_etag(request.if_none_match, etag, true)) return 304;
    } else if (const auto since = parse_http_date(request.if_modified_since)) {
        if (modified <= *since) return 304;
    }
    return 0;
}

std::string content_type_of(std::string_view path) {
    if (path.ends_with(".csv")) return "text/csv; charset=utf-8";
    if (path.ends_with(".tsv")) return "text/tab-separated-values; charset=utf-8";
    if (path.ends_with(".jsonl")) return "application/x-ndjson";
    if (path.ends_with(".xlsx"))
        return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
    if (path.ends_with(".gz")) return "application/gzip";
    if (path.ends_with(".zst")) return "application/zstd";
    return "application/octet-stream";
}

}  // namespace

Download open_download(const DownloadRequest& request, const std::vector<DownloadRoot>& roots,
                       std::int64_t now_unix_s) {
    std::optional<signing::VerifiedLocalLink> link;
    const DownloadRoot* root = nullptr;
    Error error{ErrorCode::kPermissionDenied, "The link is not valid"};
    for (const DownloadRoot& each : roots) {
        auto verified =
            signing::verify_local_link(request.target, *each.keys->current(), now_unix_s);
        if (verified) {
            link = std::move(*verified);
            root = &each;
            break;
        }
        if (verified.error().code == ErrorCode::kDeadlineExceeded) error = verified.error();
    }
    if (root == nullptr) return refuse(403, error.message);

    Download out;
    out.file = open_beneath(root->root, link->path);
    struct stat info {};
    if (!out.file || ::fstat(out.file.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
        return refuse(410, "Export file is no longer available");
    }
    const auto size = static_cast<std::uint64_t>(info.st_size);
    const std::string etag = etag_of(info);
    const std::string modified = http_date(info.st_mtim.tv_sec);
    out.content_type = content_type_of(link->path);
    out.headers = {{"ETag", etag},
                   {"Last-Modified", modified},
                   {"Accept-Ranges", "bytes"},
                   {"Cache-Control", "private, no-transform"},
                   {"Content-Disposition", signing::content_disposition(link->filename)}};
    if (const int status = failed_condition(request, etag, info.st_mtim.tv_sec); status != 0) {
        out.status = status;
        if (status == 412) out.detail = "Precondition Failed";
        out.file.reset();
        return out;
    }
    out.bytes = size;
    const std::string_view if_range = request.if_range;
    const bool range_applies = if_range.empty() || if_range == etag || if_range == modified;
    Range range;
    const auto outcome =
        range_applies ? parse_range(request.range, size, range) : RangeOutcome::kWhole;
    if (outcome == RangeOutcome::kUnsatisfiable) {
        Download refused = refuse(416, "Range Not Satisfiable");
        refused.headers.emplace_back("Content-Range", "bytes */" + std::to_string(size));
        return refused;
    }
    if (outcome == RangeOutcome::kPart) {
        out.status = 206;
        out.offset = range.first;
        out.bytes = range.last - range.first + 1;
        out.headers.emplace_back("Content-Range", "bytes " + std::to_string(range.first) + "-" +
                                                      std::to_string(range.last) + "/" +
                                                      std::to_string(size));
    }
    return out;
}

}  // namespace export_worker::downloads
