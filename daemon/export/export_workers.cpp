#include "daemon/export/export_workers.hpp"

#include <algorithm>

#include "base/fault_point.hpp"
#include "base/log.hpp"
#include "base/this_thread.hpp"
#include "base/thread_role.hpp"
#include "daemon/export/limits.hpp"
#include "daemon/jobs/limits.hpp"

namespace export_worker::exports {
namespace {

std::chrono::seconds retention_tolerance(const HousekeepingPolicy& policy) {
    auto half = limits::kRetentionToleranceMax;
    for (const auto retention : {policy.file_retention, policy.job_retention}) {
        if (retention.count() > 0) half = std::min(half, retention / 2);
    }
    return std::max(half, limits::kRetentionToleranceMin);
}

}  // namespace

void ExportWorkers::start(unsigned count) {
    for (unsigned index = 0; index < count; ++index) slots_.emplace_back(stopping_);
    for (Slot& slot : slots_) threads_.emplace_back([this, &slot] { run(slot); });
    threads_.emplace_back([this] { run_housekeeping(); });
}

void ExportWorkers::wake() {
    {
        const std::lock_guard lock(mutex_);
        ++wakes_;
    }
    changed_.notify_all();
}

void ExportWorkers::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_.store(true);
    }
    changed_.notify_all();
    ending_.notify_all();
    fault_point("workers.stopping");
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
}

void ExportWorkers::run(Slot& slot) {
    name_this_thread("export");
    set_thread_role(ThreadRole::kExport);
    // An export takes seconds anyway; whoever asks for a link must not wait for it.
    give_way_to_other_threads();
    std::uint64_t seen_wakes = 0;
    while (!stopping_.load()) {
        {
            const std::lock_guard lock(mutex_);
            seen_wakes = wakes_;
        }
        auto job = deps_.jobs->queue().claim();
        if (job && job->has_value()) {
            run_one(slot, **job);
            continue;
        }
        if (!job) log_error("claim: {}", job.error().message);
        // A wake that came after the look at the queue must not be slept through. Retries come due
        // by time alone.
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, limits::kJobPollInterval,
                          [&] { return stopping_.load() || wakes_ != seen_wakes; });
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
    count(run_export(deps_, job, slot.watch), began);
    --stats_.running;
    {
        const std::lock_guard lock(slot.mutex);
        slot.job.reset();
    }
    // Another one of the same organization may start now.
    wake();
}

void ExportWorkers::count(const Result<void>& attempt, SteadyTime began) {
    const auto took = deps_.clock->steady() - began;
    stats_.busy_us += static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(took).count());
    stats_.seconds.observe(took);
    const ErrorCode code = attempt ? ErrorCode::kInternal : attempt.error().code;
    const bool put_back =
        code == ErrorCode::kConflict || (code == ErrorCode::kUnavailable && stopping_.load());
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
        if (!slot.job || silent < housekeeping_.stall_limit) return;
        stalled = slot.job;
    }
    const LogScope scope("", stalled->trace_id);
    const std::string why =
        "no progress for " + std::to_string(housekeeping_.stall_limit.count()) + " s";
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

void ExportWorkers::count_anew() {
    for (Slot& slot : slots_) slot.watch.progressed_at.store(deps_.clock->steady());
    if (auto done = deps_.jobs->retention().restart_silence(); !done)
        log_warn("silence of jobs: {}", done.error().message);
}

bool ExportWorkers::clock_is_trusted() {
    const auto trusted =
        deps_.jobs->retention().check_retention_clock(retention_tolerance(housekeeping_));
    if (!trusted) {
        log_warn("retention: {}", trusted.error().message);
        return false;
    }
    if (!*trusted && !retention_paused_)
        log_error(
            "retention is paused: the clock is too far from the last time the daemon ran; "
            "exportctl status tells both times");
    if (*trusted && retention_paused_) log_info("retention goes on");
    retention_paused_ = !*trusted;
    return *trusted;
}

bool ExportWorkers::expire_files() {
    if (housekeeping_.file_retention.count() == 0) return false;
    const auto expired = deps_.jobs->retention().expire_files(housekeeping_.file_retention);
    fault_point("expiry.marked");
    if (!expired) {
        log_warn("expiry: {}", expired.error().message);
        return false;
    }
    if (*expired > 0) {
        if (auto dropped = drop_unpublished(deps_); !dropped) {
            log_warn("expiry: {}", dropped.error().message);
            return false;
        }
    }
    files_expired_ += *expired;
    if (*expired == limits::kHousekeepingBatch) return true;
    if (files_expired_ > 0)
        log_info("{} files were older than {} s and are gone", files_expired_,
                 housekeeping_.file_retention.count());
    files_expired_ = 0;
    return false;
}

bool ExportWorkers::prune_jobs() {
    if (housekeeping_.job_retention.count() == 0) return false;
    const auto pruned = deps_.jobs->retention().prune(housekeeping_.job_retention);
    if (!pruned) log_warn("retention: {}", pruned.error().message);
    return pruned && std::max({pruned->jobs, pruned->notices, pruned->accesses}) ==
                         limits::kHousekeepingBatch;
}

bool ExportWorkers::expire() {
    if (!clock_is_trusted()) return false;
    const bool more_files = expire_files();
    return prune_jobs() || more_files;
}

void ExportWorkers::enforce_limits() {
    while (!stopping_.load()) {
        const auto done = deps_.jobs->retention().enforce_limits();
        if (!done) log_warn("deadlines: {}", done.error().message);
        if (!done || *done == 0) return;
    }
}

void ExportWorkers::sweep_now() {
    const auto swept = sweep(deps_, housekeeping_.orphan_grace);
    if (!swept) {
        if (!stopping_.load()) log_warn("sweep: {}", swept.error().message);
    } else if (swept->unpublished + swept->orphans > 0) {
        log_info("sweep: deleted {} unpublished files and {} orphans", swept->unpublished,
                 swept->orphans);
    }
}

void ExportWorkers::run_housekeeping() {
    name_this_thread("housekeeping");
    set_thread_role(ThreadRole::kExport);
    if (auto dropped = drop_unpublished(deps_); !dropped && !stopping_.load())
        log_warn("files nobody published are left to the sweep: {}", dropped.error().message);
    const Clock& clock = *deps_.clock;
    SteadyTime next_sweep =
        clock.steady() + std::min(housekeeping_.sweep_interval, limits::kOrphanSweepFirst);
    SteadyTime next_expiry = clock.steady();
    count_anew();
    std::chrono::milliseconds pause = limits::kHousekeepingInterval;
    for (;;) {
        // Real time, whatever the injected clock says: the subject is this process.
        const auto asleep_since = std::chrono::steady_clock::now();
        {
            std::unique_lock lock(mutex_);
            if (ending_.wait_for(lock, pause, [this] { return stopping_.load(); })) return;
        }
        const auto slept = std::chrono::steady_clock::now() - asleep_since;
        if (slept > limits::kHousekeepingInterval + limits::kFreezeMin) {
            log_warn("the process was frozen for {} s: silence and stalls of jobs count anew",
                     std::chrono::duration_cast<std::chrono::seconds>(slept).count());
            count_anew();
        }
        for (Slot& slot : slots_) fence_stalled(slot);
        enforce_limits();
        pause = limits::kHousekeepingInterval;
        if (clock.steady() >= next_expiry) {
            const bool more = expire();
            next_expiry =
                clock.steady() +
                (more ? SteadyTime::duration(0) : SteadyTime::duration(limits::kRetentionInterval));
            if (more) pause = limits::kHousekeepingPause;
        }
        if (clock.steady() >= next_sweep) {
            next_sweep = clock.steady() + housekeeping_.sweep_interval;
            sweep_now();
        }
    }
}

}  // namespace export_worker::exports
