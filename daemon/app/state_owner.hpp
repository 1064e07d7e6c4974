// Whose a state directory is: commands that write there while no daemon runs do it as that user.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.hpp"

namespace export_worker::app {

struct StateOwner {
    uid_t uid;
    gid_t gid;
};

// Errors: kFailedPrecondition where this process is neither root nor the owner, or others may write
// there; those of the file system.
[[nodiscard]] Result<StateOwner> owner_of(const std::string& state_dir);

// For good: what is written from here on belongs to the owner, and nothing of it is done as root.
[[nodiscard]] Result<void> become(const StateOwner& owner);

}  // namespace export_worker::app
