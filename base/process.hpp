// What a process that serves asks of the system before it begins.
#pragma once

#include <cstdint>

#include "base/result.hpp"

namespace export_worker {

// A listener that runs out of descriptors cannot answer anybody: takes all the system allows.
// Errors: kResourceExhausted when that is less than `needed`. Libraries end the process when they
// get none, so it is said before they ask.
[[nodiscard]] Result<void> raise_descriptor_limit(std::uint64_t needed);
// Memory holds what signs links; a crash must not write it to disk. What does not work is logged.
void forbid_core_files();

}  // namespace export_worker
