// Stands between a client and the PostgreSQL server of the tests, and loses what it is told to.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.hpp"
#include "tests/unit/support/postgres_server.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::testing {

class PostgresProxy {
public:
    explicit PostgresProxy(const PostgresServer& server);
    ~PostgresProxy();
    PostgresProxy(const PostgresProxy&) = delete;
    PostgresProxy& operator=(const PostgresProxy&) = delete;

    // The same database through this proxy.
    [[nodiscard]] postgres::DatabaseOptions through(postgres::DatabaseOptions options) const;
    // The answers of the next `count` COMMITs do not arrive: the server has run them, then the
    // connection ends.
    void swallow_commit_answers(int count) { swallow_ = count; }
    // The next `count` COMMITs are not passed on: the connection ends instead of them.
    void cut_before_commits(int count) { cut_ = count; }
    // Nothing passes any more in either direction, and no connection ends, until `false`.
    void stop(bool stopped) { stopped_ = stopped; }

private:
    struct Pair {
        UniqueFd client;
        UniqueFd server;
        bool swallows = false;  // What the server says next is lost, and the connection with it.
    };
    void run();
    void accept_client();
    // False: the pair has ended.
    [[nodiscard]] bool pass_to_server(Pair& pair);
    [[nodiscard]] bool pass_to_client(Pair& pair);

    const TempDir dir_;
    const std::string server_path_;
    UniqueFd listener_;
    std::vector<Pair> pairs_;
    std::atomic<int> swallow_{0};
    std::atomic<int> cut_{0};
    std::atomic<bool> stopped_{false};
    std::atomic<bool> ending_{false};
    std::thread thread_;
};

}  // namespace export_worker::testing
