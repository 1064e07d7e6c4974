// A signed link to the bytes to send: verification, the open file, conditions and ranges (RFC 9110,
// 13 and 14).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/unique_fd.hpp"
#include "http_shim/config.hpp"
#include "http_shim/request_head.hpp"
#include "http_shim/response.hpp"

namespace export_worker::http_shim {

struct Download {
    Response response;  // Headers and status; the body when `file` is closed.
    UniqueFd file;      // Open: send `bytes` from `offset`.
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
};

// Never follows a link out of the store's root. 403 for a bad or expired link, 410 for a file that
// is gone, 416 for a range behind its end; several ranges are answered with the whole file.
[[nodiscard]] Download open_download(const RequestHead& head,
                                     const std::vector<DownloadRoot>& roots,
                                     std::int64_t now_unix_s);

}  // namespace export_worker::http_shim
