// The method `download_url.get`: parameters and result.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace export_worker::message {

inline constexpr std::string_view kDownloadUrlMethod = "download_url.get";

struct DownloadUrlParams {
    std::string_view job_id;  // 1 to kJobIdBytesMax bytes without control characters, checked.
};

struct DownloadUrlResult {
    std::string_view download_url;
    std::string_view filename;
    std::int64_t expires_in_seconds = 0;
};

// `params` is a valid msgpack map. Errors: kInvalidArgument when job_id is missing, no text, or out
// of bounds.
[[nodiscard]] Result<DownloadUrlParams> decode_download_url_params(std::string_view params);
// Replaces the content of `out`, keeping its capacity.
void encode_download_url_result(std::string& out, const DownloadUrlResult& result);

}  // namespace export_worker::message
