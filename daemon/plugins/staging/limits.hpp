// Limits of daemon/plugins/staging. A name ends in unit and bound; the comment says what happens at
// it.
#pragma once

#include <cstddef>

namespace export_worker::limits {

inline constexpr std::size_t kPluginFileBytesMax = 64 * 1024 * 1024;

}  // namespace export_worker::limits
