#include "daemon/auth/postgres/change_follower.hpp"

#include "base/log.hpp"
#include "base/this_thread.hpp"
#include "daemon/auth/postgres/postgres_key_records.hpp"
#include "daemon/auth/postgres/postgres_member_records.hpp"
#include "daemon/auth/postgres/postgres_session_records.hpp"

namespace export_worker::auth::pg {
namespace {

using cluster::ChangeKind;
using cluster::Changes;
using postgres::Connection;

struct Found {
    std::int64_t version = 0;
    AuthChanges changes;
};

// Rows are read after the version: they may be newer, and then come again.
Result<Found> read_changes(Connection& connection, std::int64_t since, bool is_whole) {
    Found out;
    EW_TRY(out.version, cluster::read_version(connection, ChangeKind::kAuth));
    out.changes.is_whole = is_whole;
    EW_TRY(out.changes.keys, changed_keys(connection, since, is_whole));
    EW_TRY(out.changes.members, changed_members(connection, since, is_whole));
    EW_TRY(out.changes.sessions, changed_sessions(connection, since, is_whole));
    return out;
}

}  // namespace

Result<void> ChangeFollower::start() {
    {
        const std::lock_guard lock(mutex_);
        EW_CHECK(tell_nobody());
        start_ = told_;
    }
    threads_.start([this] { run(); });
    return {};
}

Result<void> ChangeFollower::follow(AuthFollower& follower) {
    const std::lock_guard lock(mutex_);
    follower_ = &follower;
    told_ = start_;
    auto told = tell_changes();
    if (!told) follower_ = nullptr;
    return told;
}

void ChangeFollower::unfollow() {
    const std::lock_guard lock(mutex_);
    follower_ = nullptr;
}

Result<void> ChangeFollower::catch_up() {
    const std::lock_guard lock(mutex_);
    return follower_ == nullptr ? tell_nobody() : tell_changes();
}

Result<void> ChangeFollower::tell_nobody() {
    const Changes newest = membership_.newest(ChangeKind::kAuth);
    EW_TRY(const std::int64_t version, database_.read([](Connection& connection) {
        return cluster::read_version(connection, ChangeKind::kAuth);
    }));
    told_ = {version, newest.history};
    membership_.report_seen(ChangeKind::kAuth, told_);
    return {};
}

Result<void> ChangeFollower::tell_changes() {
    const Changes newest = membership_.newest(ChangeKind::kAuth);
    const auto read = [&](bool is_whole) {
        return database_.read([&](Connection& connection) {
            return read_changes(connection, told_.version, is_whole);
        });
    };
    EW_TRY(Found found, read(newest.history != told_.history));
    if (found.version < told_.version && !found.changes.is_whole) {
        log_warn("auth: the database has lost changes; everything is read again");
        EW_TRY(found, read(true));
    }
    follower_->apply(found.changes);
    told_ = {found.version, newest.history};
    membership_.report_seen(ChangeKind::kAuth, told_);
    return {};
}

void ChangeFollower::run() {
    name_this_thread("auth feed");
    bool is_failing = false;  // The log says so once.
    while (threads_.wait_for(limits::kFollowInterval)) {
        if (membership_.newest(ChangeKind::kAuth).version == membership_.seen(ChangeKind::kAuth))
            continue;
        const auto told = catch_up();
        if (!told && !is_failing) log_warn("auth feed: {}", told.error().message);
        is_failing = !told;
    }
}

}  // namespace export_worker::auth::pg
