// What the end of an attempt makes of its job, the same in every database: the job is read, changed
// here and written back in one transaction in which no other write of it comes between.
#pragma once

#include <cstdint>
#include <string_view>

#include "daemon/jobs/job_queue.hpp"
#include "daemon/jobs/now.hpp"
#include "daemon/model/job.hpp"

namespace export_worker::jobs {

// All are for a job in progress.
// As JobQueue::complete(), without its metadata.
void complete_attempt(model::Job& job, const Completion& completion, const Now& now);
// As JobQueue::give_up_attempt().
void give_up_attempt(model::Job& job, std::string_view error, bool permanent, std::int64_t delay_us,
                     const Now& now);
// As JobQueue::release().
void release_attempt(model::Job& job, const Now& now);
// The daemon that ran it has died: the attempt does not count, too many deaths do.
void rescue_attempt(model::Job& job, const Now& now);

// Also for a pending one.
void cancel_job(model::Job& job, const Now& now);
// As JobRequests::request_cancel(), for a job that has not ended. True: it ends by that. False: its
// worker is asked to stop.
[[nodiscard]] bool request_cancel(model::Job& job, const Now& now);
// As JobRequests::retry(), but for its deadline. The job has failed or was cancelled.
void retry_job(model::Job& job, const Now& now);

}  // namespace export_worker::jobs
