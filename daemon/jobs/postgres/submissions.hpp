// A new job, or the one its idempotency key has made before. Private to daemon/jobs/postgres.
#pragma once

#include <string>

#include "base/result.hpp"
#include "daemon/jobs/job_draft.hpp"
#include "daemon/jobs/job_requests.hpp"
#include "daemon/jobs/postgres/job_quotas.hpp"
#include "daemon/postgres/connection.hpp"

namespace export_worker::jobs::pg {

// As JobRequests::create(), in a transaction; a new job is the draft's. `unlimited`: of this
// transaction.
[[nodiscard]] Result<CreatedJob> insert_job(postgres::Connection& connection,
                                            const NewJob& submitted, JobDraft draft,
                                            UnlimitedOrganizations& unlimited, const Now& now);

}  // namespace export_worker::jobs::pg
