// The error of a change that takes access away, is in force in memory, and could not be written:
// with a full disk, a leaked key must stop working all the same.
#pragma once

#include <string_view>

#include "base/error.hpp"

namespace export_worker {

// `change`: "The key 'K' is revoked". Has the code of `cause`, which kept it off the disk, and says
// that the change ends with the process.
[[nodiscard]] Error in_memory_error(std::string_view change, const Error& cause);
// Whether in_memory_error() made it.
[[nodiscard]] bool is_in_memory_error(const Error& error);

}  // namespace export_worker
