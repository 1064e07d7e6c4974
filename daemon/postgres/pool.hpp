// Connections to one database, lent one at a time.
//
// As many as there is work for, at most as many as its options say. One that has ended is not lent
// again, nor are those that were idle then: a server that restarts ends all. After a connection
// could not be made, the next try waits, longer each time and with jitter, so that a server that
// comes back is not met by everybody at once.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "daemon/postgres/connect_options.hpp"
#include "daemon/postgres/connection.hpp"
#include "daemon/postgres/limits.hpp"

namespace export_worker::postgres {

// [any-thread]. All connections are given back before its end.
class Pool {
public:
    Pool(ConnectOptions options, std::size_t connections_max,
         std::chrono::milliseconds wait_max = limits::kPostgresBorrowWaitMax)
        : options_(std::move(options)), connections_max_(connections_max), wait_max_(wait_max) {}

    // Waits at most `wait_max` for one that is free, and for the connection to be made. Errors:
    // those of Connection::open(), kUnavailable when none becomes free in time.
    [[nodiscard]] Result<std::unique_ptr<Connection>> borrow();
    void give_back(std::unique_ptr<Connection> connection);

private:
    // With the mutex held by `lock`: an idle connection, or none: the caller may make one.
    [[nodiscard]] Result<std::unique_ptr<Connection>> take(std::unique_lock<std::mutex>& lock);
    void record_connect(const Result<std::unique_ptr<Connection>>& made);

    const ConnectOptions options_;
    const std::size_t connections_max_;
    const std::chrono::milliseconds wait_max_;
    std::mutex mutex_;
    std::condition_variable changed_;
    // All guarded by mutex_:
    std::size_t open_ = 0;  // Lent, idle or being made.
    std::vector<std::unique_ptr<Connection>> idle_;
    int failures_ = 0;  // To connect, since the last success.
    SteadyTime next_connect_{};
    std::string last_failure_;
};

}  // namespace export_worker::postgres
