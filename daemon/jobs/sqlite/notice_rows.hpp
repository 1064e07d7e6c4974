// Rows of the table notice. Private to daemon/jobs/sqlite.
#pragma once

#include <cstdint>

#include "base/result.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/page.hpp"
#include "daemon/model/job.hpp"
#include "daemon/sqlite/connection.hpp"

// The columns read_notices() reads, in its order.
#define EW_NOTICE_COLUMNS "sequence, event_id, organization_id, job_id, type, body, at_us, attempts"

namespace export_worker::jobs {

// What statements are bound to, so that the row behind the page tells whether more follow.
inline constexpr auto kNoticeRowsMax = static_cast<std::int64_t>(limits::kNoticesPage) + 1;

// Of a statement that was bound to kNoticeRowsMax.
[[nodiscard]] Result<Page<model::Notice>> read_notices(sqlite::Statement& rows);

}  // namespace export_worker::jobs
