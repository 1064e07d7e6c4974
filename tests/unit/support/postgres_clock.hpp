// A schema whose database_now() is what a test sets.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>

#include "daemon/postgres/database.hpp"
#include "tests/unit/support/fake_clock.hpp"

namespace export_worker::testing {

// Sets the clock of the schema, in microseconds since 1970; from the first call on.
[[nodiscard]] inline std::function<void(std::int64_t)> schema_clock(
    const postgres::DatabaseOptions& options) {
    static constexpr std::array<const char*, 1> kTestClock{
        "CREATE TABLE test_clock (at timestamptz NOT NULL);"
        "INSERT INTO test_clock VALUES (now());"
        "CREATE OR REPLACE FUNCTION database_now() RETURNS timestamptz LANGUAGE sql VOLATILE "
        "AS 'SELECT at FROM test_clock'"};
    auto made = postgres::Database::open(options, {.component = "test", .steps = kTestClock});
    EXPECT_TRUE(made) << made.error().message;
    const std::shared_ptr<postgres::Database> database = std::move(*made);
    return [database](std::int64_t unix_us) {
        const auto done = database->read([&](postgres::Connection& connection) {
            return connection.change("UPDATE test_clock SET at = $1", postgres::UnixTime{unix_us});
        });
        ASSERT_TRUE(done) << done.error().message;
    };
}

// A clock of daemons that the schema's clock goes with.
class SchemaClock final : public FakeClock {
public:
    explicit SchemaClock(const postgres::DatabaseOptions& options) : set_(schema_clock(options)) {
        set_(now_us_.load());
    }
    void advance(std::chrono::microseconds by) {
        // The database first: a daemon that sees that it is time for something finds it late there.
        set_(now_us_.load() + by.count());
        FakeClock::advance(by);
    }

private:
    const std::function<void(std::int64_t)> set_;
};

}  // namespace export_worker::testing
