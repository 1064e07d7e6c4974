// Whether a start may make databases, so that lost ones are not taken for a new installation.
//
//   STATE/new-databases       a start may make the databases that are missing or empty
//   STATE/moved-to-postgres   jobs, products and keys are in PostgreSQL now; what is left is of
//   then
//
// The first start makes the file before its first database, and an operator makes it to go on
// without what is lost. The start that has all databases deletes it; one that crashes before leaves
// it, and the next one goes on.
#pragma once

#include <string>

#include "base/result.hpp"
#include "daemon/config/config.hpp"

namespace export_worker::app {

[[nodiscard]] std::string moved_mark_of(const std::string& state_dir);

// Whether a start with `config` finds all databases, or may make those it does not. Changes
// nothing. With a shared database there are none here, but those that were moved. Errors:
// kFailedPrecondition, some are there and others are missing or empty, or all are there and
// PostgreSQL is not told by a mark that it has them, or is;
// kUnavailable, none is there, and exports of another registry lie in the store of exports: the
// volume of state_dir may not be mounted. [any-thread]
[[nodiscard]] Result<void> check_first_start(const config::Config& config);

// The same, and makes the file at a first start. The caller holds the lock of state_dir. Errors:
// also those of the file system.
[[nodiscard]] Result<void> begin_first_start(const config::Config& config);
// All databases are open: deletes the file. Errors: those of the file system.
[[nodiscard]] Result<void> end_first_start(const std::string& state_dir);

}  // namespace export_worker::app
