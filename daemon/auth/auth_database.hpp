// auth.db: the tables behind KeyStore and MemberStore.
#pragma once

#include <memory>
#include <string>

#include "base/result.hpp"
#include "daemon/sqlite/database.hpp"

namespace export_worker::auth {

// Creates or migrates the file. Reserves kDatabaseLogBytesReserved of disk for its log, so that
// keys and sessions can be revoked while the disk is full; without them it logs a warning. Errors:
// see Database::open().
[[nodiscard]] Result<std::unique_ptr<sqlite::Database>> open_auth_database(
    const std::string& path, sqlite::Durability durability = sqlite::Durability::kSynced);

// Whether it could be opened, as Database::check() has it.
[[nodiscard]] Result<void> check_auth_database(const std::string& path);

}  // namespace export_worker::auth
