// A PostgreSQL server of the test program's own: Debian's postgresql-15, a new cluster in a
// temporary directory, a Unix socket and nothing else. It syncs nothing: no test cuts its power.
//
// It is made when the first test asks for it, lives until the program ends, and dies with it. Each
// test has a schema of its own in it. Without the package the test is skipped and names it.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/unique_fd.hpp"
#include "daemon/postgres/database.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::testing {

class PostgresServer {
public:
    // The one of this program; started if it is not running. Its absence is `why_not`, for
    // GTEST_SKIP. One that does not start is a failure of the test.
    [[nodiscard]] static PostgresServer* get(std::string& why_not);
    ~PostgresServer();
    PostgresServer(const PostgresServer&) = delete;
    PostgresServer& operator=(const PostgresServer&) = delete;

    // Where its socket lies.
    [[nodiscard]] const std::string& directory() const { return dir_.path(); }
    // A schema that no other test uses.
    [[nodiscard]] postgres::DatabaseOptions new_schema();
    // Its sessions whose application_name is `name` are ended, as an administrator does.
    static void end_sessions(const postgres::DatabaseOptions& options, const std::string& name);

private:
    PostgresServer() = default;
    void start(const std::string& programs);
    [[nodiscard]] bool answers() const;

    void start_server(const std::vector<std::string>& words, const std::string& log);
    [[nodiscard]] bool has_ended(std::chrono::milliseconds most) const;

    const TempDir dir_;
    UniqueFd life_;   // The server runs as long as this process has it.
    UniqueFd ended_;  // At its end once the server has ended.
    int schemas_ = 0;
};

// Skips the test where there is no PostgreSQL.
class PostgresTest : public ::testing::Test {
protected:
    void SetUp() override {
        std::string why_not;
        server_ = PostgresServer::get(why_not);
        if (server_ == nullptr) GTEST_SKIP() << why_not;
        options_ = server_->new_schema();
    }
    // With no schema of its own yet.
    [[nodiscard]] std::unique_ptr<postgres::Connection> connect() const {
        auto connection = postgres::Connection::open(options_.connect);
        EXPECT_TRUE(connection) << connection.error().message;
        return connection ? std::move(*connection) : nullptr;
    }

    PostgresServer* server_ = nullptr;
    postgres::DatabaseOptions options_;
};

}  // namespace export_worker::testing
