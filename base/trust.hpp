// Who could have written a file that decides whom or what this process trusts: the configuration,
// roles, key files, the state directory. docs/install.md states the rule for operators.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/result.hpp"

namespace export_worker {

// Root, the user of this process, `also`, and a number that no user of this machine has: in a
// container a mounted file may belong to a user of the host.
[[nodiscard]] bool is_trusted_owner(uid_t owner, std::optional<uid_t> also = {});

// "root", or "root or export-worker": `user` beside root, for messages.
[[nodiscard]] std::string root_or(uid_t user);

// The directories above `path`, as it is written and where links lead: each has a trusted owner,
// and group and others may not write it unless it is sticky as /tmp is, where they cannot replace
// what is ours. One that cannot be looked at is left to whoever opens the file. Errors:
// kFailedPrecondition, with what to do. [any-thread]
[[nodiscard]] Result<void> check_directories_above(const std::string& path,
                                                   std::optional<uid_t> also = {});

}  // namespace export_worker
