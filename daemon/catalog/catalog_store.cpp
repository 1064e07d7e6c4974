#include "daemon/catalog/catalog_store.hpp"

#include <algorithm>
#include <array>

#include "base/limits.hpp"

namespace export_worker::catalog {
namespace {

using model::Product;
using sqlite::Connection;
using sqlite::Statement;

constexpr std::int64_t kApplicationId = 0x45574331;  // "EWC1"
constexpr std::size_t kKnownPathsMax = 100'000;

// Clustered by key and with large pages, because an export reads whole products in key order.
constexpr std::array<const char*, 1> kMigrations{R"sql(
CREATE TABLE product (
    organization_id TEXT NOT NULL,
    key             TEXT NOT NULL,
    product_type    TEXT NOT NULL,
    is_published    INTEGER NOT NULL CHECK (is_published IN (0, 1)),
    updated_us      INTEGER NOT NULL,
    body            TEXT NOT NULL,
    PRIMARY KEY (organization_id, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE property_path (
    organization_id TEXT NOT NULL,
    path            TEXT NOT NULL,
    PRIMARY KEY (organization_id, path)
) STRICT, WITHOUT ROWID;
)sql"};
constexpr int kPageBytes = 16 * 1024;

Product read_product(const Statement& row) {
    Product product;
    product.key = row.string(0);
    product.product_type = row.string(1);
    product.is_published = row.integer(2) != 0;
    product.body = row.string(3);
    return product;
}

struct ParsedLines {
    std::vector<Product> products;
    std::vector<std::string> paths;  // Sorted, without repetition.
    ImportReport report;
};

bool is_blank(std::string_view line) {
    return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

ParsedLines parse_lines(std::string_view lines, std::int64_t first_line) {
    ParsedLines out;
    model::PropertyPaths paths;
    for (std::int64_t number = first_line; !lines.empty(); ++number) {
        const std::size_t end = std::min(lines.find('\n'), lines.size());
        const std::string_view line = lines.substr(0, end);
        lines.remove_prefix(std::min(end + 1, lines.size()));
        if (is_blank(line)) continue;
        auto product = model::parse_product(line, &paths);
        if (product) {
            out.products.push_back(std::move(*product));
            continue;
        }
        ++out.report.rejected;
        if (out.report.errors.size() < limits::kImportErrorsShownMax) {
            out.report.errors.push_back({number, product.error().message});
        }
    }
    out.paths = std::move(paths.product);
    out.paths.insert(out.paths.end(), paths.variant.begin(), paths.variant.end());
    std::ranges::sort(out.paths);
    out.paths.erase(std::unique(out.paths.begin(), out.paths.end()), out.paths.end());
    return out;
}

}  // namespace

Result<std::unique_ptr<CatalogStore>> CatalogStore::open(const std::string& path,
                                                         const Clock& clock) {
    EW_TRY(std::unique_ptr<sqlite::Database> database,
           sqlite::Database::open({.path = path,
                                   .application_id = kApplicationId,
                                   .migrations = kMigrations,
                                   .page_bytes = kPageBytes}));
    return std::unique_ptr<CatalogStore>(new CatalogStore(std::move(database), clock));
}

Result<ImportReport> CatalogStore::import_lines(std::string_view organization_id,
                                                std::string_view lines, std::int64_t first_line) {
    ParsedLines parsed = parse_lines(lines, first_line);
    const std::int64_t now = clock_.unix_us();
    EW_CHECK(database_->write([&](Connection& connection) -> Result<void> {
        for (const Product& product : parsed.products) {
            EW_CHECK(connection
                         .statement(
                             "INSERT INTO product (organization_id, key, product_type, "
                             "is_published, updated_us, "
                             "body) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (organization_id, "
                             "key) DO UPDATE "
                             "SET product_type = ?3, is_published = ?4, updated_us = ?5, body = ?6")
                         .bind(organization_id, product.key, product.product_type,
                               product.is_published ? 1 : 0, now, product.body)
                         .run());
        }
        return remember_paths(connection, organization_id, parsed.paths);
    }));
    const std::lock_guard lock(known_paths_mutex_);
    if (known_paths_.size() > kKnownPathsMax) known_paths_.clear();
    for (const std::string& path : parsed.paths)
        known_paths_.insert(std::string(organization_id) + '\0' + path);
    parsed.report.imported = static_cast<std::int64_t>(parsed.products.size());
    return std::move(parsed.report);
}

Result<void> CatalogStore::remember_paths(Connection& connection, std::string_view organization_id,
                                          const std::vector<std::string>& paths) {
    for (const std::string& path : paths) {
        {
            const std::lock_guard lock(known_paths_mutex_);
            if (known_paths_.contains(std::string(organization_id) + '\0' + path)) continue;
        }
        EW_CHECK(connection
                     .statement("INSERT INTO property_path (organization_id, path) VALUES (?1, ?2) "
                                "ON CONFLICT DO NOTHING")
                     .bind(organization_id, path)
                     .run());
    }
    return {};
}

Result<void> CatalogStore::read_batch(std::string_view organization_id, std::string_view after_key,
                                      std::vector<Product>& batch) {
    batch.clear();
    return database_->read([&](Connection& connection) -> Result<void> {
        Statement rows = connection.statement(
            "SELECT key, product_type, is_published, body FROM product WHERE organization_id = ?1 "
            "AND key > ?2 "
            "ORDER BY key LIMIT ?3");
        rows.bind(organization_id, after_key, static_cast<std::int64_t>(limits::kCatalogBatchRows));
        std::size_t bytes = 0;
        while (bytes < limits::kCatalogBatchBytes) {
            EW_TRY(const bool more, rows.step());
            if (!more) break;
            batch.push_back(read_product(rows));
            bytes += batch.back().body.size();
        }
        return {};
    });
}

Result<Product> CatalogStore::find(std::string_view organization_id, std::string_view key) {
    return database_->read([&](Connection& connection) -> Result<Product> {
        Statement row = connection.statement(
            "SELECT key, product_type, is_published, body FROM product WHERE organization_id = ?1 "
            "AND key = ?2");
        EW_TRY(const bool found, row.bind(organization_id, key).step());
        if (!found) return fail(ErrorCode::kNotFound, "Product not found");
        return read_product(row);
    });
}

Result<std::int64_t> CatalogStore::count(std::string_view organization_id) {
    return database_->read([&](Connection& connection) -> Result<std::int64_t> {
        Statement row =
            connection.statement("SELECT count(*) FROM product WHERE organization_id = ?1");
        EW_TRY(const bool found, row.bind(organization_id).step());
        return found ? row.integer(0) : 0;
    });
}

Result<std::vector<std::string>> CatalogStore::property_paths(std::string_view organization_id) {
    return database_->read([&](Connection& connection) -> Result<std::vector<std::string>> {
        std::vector<std::string> out;
        Statement rows = connection.statement(
            "SELECT path FROM property_path WHERE organization_id = ?1 ORDER BY path");
        rows.bind(organization_id);
        for (;;) {
            EW_TRY(const bool more, rows.step());
            if (!more) return out;
            out.push_back(rows.string(0));
        }
    });
}

}  // namespace export_worker::catalog
