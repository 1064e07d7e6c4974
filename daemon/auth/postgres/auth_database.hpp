// The schema of keys, members and sessions while it is open. What the parts of the PostgreSQL store
// share. [any-thread]
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "base/result.hpp"
#include "daemon/auth/postgres/change_follower.hpp"
#include "daemon/auth/postgres/limits.hpp"
#include "daemon/cluster/change_feed.hpp"
#include "daemon/cluster/membership.hpp"
#include "daemon/postgres/database.hpp"

namespace export_worker::auth::pg {

// When a write returns: once the memory of this daemon has it, or that of all.
enum class Reach : std::uint8_t { kThisDaemon, kEveryDaemon };

struct Write {
    std::int64_t version = 0;  // For the rows that it changes.
    bool again = false;        // It ran before, and its outcome is unknown.
};

class AuthDatabase {
public:
    // Brings the schema up to date. `membership` outlives it. Errors: those of
    // postgres::Database::open().
    [[nodiscard]] static Result<std::unique_ptr<AuthDatabase>> open(
        const postgres::DatabaseOptions& options, cluster::Membership& membership);

    template <typename Work>
    [[nodiscard]] auto read(const Work& work) {
        return database_->read(work);
    }
    // Changes what daemons keep in memory: `work(Connection&, const Write&)` in a transaction that
    // raises the version first, so that writers follow each other.
    template <typename Work>
    [[nodiscard]] auto write(Reach reach, const Work& work)
        -> decltype(work(std::declval<postgres::Connection&>(), std::declval<const Write&>())) {
        Write write;
        auto out = write_once(work, write);
        for (int tries = 1; is_unknown(out) && tries < limits::kAuthOutcomeTriesMax; ++tries) {
            write.again = true;
            out = write_once(work, write);
        }
        if (out) EW_CHECK(spread(reach, write.version));
        return out;
    }

    [[nodiscard]] postgres::Database& database() { return *database_; }
    [[nodiscard]] cluster::Membership& membership() { return membership_; }
    [[nodiscard]] ChangeFollower& follower() { return follower_; }

private:
    AuthDatabase(std::unique_ptr<postgres::Database> database, cluster::Membership& membership)
        : membership_(membership),
          database_(std::move(database)),
          follower_(*database_, membership) {}
    template <typename Work>
    [[nodiscard]] auto write_once(const Work& work, Write& write)
        -> decltype(work(std::declval<postgres::Connection&>(), write)) {
        return database_->write([&](postgres::Connection& connection, std::int64_t)
                                    -> decltype(work(connection, std::as_const(write))) {
            EW_TRY(write.version, cluster::raise_change(connection, cluster::ChangeKind::kAuth));
            return work(connection, std::as_const(write));
        });
    }
    template <typename T>
    [[nodiscard]] static bool is_unknown(const Result<T>& result) {
        return !result && result.error().code == ErrorCode::kUnknownOutcome;
    }
    [[nodiscard]] Result<void> spread(Reach reach, std::int64_t version);

    cluster::Membership& membership_;
    const std::unique_ptr<postgres::Database> database_;
    ChangeFollower follower_;
};

}  // namespace export_worker::auth::pg
