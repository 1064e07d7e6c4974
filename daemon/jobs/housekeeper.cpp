#include "daemon/jobs/housekeeper.hpp"

#include <algorithm>
#include <cstdlib>

#include "base/fault_point.hpp"
#include "base/freeze.hpp"
#include "base/log.hpp"
#include "base/this_thread.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/now.hpp"

namespace export_worker::jobs {
namespace {

std::chrono::seconds retention_tolerance(const RetentionPolicy& policy) {
    auto half = limits::kRetentionToleranceMax;
    for (const auto age : {policy.file_age, policy.job_age}) {
        if (age.count() > 0) half = std::min(half, age / 2);
    }
    return std::max(half, limits::kRetentionToleranceMin);
}

std::int64_t wall_offset_us(const Clock& clock) {
    return clock.unix_us() - us_of(std::chrono::duration_cast<std::chrono::microseconds>(
                                 clock.steady().time_since_epoch()));
}

bool is_full(const Pruned& batch) {
    return std::max({batch.files, batch.jobs, batch.notices, batch.accesses}) >=
           limits::kHousekeepingBatch;
}

void add(Pruned& sum, const Pruned& batch) {
    sum.files += batch.files;
    sum.jobs += batch.jobs;
    sum.notices += batch.notices;
    sum.accesses += batch.accesses;
}

// After a batch that took so long: most of the writer's time belongs to requests.
std::chrono::milliseconds pause_after(std::chrono::steady_clock::time_point began) {
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::steady_clock::now() - began);
    return std::max(limits::kHousekeepingPause, limits::kHousekeepingPauseFactor * took);
}

}  // namespace

// Between two writes requests get their turn, and it may be time to stop.
void Housekeeper::restart_silence() {
    const auto done =
        jobs_.restart_silence([this] { return threads_.wait_for(limits::kHousekeepingPause); });
    if (!done && !threads_.stopping().load()) log_warn("silence of jobs: {}", done.error().message);
}

bool Housekeeper::enforce_limits() {
    const auto failed = jobs_.enforce_limits();
    if (!failed) {
        log_warn("deadlines: {}", failed.error().message);
        return false;
    }
    failed_ += *failed;
    if (*failed > 0) return true;
    if (failed_ > 0)
        log_info("{} jobs have failed: past their deadline, or without a report for too long",
                 failed_);
    failed_ = 0;
    return false;
}

bool Housekeeper::clock_was_set() const {
    const std::int64_t moved_us = wall_offset_us(clock_) - wall_offset_us_;
    return std::abs(moved_us) > us_of(retention_tolerance(retention_));
}

bool Housekeeper::clock_is_trusted() {
    wall_offset_us_ = wall_offset_us(clock_);
    const auto trusted = jobs_.check_retention_clock(retention_tolerance(retention_));
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

Result<Pruned> Housekeeper::retain_batch() {
    Pruned out;
    if (retention_.job_age.count() > 0) {
        EW_TRY(out, jobs_.prune(retention_.job_age));
        fault_point("retention.pruned");
    }
    if (retention_.file_age.count() > 0) {
        EW_TRY(out.files, jobs_.expire_files(retention_.file_age));
        fault_point("expiry.marked");
    }
    stats_.files_expired += out.files;
    stats_.jobs_pruned += out.jobs;
    stats_.notices_pruned += out.notices;
    return out;
}

void Housekeeper::log_retention() {
    if (retained_.files + retained_.jobs + retained_.notices > 0)
        log_info("retention: {} files have expired, {} jobs and {} notices are forgotten",
                 retained_.files, retained_.jobs, retained_.notices);
    retained_ = {};
}

void Housekeeper::record_backlog(bool more) {
    const SteadyTime now = clock_.steady();
    {
        const std::lock_guard lock(mutex_);
        if (!more) behind_since_.reset();
        if (more && !behind_since_) behind_since_ = now;
    }
    if (more && now < next_count_) return;
    next_count_ = now + limits::kRetentionInterval;
    const auto due = more ? jobs_.retention_backlog(retention_.file_age, retention_.job_age)
                          : RetentionBacklog();
    if (!due) return log_warn("retention: {}", due.error().message);
    stats_.files_due = due->files;
    stats_.jobs_due = due->jobs;
    stats_.notices_due = due->notices;
}

bool Housekeeper::retain() {
    if (!clock_is_trusted()) return false;
    const auto batch = retain_batch();
    if (!batch) {
        log_warn("retention: {}", batch.error().message);
        return false;
    }
    add(retained_, *batch);
    const bool more = is_full(*batch);
    record_backlog(more);
    if (!more) log_retention();
    return more;
}

std::string Housekeeper::problem() const {
    std::chrono::seconds behind{0};
    {
        const std::lock_guard lock(mutex_);
        if (behind_since_)
            behind =
                std::chrono::duration_cast<std::chrono::seconds>(clock_.steady() - *behind_since_);
    }
    if (behind < limits::kRetentionBehindAlarm) return "";
    return "retention has not caught up for " + std::to_string(behind.count()) +
           " s: " + std::to_string(stats_.files_due.load()) + " files, " +
           std::to_string(stats_.jobs_due.load()) + " jobs and " +
           std::to_string(stats_.notices_due.load()) + " notices or more are too old";
}

Result<Pruned> Housekeeper::prune_now(const std::function<bool(const Pruned&)>& progress) {
    EW_TRY(const bool trusted, jobs_.check_retention_clock(retention_tolerance(retention_)));
    if (!trusted)
        return fail(ErrorCode::kFailedPrecondition,
                    "retention is paused: the clock is too far from the last time the daemon ran; "
                    "set the clock if it is wrong, otherwise exportctl retention resume");
    Pruned sum;
    for (;;) {
        const auto began = std::chrono::steady_clock::now();
        EW_TRY(const Pruned batch, retain_batch());
        add(sum, batch);
        if (!progress(sum) || !is_full(batch)) break;
        if (!threads_.wait_for(pause_after(began))) break;
    }
    log_info("prune: {} files have expired, {} jobs and {} notices are forgotten", sum.files,
             sum.jobs, sum.notices);
    return sum;
}

// A registry of one daemon has rescued before its workers began.
void Housekeeper::rescue() {
    if (!standing_.is_shared()) return;
    const auto rescued = queue_.rescue();
    if (!rescued) return log_warn("jobs of dead daemons: {}", rescued.error().message);
    if (*rescued > 0) log_warn("{} jobs of a daemon that died are pending again", *rescued);
}

bool Housekeeper::keep_house(SteadyTime& next_retention) {
    rescue();
    const bool more = enforce_limits();
    if (clock_.steady() < next_retention && !clock_was_set()) return more;
    const bool too_old = retain();
    if (!too_old) next_retention = clock_.steady() + limits::kRetentionInterval;
    return more || too_old;
}

void Housekeeper::run() {
    name_this_thread("housekeeping");
    SteadyTime next_retention = clock_.steady();
    restart_silence();
    std::chrono::milliseconds pause = limits::kHousekeepingInterval;
    for (;;) {
        const auto asleep_since = std::chrono::steady_clock::now();
        if (!threads_.wait_for(pause)) return;
        const auto began = std::chrono::steady_clock::now();
        if (was_frozen(asleep_since, pause)) {
            log_warn(
                "the process was frozen for {} s: silence and stalls of jobs count anew",
                std::chrono::duration_cast<std::chrono::seconds>(began - asleep_since).count());
            restart_silence();
        }
        const bool more = standing_.does_lead() && keep_house(next_retention);
        pause = more ? pause_after(began) : limits::kHousekeepingInterval;
    }
}

}  // namespace export_worker::jobs
