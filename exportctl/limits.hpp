// Limits of exportctl. A name ends in unit and bound; the comment says what happens at it.
#pragma once

#include <cstddef>

namespace export_worker::limits {

inline constexpr std::size_t kImportBatchBytes = 512 * 1024;  // One message of `catalog import`.

}  // namespace export_worker::limits
