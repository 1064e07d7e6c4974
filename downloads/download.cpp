#include "downloads/download.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/openat2.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <limits>
#include <optional>

#include "base/base64.hpp"
#include "base/log.hpp"
#include "base/store_mark.hpp"
#include "base/text.hpp"
#include "signing/content_disposition.hpp"

namespace export_worker::downloads {
namespace {

constexpr std::string_view kUnavailable = "Service temporarily unavailable";
// The form of RFC 850.
constexpr const char* kTwoDigitYear = "%A, %d-%b-%y %H:%M:%S GMT";

Download error_response(int status, std::string_view detail) {
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

bool is_away(const DownloadRoot& root) {
    return is_root_away(root.root,
                        root.is_marked ? std::optional<std::string_view>("") : std::nullopt);
}

// Strong: an export file is never written again once it has its name. A copy of it, restored or on
// another machine, has the same tag: its content's digest, else its time, stands for it.
std::string etag_of(const struct stat& info, std::string_view sha256) {
    const auto size = static_cast<unsigned long long>(info.st_size);
    char text[80];
    if (!sha256.empty()) {
        std::string out = "\"";
        append_base64url(out, sha256);
        std::snprintf(text, sizeof text, "-%llx\"", size);
        return out + text;
    }
    std::snprintf(text, sizeof text, "\"%llx-%llx\"", size,
                  static_cast<unsigned long long>(info.st_mtim.tv_sec * 1'000'000'000LL +
                                                  info.st_mtim.tv_nsec));
    return text;
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

bool starts_with_in_any_case(std::string_view text, std::string_view lower_case) {
    const auto lower = [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
    };
    return text.size() >= lower_case.size() &&
           std::ranges::equal(text.substr(0, lower_case.size()), lower_case, {}, lower);
}

// A position in digits. One that is too large for the type lies behind every file, as the largest.
std::optional<std::uint64_t> parse_position(std::string_view text) {
    if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos)
        return std::nullopt;
    return parse_unsigned(text).value_or(std::numeric_limits<std::uint64_t>::max());
}

// One range of a file of `size` bytes. A header that is not understood is ignored, as RFC 9110 14.2
// wants.
RangeOutcome parse_range(std::string_view header, std::uint64_t size, Range& range) {
    constexpr std::string_view kUnit = "bytes=";
    if (!starts_with_in_any_case(header, kUnit) || header.find(',') != std::string_view::npos)
        return RangeOutcome::kWhole;
    header.remove_prefix(kUnit.size());
    const std::size_t dash = header.find('-');
    if (dash == std::string_view::npos) return RangeOutcome::kWhole;
    const auto first = parse_position(header.substr(0, dash));
    const auto last = parse_position(header.substr(dash + 1));
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

// A year of two digits is never more than 50 years ahead (RFC 9110, 5.6.7).
std::time_t in_nearest_century(std::tm parts, std::time_t now) {
    std::tm today{};
    ::gmtime_r(&now, &today);
    parts.tm_year += (today.tm_year / 100 - parts.tm_year / 100) * 100;
    std::tm latest = today;
    latest.tm_year += 50;
    if (::timegm(&parts) > ::timegm(&latest)) parts.tm_year -= 100;
    return ::timegm(&parts);
}

// The three forms of RFC 9110, 5.6.7; nullopt for anything else: the condition is ignored then
// (13.1).
std::optional<std::time_t> parse_http_date(std::string_view text, std::time_t now) {
    const std::string copy(text);
    for (const char* form : {"%a, %d %b %Y %H:%M:%S GMT", kTwoDigitYear, "%a %b %e %H:%M:%S %Y"}) {
        std::tm parts{};
        const char* const end = ::strptime(copy.c_str(), form, &parts);
        if (end == nullptr || *end != '\0') continue;
        std::tm normal = parts;  // timegm() makes March of the 30th of February.
        ::timegm(&normal);
        if (normal.tm_mday != parts.tm_mday) return std::nullopt;
        return form == kTwoDigitYear ? in_nearest_century(parts, now) : ::timegm(&parts);
    }
    return std::nullopt;
}

// In the order of RFC 9110, 13.2.2. 0: go on.
int failed_condition(const DownloadRequest& request, const std::string& etag, std::time_t modified,
                     std::time_t now) {
    if (!request.if_match.empty()) {
        if (!names_etag(request.if_match, etag, false)) return 412;
    } else if (const auto since = parse_http_date(request.if_unmodified_since, now)) {
        if (modified > *since) return 412;
    }
    if (!request.if_none_match.empty()) {
        if (names_etag(request.if_none_match, etag, true)) return 304;
    } else if (const auto since = parse_http_date(request.if_modified_since, now)) {
        if (modified <= *since) return 304;
    }
    return 0;
}

// Whether `range` may be answered with a part.
bool range_applies(const DownloadRequest& request, const std::string& etag, std::time_t modified,
                   std::time_t now) {
    if (request.head) return false;
    return request.if_range.empty() || request.if_range == etag ||
           parse_http_date(request.if_range, now) == modified;
}

// For links that do not say it.
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

Result<signing::VerifiedLocalLink> verify(std::string_view target,
                                          const std::vector<DownloadRoot>& roots,
                                          std::int64_t now_unix_s) {
    std::vector<std::shared_ptr<const LinkKeys::Keys>> keys;
    std::vector<signing::LocalLinkStore> stores;
    for (const DownloadRoot& root : roots) {
        keys.push_back(root.keys->current());
        stores.push_back({root.name, *keys.back()});
    }
    return signing::verify_local_link(target, stores, now_unix_s);
}

}  // namespace

Download open_download(const DownloadRequest& request, const std::vector<DownloadRoot>& roots,
                       std::int64_t now_unix_s) {
    const auto link = verify(request.target, roots, now_unix_s);
    if (!link) return error_response(403, link.error().message);

    Download out;
    const DownloadRoot& root = roots[link->store_index];
    out.file = open_beneath(root.root, link->path);
    struct stat info {};
    if (!out.file && !is_no_file(errno)) {
        log_error("download of {} from store {}: {}", link->path, root.name, std::strerror(errno));
        return error_response(503, kUnavailable);
    }
    if (!out.file && is_away(root)) {
        log_error(
            "download of {} from store {}: {} is missing, empty or without the mark of a daemon; "
            "mount it",
            link->path, root.name, root.root);
        return error_response(503, kUnavailable);
    }
    if (!out.file || ::fstat(out.file.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
        return error_response(410, "Export file is no longer available");
    }
    const auto size = static_cast<std::uint64_t>(info.st_size);
    const std::string etag = etag_of(info, link->sha256);
    const std::time_t modified = info.st_mtim.tv_sec;
    out.content_type =
        link->content_type.empty() ? content_type_of(link->path) : link->content_type;
    out.headers = {{"ETag", etag},
                   {"Last-Modified", http_date(modified)},
                   {"Accept-Ranges", "bytes"},
                   {"Cache-Control", "private, no-transform"},
                   {"Content-Disposition", signing::content_disposition(link->filename)}};
    if (!link->sha256.empty())
        out.headers.emplace_back("Repr-Digest", "sha-256=:" + to_base64(link->sha256) + ":");
    if (const int status = failed_condition(request, etag, modified, now_unix_s); status != 0) {
        out.status = status;
        if (status == 412) out.detail = "Precondition Failed";
        out.file.reset();
        return out;
    }
    out.bytes = size;
    Range range;
    const auto outcome = range_applies(request, etag, modified, now_unix_s)
                             ? parse_range(request.range, size, range)
                             : RangeOutcome::kWhole;
    if (outcome == RangeOutcome::kUnsatisfiable) {
        Download refused = error_response(416, "Range Not Satisfiable");
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
