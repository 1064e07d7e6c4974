#include "daemon/jobs/sqlite_job_store.hpp"

#include "tests/unit/daemon/jobs/job_store_care_conformance.hpp"
#include "tests/unit/daemon/jobs/job_store_conformance.hpp"

namespace export_worker::jobs {

INSTANTIATE_TEST_SUITE_P(Sqlite, JobStoreConformance,
                         ::testing::Values(StoreFactory([](const std::string& directory,
                                                           const Clock& clock,
                                                           const JobPolicy& policy) {
                             auto store =
                                 open_sqlite_job_store(directory + "/jobs.db", clock, policy);
                             EXPECT_TRUE(store) << store.error().message;
                             return store ? std::move(*store) : nullptr;
                         })));

}  // namespace export_worker::jobs
