// One PostgreSQL database of this process: transactions on lent connections.
//
// Work may run more than once. The server gives a transaction up for others' sake (40001, 40P01),
// or the connection ends before the commit was sent: nothing has happened then, and it runs again,
// within kPostgresTriesMax. Work therefore changes nothing but the database, and what it returns.
//
// A crash loses nothing that write() has returned, and keeps nothing of a write that was not
// committed.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "base/problem.hpp"
#include "base/result.hpp"
#include "daemon/postgres/connection.hpp"
#include "daemon/postgres/migrations.hpp"
#include "daemon/postgres/pool.hpp"

namespace export_worker::postgres {

struct DatabaseOptions {
    ConnectOptions connect;
    std::size_t connections_max = limits::kPostgresConnectionsDefault;
};

class Database {
public:
    // Connects, refuses sessions that a pooler lends to others without the options saying so, and
    // brings the schema up to date. Errors: those of Connection::open(), check_sessions() and
    // migrate().
    [[nodiscard]] static Result<std::unique_ptr<Database>> open(const DatabaseOptions& options,
                                                                const Migrations& migrations);

    // Runs `work(Connection&)`, each of its statements on what was committed before it.
    // [any-thread]
    template <typename Work>
    [[nodiscard]] auto read(const Work& work) -> decltype(work(std::declval<Connection&>())) {
        return run(Kind::kRead,
                   [&](Connection& connection, std::int64_t) { return work(connection); });
    }
    // The same with the database's time: `work(Connection&, now_us)`.
    template <typename Work>
    [[nodiscard]] auto read_at(const Work& work) {
        return run(Kind::kReadAt, work);
    }
    // Runs `work(Connection&, now_us)` in a transaction; an error from it undoes its changes and
    // comes back. kUnknownOutcome: the commit may have happened, and only running the same work
    // again, with the same ids, tells. [any-thread]
    template <typename Work>
    [[nodiscard]] auto write(const Work& work) {
        auto out = run(Kind::kWrite, work);
        record_write(out ? nullptr : &out.error());
        return out;
    }

    // Why the last write could not be made durable. [any-thread]
    [[nodiscard]] Problem problem() const;
    // Writes that failed for the database's sake since the start. [any-thread]
    [[nodiscard]] std::uint64_t write_errors() const { return write_errors_.load(); }

private:
    enum class Kind : std::uint8_t { kRead, kReadAt, kWrite };

    explicit Database(const DatabaseOptions& options)
        : pool_(options.connect, options.connections_max) {}

    template <typename Work>
    [[nodiscard]] auto run(Kind kind, const Work& work)
        -> decltype(work(std::declval<Connection&>(), std::int64_t{})) {
        const SteadyTime began = std::chrono::steady_clock::now();
        for (int tries = 1;; ++tries) {
            auto connection = pool_.borrow();
            if (!connection) return fail(std::move(connection.error()));
            auto out = run_once(**connection, kind, work);
            const bool again = !out && out.error().code != ErrorCode::kUnknownOutcome &&
                               ((*connection)->is_lost() || (*connection)->must_run_again());
            pool_.give_back(std::move(*connection));
            if (!again || !wait_for_next_try(tries, began)) return out;
        }
    }
    template <typename Work>
    [[nodiscard]] static auto run_once(Connection& connection, Kind kind, const Work& work)
        -> decltype(work(connection, std::int64_t{})) {
        // Without a pooler, statements that only read are transactions of their own.
        if (kind == Kind::kRead && connection.pooler() == Pooler::kNone)
            return work(connection, std::int64_t{0});
        auto now = connection.begin(kind == Kind::kWrite ? Connection::Access::kReadWrite
                                                         : Connection::Access::kReadOnly);
        if (!now) return fail(std::move(now.error()));
        auto out = work(connection, *now);
        if (!out || kind != Kind::kWrite) {
            connection.rollback();
            return out;
        }
        if (auto committed = connection.commit(); !committed)
            return fail(std::move(committed.error()));
        return out;
    }
    // False: it has been tried often or long enough.
    [[nodiscard]] static bool wait_for_next_try(int tries, SteadyTime began);
    void record_write(const Error* error);

    Pool pool_;
    std::atomic<std::uint64_t> write_errors_{0};
    mutable std::mutex problem_mutex_;
    std::string problem_;  // Guarded by problem_mutex_.
};

}  // namespace export_worker::postgres
