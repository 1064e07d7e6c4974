// Limits of daemon/plugins/inspection. A name ends in unit and bound; the comment says what happens
// at it.
#pragma once

#include <cstddef>

namespace export_worker::limits {

inline constexpr std::size_t kPluginNoteBytesMax = 4096;

}  // namespace export_worker::limits
