// STATE/moved-to-postgres: a file of JSON that says where the rows of the SQLite files beside it
// are now, and which schema versions these files had.
//
// A crash leaves the whole file or none, and perhaps a ".part" beside it that counts for nothing.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "daemon/migration/tables.hpp"

namespace export_worker::migration {

struct MoveMark {
    std::string move_id;  // Of the row of moved_registry in PostgreSQL.
    std::string registry_id;
    std::string schema;
    std::string moved_at;  // UTC, as to_iso8601() writes it; for people.
    std::array<std::int64_t, kSourceFiles> schema_versions{};
};

// nullopt: there is none. Errors: kDataLoss for one that cannot be read; those of the file system.
[[nodiscard]] Result<std::optional<MoveMark>> read_move_mark(const std::string& path);
// Durable when they return. Errors: those of the file system.
[[nodiscard]] Result<void> write_move_mark(const std::string& path, const MoveMark& mark);
[[nodiscard]] Result<void> remove_move_mark(const std::string& path);

}  // namespace export_worker::migration
