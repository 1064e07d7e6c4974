// Tells an AuthFollower what has changed in the records, and the other daemons that it knows.
// Private to daemon/auth/postgres.
//
// A thread looks whether the membership has found a newer version with its lease. A write of this
// process does not wait for that: catch_up() follows at once.
#pragma once

#include <cstdint>
#include <mutex>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/stoppable_threads.hpp"
#include "daemon/auth/auth_changes.hpp"
#include "daemon/cluster/membership.hpp"
#include "daemon/postgres/database.hpp"

namespace export_worker::auth::pg {

// [any-thread]
class ChangeFollower {
public:
    // Both outlive it.
    ChangeFollower(postgres::Database& database, cluster::Membership& membership)
        : database_(database), membership_(membership) {}
    // From here on follow() tells what was changed. Errors: those of reads.
    [[nodiscard]] Result<void> start();

    // As AuthStore has them.
    [[nodiscard]] Result<void> follow(AuthFollower& follower);
    void unfollow();
    // What is committed is told when it returns. Errors: those of reads; the thread tries again.
    [[nodiscard]] Result<void> catch_up();

private:
    // Both with mutex_ held.
    [[nodiscard]] Result<void> tell_changes();
    [[nodiscard]] Result<void> tell_nobody();
    void run();

    postgres::Database& database_;
    cluster::Membership& membership_;
    std::mutex mutex_;  // One at a time, so that nothing older is told after something newer.
    AuthFollower* follower_ = nullptr;  // Guarded by mutex_; null: nothing is in memory.
    cluster::Changes start_;            // When the store was opened. Fixed once start() returns.
    cluster::Changes told_;             // Guarded by mutex_.
    StoppableThreads threads_;          // Last: its thread uses the rest.
};

}  // namespace export_worker::auth::pg
