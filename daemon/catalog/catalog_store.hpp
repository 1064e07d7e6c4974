// The catalog: products by organization and key, the property paths they use, their prices, and the
// saved templates of exports.
//
// One interface for each of those who use it, and this object has them all. One conformance suite
// (tests/unit/daemon/catalog/catalog_store_conformance.hpp) runs against every implementation;
// SQLite's is daemon/catalog/sqlite, PostgreSQL's is daemon/catalog/postgres. Errors of all of
// them, beside those named: kResourceExhausted (disk full), kUnavailable, kDeadlineExceeded (a read
// that took too long), kDataLoss, kInternal; of writes kUnknownOutcome: the commit may have
// happened, and the same batch again leaves the same products, in the same versions unless a key
// comes twice in it: then its changes count again.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "base/problem.hpp"
#include "base/result.hpp"
#include "daemon/catalog/catalog_imports.hpp"
#include "daemon/catalog/catalog_reader.hpp"
#include "daemon/catalog/export_templates.hpp"

namespace export_worker::catalog {

// Owns its parts. [any-thread]
class CatalogStore {
public:
    virtual ~CatalogStore() = default;

    [[nodiscard]] virtual CatalogReader& reader() = 0;
    [[nodiscard]] virtual CatalogImports& imports() = 0;
    [[nodiscard]] virtual ExportTemplates& templates() = 0;

    // A copy of the catalog as it is now, whole and consistent, at `path` (replaced). Errors:
    // kCancelled once `keep_going` returns false (null: to the end).
    [[nodiscard]] virtual Result<void> backup(const std::string& path,
                                              const std::function<bool()>& keep_going = {}) = 0;
    // Gives free space of the catalog back to the disk. Errors: kDeadlineExceeded when writes would
    // have to wait for longer than `pause_max`, kResourceExhausted when the disk lacks the room for
    // it, kCancelled once `keep_going` returns false.
    [[nodiscard]] virtual Result<void> compact(std::chrono::milliseconds pause_max,
                                               const std::function<bool()>& keep_going) = 0;
    // Why the last write could not be made durable, or that the database is gone.
    [[nodiscard]] virtual Problem problem() const = 0;
    // Commits that failed since the start.
    [[nodiscard]] virtual std::uint64_t write_errors() const = 0;
};

}  // namespace export_worker::catalog
