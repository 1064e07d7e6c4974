// The job registry in one SQLite file.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "daemon/jobs/job_store.hpp"
#include "daemon/model/file.hpp"
#include "daemon/sqlite/durability.hpp"

namespace export_worker::jobs {

// Opens or creates the file, and enters this process into its list of instances. The caller holds
// the lock of the directory: no other process has the file open. `clock` outlives the store.
// Errors: those of sqlite::Database::open().
[[nodiscard]] Result<std::unique_ptr<JobStore>> open_sqlite_job_store(
    const std::string& path, const Clock& clock, const JobPolicy& policy = {},
    sqlite::Durability durability = sqlite::Durability::kSynced);

// Whether it could be opened, as sqlite::Database::check() has it.
[[nodiscard]] Result<void> check_sqlite_job_store(const std::string& path);

// What can be said of a file without opening it as a store.
struct RegistryFacts {
    std::string id;                         // Empty: of before version 0.2.
    std::vector<model::FileKey> published;  // The first page of its files, as published_files().
};
// Only reads. Errors: those of check_sqlite_job_store(), of opening and reading it; kNotFound.
[[nodiscard]] Result<RegistryFacts> read_registry(const std::string& path);

}  // namespace export_worker::jobs
