#include "daemon/export/export_workers.hpp"

#include "base/fault_point.hpp"
#include "base/freeze.hpp"
#include "base/log.hpp"
#include "base/this_thread.hpp"
#include "base/thread_role.hpp"
#include "daemon/export/limits.hpp"

namespace export_worker::exports {

void ExportWorkers::start(unsigned count) {
    for (unsigned index = 0; index < count; ++index) slots_.emplace_back(threads_.stopping());
    for (Slot& slot : slots_) threads_.start([this, &slot] { run(slot); });
    threads_.start([this] { run_watch(); });
}

void ExportWorkers::stop() {
    threads_.request_stop();
    fault_point("workers.stopping");
    threads_.stop();
}

void ExportWorkers::run(Slot& slot) {
    name_this_thread("export");
    set_thread_role(ThreadRole::kExport);
    // An export takes seconds anyway; whoever asks for a link must not wait for it.
    give_way_to_other_threads();
    while (!threads_.stopping().load()) {
        // A wake that comes after the look at the queue must not be slept through. Retries come
        // due by time alone.
        const std::uint64_t seen = threads_.wakes();
        // Jobs wait for a store or a database that is away: an attempt could only fail. The alarm
        // says why.
        if (!deps_.files->problem().empty() || !deps_.standing.counts()) {
            (void)threads_.wait_for(limits::kJobPollInterval, seen);
            continue;
        }
        auto job = deps_.jobs->queue().claim();
        if (job && job->has_value()) {
            run_one(slot, **job);
            continue;
        }
        if (!job) log_error("claim: {}", job.error().message);
        (void)threads_.wait_for(limits::kJobPollInterval, seen);
    }
}

void ExportWorkers::run_one(Slot& slot, const jobs::ClaimedJob& job) {
    slot.watch.progressed_at.store(deps_.clock->steady());
    {
        const std::lock_guard lock(slot.mutex);
        slot.job = job;
    }
    const SteadyTime began = deps_.clock->steady();
    ++stats_.running;
    const auto attempt = run_export(deps_, job, slot.watch);
    count(attempt, slot.watch.was_hindered || threads_.stopping().load(), began);
    --stats_.running;
    {
        const std::lock_guard lock(slot.mutex);
        slot.job.reset();
    }
    // Another one of the same organization may start now.
    wake();
}

void ExportWorkers::count(const Result<void>& attempt, bool interrupted, SteadyTime began) {
    const auto took = deps_.clock->steady() - began;
    stats_.busy_us += static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(took).count());
    stats_.seconds.observe(took);
    const ErrorCode code = attempt ? ErrorCode::kInternal : attempt.error().code;
    const bool put_back =
        code == ErrorCode::kConflict || (code == ErrorCode::kUnavailable && interrupted);
    ++(attempt                         ? stats_.completed
       : code == ErrorCode::kCancelled ? stats_.cancelled
       : put_back                      ? stats_.put_back
                                       : stats_.failed);
    if (!attempt && !put_back && code != ErrorCode::kCancelled)
        ++stats_.failed_by.at(static_cast<std::size_t>(code));
    // What a caller asked for, and who took a job away, says nothing about the store.
    if (put_back || code == ErrorCode::kCancelled || code == ErrorCode::kInvalidArgument) return;
    const std::lock_guard lock(mutex_);
    failures_ = attempt ? 0 : failures_ + 1;
    last_failure_ = attempt ? "" : attempt.error().message;
}

std::string ExportWorkers::problem() const {
    const std::lock_guard lock(mutex_);
    if (failures_ < limits::kExportFailuresAlarm) return "";
    return "the last " + std::to_string(failures_) +
           " attempts have failed, the last one: " + last_failure_;
}

void ExportWorkers::fence_stalled(Slot& slot) {
    std::optional<jobs::ClaimedJob> stalled;
    {
        const std::lock_guard lock(slot.mutex);
        const auto silent = deps_.clock->steady() - slot.watch.progressed_at.load();
        if (!slot.job || silent < stall_limit_) return;
        stalled = slot.job;
    }
    const LogScope scope("", stalled->trace_id);
    const std::string why = "no progress for " + std::to_string(stall_limit_.count()) + " s";
    const auto put_back = deps_.jobs->queue().give_up_attempt(
        stalled->lease, why, false, retry_delay(deps_.policy, stalled->attempt).count());
    // kConflict: it has ended by itself in the meantime. After any other error the next look tries
    // again.
    if (!put_back && put_back.error().code != ErrorCode::kConflict) {
        log_error("job {}: {}: {}", stalled->lease.job_id, why, put_back.error().message);
        return;
    }
    if (put_back) {
        ++stats_.stalled;
        log_error("job {}: {}; its worker has lost it", stalled->lease.job_id, why);
    }
    {
        const std::lock_guard lock(slot.mutex);
        if (slot.job && slot.job->lease == stalled->lease) slot.job.reset();
    }
    wake();
}

void ExportWorkers::release_unattended() {
    std::vector<model::Lease> running;
    for (Slot& slot : slots_) {
        const std::lock_guard lock(slot.mutex);
        if (slot.job) running.push_back(slot.job->lease);
    }
    const auto released = unattended_.release(deps_.jobs->queue(), running, deps_.clock->steady());
    if (!released) return log_warn("jobs without a worker: {}", released.error().message);
    if (*released > 0) wake();
}

void ExportWorkers::count_anew() {
    for (Slot& slot : slots_) slot.watch.progressed_at.store(deps_.clock->steady());
}

void ExportWorkers::run_watch() {
    name_this_thread("export watch");
    set_thread_role(ThreadRole::kExport);
    count_anew();
    for (;;) {
        const auto asleep_since = std::chrono::steady_clock::now();
        if (!threads_.wait_for(limits::kStallPollInterval)) return;
        if (was_frozen(asleep_since, limits::kStallPollInterval)) count_anew();
        for (Slot& slot : slots_) fence_stalled(slot);
        release_unattended();
    }
}

}  // namespace export_worker::exports
