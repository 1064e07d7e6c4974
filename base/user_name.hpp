// Users as operators know them.
#pragma once

#include <sys/types.h>

#include <string>

namespace export_worker {

// Whether this machine has a user of that number; true, too, when that cannot be found out.
// [any-thread]
[[nodiscard]] bool is_user(uid_t uid);
// "export-worker", or "#998" for a user without a name. [any-thread]
[[nodiscard]] std::string user_name(uid_t uid);

}  // namespace export_worker
