// Users as operators know them.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace export_worker {

// nullopt: this machine has no user of that number, or cannot find out. [any-thread]
[[nodiscard]] std::optional<std::string> find_user_name(uid_t uid);
// "export-worker", or "#998" for a user without a name. [any-thread]
[[nodiscard]] std::string user_name(uid_t uid);

}  // namespace export_worker
