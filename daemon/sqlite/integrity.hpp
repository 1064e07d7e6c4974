// What can be said of a database file that no part of this program has open.
#pragma once

#include <string>

#include "base/result.hpp"

namespace export_worker::sqlite {

// Whether every page can be read and belongs where it is. Reads the whole file; no other process
// has it open. May leave -wal and -shm beside it. Errors: kDataLoss, with the first damage found;
// those of opening it.
[[nodiscard]] Result<void> check_integrity(const std::string& path);

// Whether a start of the daemon has made its tables: a file of 0 bytes, and one that a crash left
// before its first migration, have none. Errors: those of opening and reading it.
[[nodiscard]] Result<bool> has_tables(const std::string& path);

}  // namespace export_worker::sqlite
