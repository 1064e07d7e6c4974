// Processes below this one.
#pragma once

#include <sys/types.h>

#include <vector>

namespace export_worker::plugins {

// One that has ended and was not waited for counts, too. [any-thread]
[[nodiscard]] bool has_children();
// As /proc tells (a kernel with CONFIG_PROC_CHILDREN, as Debian's). [any-thread]
[[nodiscard]] std::vector<pid_t> read_children();

}  // namespace export_worker::plugins
