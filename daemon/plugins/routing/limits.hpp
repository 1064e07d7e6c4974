// Limits of daemon/plugins/routing. A name ends in unit and bound; the comment says what happens at
// it.
#pragma once

#include <cstddef>

namespace export_worker::limits {

// A slot for each thread that may be inside a plugin: the workers of each plugin, their
// replacements, operators' calls, a few more.
inline constexpr std::size_t kPinSlotsMax = 784;

}  // namespace export_worker::limits
