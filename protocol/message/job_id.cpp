#include "protocol/message/job_id.hpp"

#include <string>

#include "base/shared_limits.hpp"
#include "base/text.hpp"

namespace export_worker::message {

Result<void> check_job_id(std::string_view job_id) {
    const bool fits = !job_id.empty() && job_id.size() <= limits::kJobIdBytesMax;
    if (fits && !has_control_characters(job_id)) return {};
    return fail(
        ErrorCode::kInvalidArgument,
        "job_id: expected 1 to " + std::to_string(limits::kJobIdBytesMax) +
            " bytes without control characters, found " +
            (fits ? std::string("a control character") : std::to_string(job_id.size()) + " bytes"));
}

}  // namespace export_worker::message
