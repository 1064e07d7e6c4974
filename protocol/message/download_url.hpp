// The methods `download_url.get` and `download_url.explain`: parameters and results.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "protocol/message/methods.hpp"

namespace export_worker::message {

inline constexpr std::string_view kDownloadUrlMethod = method_row(MethodId::kGetDownloadUrl).name;
inline constexpr std::string_view kDownloadUrlPermission =
    method_row(MethodId::kGetDownloadUrl).permission;
// The same, and how the link came about; for operators.
inline constexpr std::string_view kExplainMethod = method_row(MethodId::kExplainDownloadUrl).name;
inline constexpr std::string_view kExplainPermission =
    method_row(MethodId::kExplainDownloadUrl).permission;

struct DownloadUrlParams {
    std::string_view job_id;  // Passed check_job_id().
};

struct DownloadUrlResult {
    std::string_view download_url;
    std::string_view filename;
    std::int64_t expires_in_seconds = 0;
    // Name and text; only download_url.explain has it. Never a secret.
    std::vector<std::pair<std::string_view, std::string>> explanation;
};

// `params` is a valid msgpack map. Errors: kInvalidArgument when job_id is missing, no text, or out
// of bounds.
[[nodiscard]] Result<DownloadUrlParams> decode_download_url_params(std::string_view params);
// Replaces the content of `out`, keeping its capacity.
void encode_download_url_result(std::string& out, const DownloadUrlResult& result);

}  // namespace export_worker::message
