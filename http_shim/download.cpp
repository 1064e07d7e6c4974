#include "http_shim/download.hpp"

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

namespace export_worker::http_shim {
namespace {

Download refuse(int status, std::string_view detail) {
    Download out;
    out.response = make_error_response(status, detail);
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

bool names_etag(std::string_view header, std::string_view etag) {
    return header == "*" || header.find(etag) != std::string_view::npos;
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

Download open_download(const RequestHead& head, const std::vector<DownloadRoot>& roots,
                       std::int64_t now_unix_s) {
    std::optional<signing::VerifiedLocalLink> link;
    const DownloadRoot* root = nullptr;
    Error error{ErrorCode::kPermissionDenied, "The link is not valid"};
    for (const DownloadRoot& each : roots) {
        auto verified = signing::verify_local_link(head.target, *each.keys->current(), now_unix_s);
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
    Response& response = out.response;
    response.content_type = content_type_of(link->path);
    response.headers = {{"ETag", etag},
                        {"Last-Modified", modified},
                        {"Accept-Ranges", "bytes"},
                        {"Cache-Control", "private, no-transform"},
                        {"Content-Disposition", signing::content_disposition(link->filename)}};
    if (names_etag(head.header("if-none-match"), etag)) {
        response.status = 304;
        out.file.reset();
        return out;
    }
    out.bytes = size;
    const std::string_view if_range = head.header("if-range");
    const bool range_applies = if_range.empty() || if_range == etag || if_range == modified;
    Range range;
    const auto outcome =
        range_applies ? parse_range(head.header("range"), size, range) : RangeOutcome::kWhole;
    if (outcome == RangeOutcome::kUnsatisfiable) {
        Download refused = refuse(416, "Range Not Satisfiable");
        refused.response.headers.emplace_back("Content-Range", "bytes */" + std::to_string(size));
        return refused;
    }
    if (outcome == RangeOutcome::kPart) {
        response.status = 206;
        out.offset = range.first;
        out.bytes = range.last - range.first + 1;
        response.headers.emplace_back("Content-Range", "bytes " + std::to_string(range.first) +
                                                           "-" + std::to_string(range.last) + "/" +
                                                           std::to_string(size));
    }
    return out;
}

}  // namespace export_worker::http_shim
