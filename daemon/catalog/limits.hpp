// Limits of daemon/catalog. A name ends in unit and bound; the comment says what happens at it.
#pragma once

#include <chrono>
#include <cstddef>

namespace export_worker::limits {

// One read of the catalog. Exports run at a low priority, so a batch may take long on a busy
// machine.
inline constexpr std::chrono::seconds kCatalogReadTimeMax{60};

inline constexpr std::size_t kExportTemplatesMax = 200;  // Of one organization.

inline constexpr std::size_t kCatalogBatchRows = 500;
inline constexpr std::size_t kCatalogScanRows = 10'000;  // Looked at for one batch of a filter.
inline constexpr std::size_t kCatalogBatchBytes = 4 * 1024 * 1024;

// One statement of an import into PostgreSQL; a batch is as many as it needs.
inline constexpr std::size_t kCatalogWriteRows = 2'000;
inline constexpr std::size_t kCatalogWriteBytes = 4 * 1024 * 1024;

}  // namespace export_worker::limits
