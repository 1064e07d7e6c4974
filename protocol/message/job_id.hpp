// The rule for the parameter `job_id`: one for the daemon, its plugins and the shim.
#pragma once

#include <string_view>

#include "base/result.hpp"

namespace export_worker::message {

// 1 to kJobIdBytesMax bytes without control characters. That a text is UTF-8 is checked where it
// comes in. Errors: kInvalidArgument, a text that begins with "job_id: ".
[[nodiscard]] Result<void> check_job_id(std::string_view job_id);

}  // namespace export_worker::message
