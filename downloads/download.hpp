// A signed link to the bytes to send: verification, the open file, conditions and ranges (RFC 9110,
// 13 and 14), the digest of the whole file when the link says it (RFC 9530).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/unique_fd.hpp"
#include "downloads/link_keys.hpp"

namespace export_worker::downloads {

// A directory whose files are served to holders of a signed link.
struct DownloadRoot {
    std::string name;  // Of its store, as links say it.
    std::string root;
    std::shared_ptr<LinkKeys> keys;  // Shared by copies of a configuration.
    bool is_marked = false;          // Exports go there: the daemon marks it (base/store_mark.hpp).
};

// What a request says, verbatim; empty: it does not.
struct DownloadRequest {
    std::string_view target = {};  // Path and query.
    std::string_view range = {};
    std::string_view if_range = {};
    std::string_view if_match = {};
    std::string_view if_none_match = {};
    std::string_view if_modified_since = {};
    std::string_view if_unmodified_since = {};
    bool head = false;  // Asks for no body: `range` is ignored then.
};

struct Download {
    int status = 200;
    std::string detail;  // Why there is no file; empty for 304.
    std::string content_type;
    std::vector<std::pair<std::string, std::string>> headers;
    UniqueFd file;  // Open for 200 and 206: send `bytes` from `offset`.
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
};

// Never follows a link out of the store's root. 403 for a bad or expired link, 410 for a file that
// is gone, 412 for a condition that does not hold, 416 for a range behind its end; several ranges
// are answered with the whole file. 503 for a file that is not there while its root is away
// (is_root_away() of base/store_mark.hpp; `is_marked`: any registry's mark counts).
[[nodiscard]] Download open_download(const DownloadRequest& request,
                                     const std::vector<DownloadRoot>& roots,
                                     std::int64_t now_unix_s);

}  // namespace export_worker::downloads
