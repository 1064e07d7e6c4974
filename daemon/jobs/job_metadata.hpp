// The metadata of a job: an object of the caller's, within limits.
#pragma once

#include <string>
#include <nlohmann/json_fwd.hpp>

#include "base/result.hpp"
#include "daemon/jobs/job_queue.hpp"

namespace export_worker::jobs {

// Errors: kInvalidArgument for what is no object or over its limits.
[[nodiscard]] Result<nlohmann::json> parse_metadata(const std::string& text);
// `metadata_json` after `patch_json` was merged into it (RFC 7396); empty: no patch. Errors: as
// above, for the patch and for the result.
[[nodiscard]] Result<nlohmann::json> merge_metadata(const std::string& metadata_json,
                                                    const std::string& patch_json);
// `metadata_json` with that of an export's completion and the place of its file. Errors: as above.
[[nodiscard]] Result<nlohmann::json> completed_metadata(const std::string& metadata_json,
                                                        const Completion& completion);
// What is left of `metadata_json` when the file it names was withdrawn.
[[nodiscard]] std::string without_file_url(const std::string& metadata_json);

}  // namespace export_worker::jobs
