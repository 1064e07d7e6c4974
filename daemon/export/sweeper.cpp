#include "daemon/export/sweeper.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "base/this_thread.hpp"
#include "base/thread_role.hpp"
#include "daemon/export/limits.hpp"

namespace export_worker::exports {

void Sweeper::record(const Result<void>& deleted) {
    const std::lock_guard lock(mutex_);
    if (deleted) {
        failing_since_.reset();
        return;
    }
    if (!failing_since_) failing_since_ = deps_.clock->steady();
    last_failure_ = deleted.error().message;
}

std::string Sweeper::problem() const {
    const std::lock_guard lock(mutex_);
    if (!failing_since_) return "";
    const auto failing =
        std::chrono::duration_cast<std::chrono::seconds>(deps_.clock->steady() - *failing_since_);
    if (failing < limits::kSweepLateAlarm) return "";
    return "expired files could not be deleted for " + std::to_string(failing.count()) +
           " s: " + last_failure_;
}

bool Sweeper::delete_withdrawn() {
    std::size_t sum = 0;
    std::size_t some = 0;
    Result<void> done;
    do {
        done = drop_withdrawn(deps_, threads_.stopping(), some);
        sum += some;
    } while (some > 0 && !threads_.stopping().load());
    stats_.withdrawn += sum;
    if (sum > 0) log_info("{} expired or withdrawn files are deleted", sum);
    if (threads_.stopping().load()) return true;
    record(done);
    if (!done) log_warn("expired files are not deleted yet: {}", done.error().message);
    return done.has_value();
}

void Sweeper::delete_unpublished() {
    const auto dropped = drop_unpublished(deps_);
    if (dropped) {
        stats_.unpublished += *dropped;
    } else if (!threads_.stopping().load()) {
        log_warn("files nobody published are left to the sweep: {}", dropped.error().message);
    }
}

void Sweeper::sweep_now() {
    Swept swept;
    const auto done = sweep(deps_, policy_.orphan_grace, threads_.stopping(), swept);
    stats_.unpublished += swept.unpublished;
    stats_.orphans += swept.orphans;
    if (swept.unpublished + swept.orphans > 0)
        log_info("sweep: deleted {} unpublished files and {} orphans", swept.unpublished,
                 swept.orphans);
    if (!done && !threads_.stopping().load()) log_warn("sweep: {}", done.error().message);
}

void Sweeper::run() {
    name_this_thread("sweep");
    set_thread_role(ThreadRole::kExport);
    give_way_to_other_threads();
    delete_unpublished();
    const Clock& clock = *deps_.clock;
    SteadyTime next_sweep = clock.steady() + std::min(policy_.interval, limits::kOrphanSweepFirst);
    SteadyTime next_deletion = clock.steady();
    while (threads_.wait_for(limits::kSweepPollInterval)) {
        if (!deps_.standing.does_lead()) continue;
        if (clock.steady() >= next_deletion && !delete_withdrawn())
            next_deletion = clock.steady() + limits::kSweepRetryInterval;
        if (clock.steady() >= next_sweep) {
            next_sweep = clock.steady() + policy_.interval;
            sweep_now();
        }
    }
}

}  // namespace export_worker::exports
