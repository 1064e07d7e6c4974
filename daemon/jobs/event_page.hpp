// The list of a job's events, page by page: first what the job went through, then its links and
// downloads. The same for every database.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/page.hpp"
#include "daemon/model/job.hpp"

namespace export_worker::jobs {

// Links and downloads are counted by the minute and kept by the day of Unix time.
inline constexpr std::int64_t kMinuteUs = 60'000'000;
inline constexpr std::int64_t kDayUs = 24 * 60 * kMinuteUs;
// What a reader reads at most: one more than a page has, so that the last tells whether more
// follow.
inline constexpr auto kEventRowsMax = static_cast<std::int64_t>(limits::kJobEventsPage) + 1;

// The rows behind the one of this number, in order, at most kEventRowsMax.
using ReadEventRows = std::function<Result<std::vector<model::JobEvent>>(std::int64_t after)>;

// As JobReader::events(); each entry gets `trace_id`. Errors: those of the readers.
[[nodiscard]] Result<Page<model::JobEvent>> event_page(std::int64_t after,
                                                       const std::string& trace_id,
                                                       const ReadEventRows& read_events,
                                                       const ReadEventRows& read_accesses);

}  // namespace export_worker::jobs
