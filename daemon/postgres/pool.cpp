#include "daemon/postgres/pool.hpp"

#include <algorithm>
#include <chrono>

#include "base/backoff.hpp"
#include "daemon/postgres/limits.hpp"

namespace export_worker::postgres {

using std::chrono::steady_clock;

Result<std::unique_ptr<Connection>> Pool::take(std::unique_lock<std::mutex>& lock) {
    const SteadyTime until = steady_clock::now() + wait_max_;
    for (;;) {
        if (!idle_.empty()) {
            std::unique_ptr<Connection> connection = std::move(idle_.back());
            idle_.pop_back();
            return connection;
        }
        const SteadyTime now = steady_clock::now();
        const bool is_full = open_ >= connections_max_;
        if (!is_full && now >= next_connect_) return std::unique_ptr<Connection>();
        if (now >= until) {
            const std::string why = is_full ? "all connections are in use" : last_failure_;
            return fail(ErrorCode::kUnavailable, "PostgreSQL: no connection in time: " + why);
        }
        changed_.wait_until(lock, is_full ? until : std::min(until, next_connect_));
    }
}

Result<std::unique_ptr<Connection>> Pool::borrow() {
    {
        std::unique_lock lock(mutex_);
        EW_TRY(std::unique_ptr<Connection> idle, take(lock));
        if (idle) return idle;
        ++open_;
    }
    auto made = Connection::open(options_);
    record_connect(made);
    return made;
}

void Pool::record_connect(const Result<std::unique_ptr<Connection>>& made) {
    {
        const std::lock_guard lock(mutex_);
        if (made) {
            failures_ = 0;
            return;
        }
        --open_;
        last_failure_ = made.error().message;
        next_connect_ =
            steady_clock::now() +
            full_jitter(limits::kPostgresReconnectBase, limits::kPostgresReconnectMax, failures_++);
    }
    changed_.notify_all();
}

void Pool::give_back(std::unique_ptr<Connection> connection) {
    std::vector<std::unique_ptr<Connection>> ended;  // Closed without the mutex.
    {
        const std::lock_guard lock(mutex_);
        if (connection->is_lost()) {
            // What has ended it has probably ended them all.
            ended.swap(idle_);
            ended.push_back(std::move(connection));
            open_ -= ended.size();
        } else {
            idle_.push_back(std::move(connection));
        }
    }
    changed_.notify_all();
}

}  // namespace export_worker::postgres
