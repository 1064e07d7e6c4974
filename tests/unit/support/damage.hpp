// Databases that cannot be read or written.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "daemon/sqlite/connection.hpp"

namespace export_worker::testing {

inline void execute_in(const std::string& path, const std::string& sql) {
    const auto connection = sqlite::Connection::open(path, sqlite::Connection::Mode::kReadWrite);
    ASSERT_TRUE(connection) << connection.error().message;
    const auto done = (*connection)->execute(sql);
    ASSERT_TRUE(done) << done.error().message;
}

// Changes of the table's rows fail with kInternal until allow_writes().
inline void refuse_writes(const std::string& path, const std::string& table) {
    execute_in(path, "CREATE TRIGGER refused_insert BEFORE INSERT ON " + table +
                         " BEGIN SELECT abs(-9223372036854775808); END; "
                         "CREATE TRIGGER refused_update BEFORE UPDATE ON " +
                         table + " BEGIN SELECT abs(-9223372036854775808); END");
}
inline void allow_writes(const std::string& path) {
    execute_in(path, "DROP TRIGGER refused_insert; DROP TRIGGER refused_update");
}

// From the next snapshot on, reading a row of the table fails with kDataLoss: its pages are of
// another kind than the table's.
inline void damage_table(const std::string& path, const std::string& table) {
    auto opened = sqlite::Connection::open(path, sqlite::Connection::Mode::kReadWrite);
    ASSERT_TRUE(opened) << opened.error().message;
    sqlite::Connection& connection = **opened;
    ASSERT_TRUE(
        connection.execute("CREATE TABLE stray (x); CREATE INDEX stray_index ON stray (x)"));
    const auto version = connection.query_integer("PRAGMA schema_version");
    ASSERT_TRUE(version);
    const auto done = connection.execute(
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema AS damaged SET rootpage = (SELECT "
        "rootpage FROM sqlite_schema WHERE name = iif(damaged.sql LIKE '%WITHOUT ROWID%', 'stray', "
        "'stray_index')) WHERE name = '" +
        table + "'; PRAGMA schema_version = " + std::to_string(*version + 1));
    ASSERT_TRUE(done) << done.error().message;
}

}  // namespace export_worker::testing
