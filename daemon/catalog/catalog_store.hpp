// Products by organization and key, the property paths they use, their prices, and the saved
// templates of exports.
//
// Reading goes in key order, batch by batch, each batch one short read transaction: a product that
// is changed while an export runs appears once, old or new; one added behind the reading point is
// missed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "daemon/model/export_spec.hpp"
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

// Where the next batch begins, and what it is about.
struct BatchQuery {
    std::string organization_id;
    const model::ExportFilter* filter =
        nullptr;  // Borrowed. Labels and properties are not looked at here.
    bool with_prices = false;
    std::int64_t prices_at_us = 0;  // Prices effective at this instant.
    std::string after_key;          // Moved on by read_batch().
    bool at_end = false;            // Set by read_batch(): nothing follows this batch.
};

struct ExportTemplate {
    std::string name;
    std::string body_json;  // An object; see model::check_export_template().
    std::int64_t updated_us = 0;
};

// [any-thread]
class CatalogStore {
public:
    // Opens or creates the file. `clock` outlives the store. Errors: those of
    // sqlite::Database::open().
    [[nodiscard]] static Result<std::unique_ptr<CatalogStore>> open(
        const std::string& path, const Clock& clock,
        sqlite::Durability durability = sqlite::Durability::kSynced);
    // Whether open() would take the file, as sqlite::Database::check() has it.
    [[nodiscard]] static Result<void> check(const std::string& path);

    // Adds or replaces the products of `lines` (JSON, one a line; blank lines are skipped) in one
    // transaction. Bad lines are reported by number, counted from `first_line`, and cost only
    // themselves.
    [[nodiscard]] Result<ImportReport> import_lines(std::string_view organization_id,
                                                    std::string_view lines,
                                                    std::int64_t first_line);
    // Adds or replaces the prices of `lines`, as import_lines() does products.
    [[nodiscard]] Result<ImportReport> import_prices(std::string_view organization_id,
                                                     std::string_view lines,
                                                     std::int64_t first_line);
    // The products after `query.after_key` that the filter keeps, in key order: at most
    // kCatalogBatchRows, at most about kCatalogBatchBytes, out of at most kCatalogScanRows looked
    // at; so a batch may be empty before the end. Replaces the content of `batch`, reusing it.
    [[nodiscard]] Result<void> read_batch(BatchQuery& query, std::vector<model::Product>& batch);
    // kNotFound when there is no such product. Prices when the query wants them.
    [[nodiscard]] Result<model::Product> find(const BatchQuery& query, std::string_view key);
    // Products of the organization; kept up to date by imports, so that asking costs one row.
    [[nodiscard]] Result<std::int64_t> count(std::string_view organization_id);
    // Every property path in use, product and variant level together, sorted.
    [[nodiscard]] Result<std::vector<std::string>> property_paths(std::string_view organization_id);

    // Adds or replaces. kConflict: kExportTemplatesMax are there already.
    [[nodiscard]] Result<void> put_template(std::string_view organization_id,
                                            const ExportTemplate& entry);
    // kNotFound when there is none of that name.
    [[nodiscard]] Result<ExportTemplate> find_template(std::string_view organization_id,
                                                       std::string_view name);
    [[nodiscard]] Result<std::vector<ExportTemplate>> templates(std::string_view organization_id);
    // kNotFound as above.
    [[nodiscard]] Result<void> drop_template(std::string_view organization_id,
                                             std::string_view name);

    // A copy of the file as it is now, whole and consistent, at `path` (replaced).
    [[nodiscard]] Result<void> backup(const std::string& path,
                                      const std::function<bool()>& keep_going = {}) {
        return database_->backup(path, keep_going);
    }
    // As Database has them.
    [[nodiscard]] Result<void> compact(std::chrono::milliseconds pause_max,
                                       const std::function<bool()>& keep_going) {
        return database_->compact(pause_max, keep_going);
    }
    [[nodiscard]] std::string problem() const { return database_->problem(); }
    [[nodiscard]] std::uint64_t write_errors() const { return database_->write_errors(); }

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
