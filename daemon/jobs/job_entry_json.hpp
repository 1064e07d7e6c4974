// An error or warning of a job as it is stored.
#pragma once

#include <string>
#include <string_view>

#include "daemon/model/job.hpp"

namespace export_worker::jobs {

[[nodiscard]] std::string entry_to_json(const model::JobEntry& entry);
[[nodiscard]] model::JobEntry entry_from_json(std::string_view text);

}  // namespace export_worker::jobs
