// fsck and backup: begun here, run beside the socket, looked at with control.task. And whether
// retention may delete.
#pragma once

#include <optional>
#include <string>

#include "daemon/control/control_methods.hpp"
#include "daemon/jobs/job_store.hpp"

namespace export_worker::control {

// nullptr when `method` is none of them.
[[nodiscard]] ControlMethod find_care_method(std::string_view method);

// What an operator has to know when retention is paused; nullopt: it is not.
[[nodiscard]] std::optional<std::string> retention_alarm(const jobs::JobCounts& counts);

}  // namespace export_worker::control
