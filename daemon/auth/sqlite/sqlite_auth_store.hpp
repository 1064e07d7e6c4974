// Keys, members and sessions in one SQLite file.
#pragma once

#include <memory>
#include <string>

#include "daemon/auth/auth_store.hpp"
#include "daemon/sqlite/durability.hpp"

namespace export_worker::auth {

// Creates or migrates the file. Reserves kDatabaseLogBytesReserved of disk for its log, so that
// keys and sessions can be revoked while the disk is full; without them it logs a warning. Errors:
// see sqlite::Database::open().
[[nodiscard]] Result<std::unique_ptr<AuthStore>> open_sqlite_auth_store(
    const std::string& path, sqlite::Durability durability = sqlite::Durability::kSynced);

// Whether it could be opened, as sqlite::Database::check() has it.
[[nodiscard]] Result<void> check_sqlite_auth_store(const std::string& path);

}  // namespace export_worker::auth
