// Limits of daemon/catalog. A name ends in unit and bound; the comment says what happens at it.
#pragma once

#include <cstddef>

namespace export_worker::limits {

inline constexpr std::size_t kExportTemplatesMax = 200;  // Of one organization.

inline constexpr std::size_t kCatalogBatchRows = 500;
inline constexpr std::size_t kCatalogScanRows = 10'000;  // Looked at for one batch of a filter.
inline constexpr std::size_t kCatalogBatchBytes = 4 * 1024 * 1024;

}  // namespace export_worker::limits
