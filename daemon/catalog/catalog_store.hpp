// Products by organization and key, and the property paths they use.
//
// Reading goes in key order, batch by batch, each batch one short read transaction: a product that
// is changed while an export runs appears once, old or new; one added behind the reading point is
// missed.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "daemon/model/product.hpp"
#include "daemon/sqlite/database.hpp"

namespace export_worker::catalog {

struct ImportError {
    std::int64_t line = 0;
    std::string message;
};

struct ImportReport {
    std::int64_t imported = 0;
    std::int64_t rejected = 0;
    std::vector<ImportError> errors;  // The first kImportErrorsShownMax.
};

// [any-thread]
class CatalogStore {
public:
    // Opens or creates the file. `clock` outlives the store. Errors: those of
    // sqlite::Database::open().
    [[nodiscard]] static Result<std::unique_ptr<CatalogStore>> open(const std::string& path,
                                                                    const Clock& clock);

    // Adds or replaces the products of `lines` (JSON, one a line; blank lines are skipped) in one
    // transaction. Bad lines are reported by number, counted from `first_line`, and cost only
    // themselves.
    [[nodiscard]] Result<ImportReport> import_lines(std::string_view organization_id,
                                                    std::string_view lines,
                                                    std::int64_t first_line);
    // The products after `after_key`, in key order: at most kCatalogBatchRows, at most about
    // kCatalogBatchBytes. Empty: no more. Replaces the content of `batch`.
    [[nodiscard]] Result<void> read_batch(std::string_view organization_id,
                                          std::string_view after_key,
                                          std::vector<model::Product>& batch);
    // kNotFound when there is no such product.
    [[nodiscard]] Result<model::Product> find(std::string_view organization_id,
                                              std::string_view key);
    [[nodiscard]] Result<std::int64_t> count(std::string_view organization_id);
    // Every property path in use, product and variant level together, sorted.
    [[nodiscard]] Result<std::vector<std::string>> property_paths(std::string_view organization_id);

private:
    CatalogStore(std::unique_ptr<sqlite::Database> database, const Clock& clock)
        : database_(std::move(database)), clock_(clock) {}
    [[nodiscard]] Result<void> remember_paths(sqlite::Connection& connection,
                                              std::string_view organization_id,
                                              const std::vector<std::string>& paths);

    std::unique_ptr<sqlite::Database> database_;
    const Clock& clock_;
    std::mutex known_paths_mutex_;
    // "ORGANIZATION\0PATH" already in the database: saves a write per property and product.
    // Bounded: emptied when big.
    std::unordered_set<std::string> known_paths_;
};

}  // namespace export_worker::catalog
