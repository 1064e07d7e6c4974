// May this file's code run here? Answered by who could have written it.
#pragma once

#include <string>

#include "base/unique_fd.hpp"
#include "daemon/plugins/refusal.hpp"

namespace export_worker::plugins {

// Opens `source` once, for reading; all that follows uses the descriptor, never the path again.
// Refused: a symbolic link, anything but a regular file, and a file or a directory above it, up to
// the root, that neither root nor this user owns or that group or others may write (a
// sticky directory such as /tmp is fine: others can add names there, not replace ours). Directories
// on the way may be symbolic links; where they lead is held to the same rule.
[[nodiscard]] Verdict<UniqueFd> open_trusted(const std::string& source);

}  // namespace export_worker::plugins
