// Users as operators know them.
#pragma once

#include <sys/types.h>

#include <string>

namespace export_worker {

// "export-worker", or "#998" for a user without a name. Before other threads start: getpwuid(3)
// shares its buffer.
[[nodiscard]] std::string user_name(uid_t uid);

}  // namespace export_worker
