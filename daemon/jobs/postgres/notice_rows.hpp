// Rows of the table notice. Private to daemon/jobs/postgres.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/now.hpp"
#include "daemon/jobs/page.hpp"
#include "daemon/jobs/postgres/job_database.hpp"
#include "daemon/model/job.hpp"
#include "daemon/postgres/connection.hpp"

// The columns notices_of() reads, in its order.
#define EW_PG_NOTICE_COLUMNS "sequence, event_id, organization_id, job_id, type, body, at, attempts"

namespace export_worker::jobs::pg {

// What statements are limited to, so that the row behind the page tells whether more follow.
inline constexpr auto kNoticeRowsMax = static_cast<std::int64_t>(limits::kNoticesPage) + 1;

[[nodiscard]] Page<model::Notice> notices_of(const postgres::Rows& rows);
// Without numbers: number_fresh_notices() gives them once they are committed.
[[nodiscard]] Result<void> append_notices(postgres::Connection& connection,
                                          std::span<const model::Notice> notices, const Now& now);
// Numbers all that are committed, in the order they were written in; who reads notices calls it
// before. Each kNoticesNumberedMax in a transaction of their own.
[[nodiscard]] Result<void> number_fresh_notices(JobDatabase& database);

}  // namespace export_worker::jobs::pg
