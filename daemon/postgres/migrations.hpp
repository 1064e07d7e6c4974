// The tables that several folders keep in one schema, and their versions.
//
// A folder's steps run in one transaction, one process at a time; a crash leaves the schema as it
// was before. Every schema has the function database_now(): the clock that all times of rows come
// from.
#pragma once

#include <span>
#include <string>

#include "base/result.hpp"
#include "daemon/postgres/connection.hpp"

namespace export_worker::postgres {

struct Migrations {
    std::string component;               // Whose tables: "jobs".
    std::span<const char* const> steps;  // Index + 1 is the version each one leads to.
};

// Creates the schema if it is missing, and runs the steps it has not seen. A later version's schema
// is taken if that version says that this one may. Errors: kFailedPrecondition (a later version,
// privileges), and those of statements.
[[nodiscard]] Result<void> migrate(Connection& connection, const std::string& schema,
                                   const Migrations& migrations);

// Until the transaction of `connection` ends no migrate() of any process goes on: a daemon that
// starts waits. Errors: those of statements.
[[nodiscard]] Result<void> lock_migrations(Connection& connection);

// Whether a start could use the schema, or make it. Changes nothing. Errors: those of
// Connection::open(); kFailedPrecondition (privileges).
[[nodiscard]] Result<void> check_schema(const ConnectOptions& options);

}  // namespace export_worker::postgres
