// Links and downloads of jobs, and the list of events that shows them. Private to
// daemon/jobs/postgres.
//
// Apart from what a job goes through, which is little and in order: a link is given as often as
// anybody asks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.hpp"
#include "daemon/jobs/job_accesses.hpp"
#include "daemon/jobs/now.hpp"
#include "daemon/jobs/page.hpp"
#include "daemon/model/job.hpp"
#include "daemon/model/organization_scope.hpp"
#include "daemon/postgres/connection.hpp"

namespace export_worker::jobs::pg {

// In one transaction.
[[nodiscard]] Result<void> count_accesses(postgres::Connection& connection,
                                          std::span<const JobAccess> accesses, const Now& now);
// As JobReader::events().
[[nodiscard]] Result<Page<model::JobEvent>> events_after(postgres::Connection& connection,
                                                         const model::OrganizationScope& scope,
                                                         std::string_view job_id,
                                                         std::int64_t after);
// Forgets those of days that ended before `before_us` (Unix time), at most kHousekeepingBatch; how
// many.
[[nodiscard]] Result<std::size_t> forget_accesses(postgres::Connection& connection,
                                                  std::int64_t before_us);

}  // namespace export_worker::jobs::pg
