// PostgreSQL's job store, for the suites of all of them.
#pragma once

#include <memory>
#include <string>

#include "daemon/jobs/postgres/postgres_job_store.hpp"
#include "tests/unit/daemon/jobs/job_store_fixture.hpp"
#include "tests/unit/support/postgres_schemas.hpp"

namespace export_worker::jobs {

inline StoreUnderTest postgres_store() {
    return {.name = "PostgreSQL",
            .open = [](const std::string& directory, RegistryClock& clock,
                       const JobPolicy& policy) -> std::unique_ptr<JobStore> {
                const auto* database = testing::PostgresSchemas::find(directory, clock);
                if (database == nullptr) return nullptr;
                auto store = open_postgres_job_store({.database = *database}, clock, policy);
                EXPECT_TRUE(store) << store.error().message;
                return store ? std::move(*store) : nullptr;
            },
            // The server's: the daemon's own clock is in no row.
            .jump = [](RegistryClock& clock, std::chrono::microseconds by) { clock.advance(by); },
            .done = testing::PostgresSchemas::give_back,
            .why_not =
                [] {
                    std::string why_not;
                    (void)testing::PostgresServer::get(why_not);
                    return why_not;
                }};
}

}  // namespace export_worker::jobs
