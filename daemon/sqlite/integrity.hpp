// Whether every page of a database file can be read and belongs where it is.
#pragma once

#include <string>

#include "base/result.hpp"

namespace export_worker::sqlite {

// Reads the whole file; no other process has it open. May leave -wal and -shm beside it. Errors:
// kDataLoss, with the first damage found; those of opening it.
[[nodiscard]] Result<void> check_integrity(const std::string& path);

}  // namespace export_worker::sqlite
