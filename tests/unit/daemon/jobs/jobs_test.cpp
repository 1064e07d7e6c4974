// One set of suites for every job store.
#include "tests/unit/daemon/jobs/job_store_conformance.hpp"
#include "tests/unit/daemon/jobs/job_store_deliveries_conformance.hpp"
#include "tests/unit/daemon/jobs/job_store_limits_conformance.hpp"
#include "tests/unit/daemon/jobs/job_store_lists_conformance.hpp"
#include "tests/unit/daemon/jobs/job_store_lost_answers_conformance.hpp"
#include "tests/unit/daemon/jobs/job_store_maintenance_conformance.hpp"
#include "tests/unit/daemon/jobs/job_store_time_conformance.hpp"
#include "tests/unit/daemon/jobs/postgres/postgres_store_under_test.hpp"
#include "tests/unit/daemon/jobs/sqlite/sqlite_store_under_test.hpp"

namespace export_worker::jobs {

INSTANTIATE_TEST_SUITE_P(Sqlite, JobStoreConformance, ::testing::Values(sqlite_store()));
INSTANTIATE_TEST_SUITE_P(Postgres, JobStoreConformance, ::testing::Values(postgres_store()));

}  // namespace export_worker::jobs
