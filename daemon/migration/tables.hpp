// What is copied: for each table of the PostgreSQL schema its columns, and the statement that reads
// them from a SQLite file.
//
// Times of the registry's own line (daemon/jobs/sqlite/time_line.hpp) become instants: the
// statements subtract ?1, which is the line's time less the database's. ?2 is the line's time of
// the move.
#pragma once

#include <cstdint>
#include <span>

namespace export_worker::migration {

enum class SourceFile : std::uint8_t { kJobs, kCatalog, kAuth };
inline constexpr int kSourceFiles = 3;
[[nodiscard]] const char* name_of(SourceFile file);  // "jobs.db"

enum class ColumnType : std::uint8_t {
    kBoolean,
    kSmallint,
    kInteger,
    kBigint,
    kInstant,  // timestamptz; microseconds since 1970.
    kText,     // What PostgreSQL cannot store of it becomes U+FFFD.
    kKey,      // The same, but such a text ends the move: two keys could become one.
};

struct Column {
    const char* name;
    ColumnType type;
};

struct Table {
    const char* name;  // In PostgreSQL.
    SourceFile file;
    std::span<const Column> columns;
    // Rows with these columns, in the order of `order`.
    const char* select;
    const char* order;  // Of PostgreSQL.
    // A daemon that only starts and stops writes it: --undo does not look at it.
    bool changes_at_start = false;
};

// In the order in which they refer to each other.
[[nodiscard]] std::span<const Table> tables();

}  // namespace export_worker::migration
