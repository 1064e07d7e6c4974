// SQLite's job store, for the suites of all of them.
#pragma once

#include "daemon/jobs/sqlite/sqlite_job_store.hpp"
#include "tests/unit/daemon/jobs/job_store_fixture.hpp"

namespace export_worker::jobs {

inline StoreUnderTest sqlite_store() {
    return {.name = "SQLite",
            .open = [](const std::string& directory, RegistryClock& clock,
                       const JobPolicy& policy) -> std::unique_ptr<JobStore> {
                auto store = open_sqlite_job_store(directory + "/jobs.db", clock, policy,
                                                   sqlite::Durability::kUnsyncedForTest);
                EXPECT_TRUE(store) << store.error().message;
                return store ? std::move(*store) : nullptr;
            },
            .jump = [](RegistryClock& clock, std::chrono::microseconds by) { clock.jump(by); }};
}

}  // namespace export_worker::jobs
