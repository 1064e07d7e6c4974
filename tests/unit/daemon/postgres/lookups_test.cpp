#include "daemon/postgres/lookups.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <set>
#include <thread>

#include "tests/unit/support/eventually.hpp"
#include "tests/unit/support/postgres_proxy.hpp"
#include "tests/unit/support/postgres_server.hpp"

namespace export_worker::postgres {
namespace {

using std::chrono::milliseconds;

constexpr const char* kSql =
    "SELECT id, number, statement_timestamp() FROM thing WHERE id = ANY ($1::text[])";

class LookupsTest : public testing::PostgresTest {
protected:
    void SetUp() override {
        PostgresTest::SetUp();
        if (IsSkipped()) return;
        database_ = open(options_);
    }
    static std::unique_ptr<Database> open(const DatabaseOptions& options) {
        auto opened = Database::open(options, {.component = "test", .steps = kSteps});
        EXPECT_TRUE(opened) << opened.error().message;
        return opened ? std::move(*opened) : nullptr;
    }
    // -1: there is none.
    static std::int64_t number_of(Lookups& lookups, const std::string& id) {
        const auto found = lookups.find(id);
        EXPECT_TRUE(found) << found.error().message;
        return !found || found->empty() ? -1 : found->row().integer(1);
    }

    static constexpr std::array<const char*, 1> kSteps{
        "CREATE TABLE thing (id text COLLATE \"C\" PRIMARY KEY, number bigint NOT NULL);"
        "INSERT INTO thing SELECT 'k' || n, n FROM generate_series(0, 999) AS n"};
    std::unique_ptr<Database> database_;
};

TEST_F(LookupsTest, FindsRowsAndSaysWhichAreNotThere) {
    Lookups lookups(*database_, kSql);
    EXPECT_EQ(number_of(lookups, "k7"), 7);
    EXPECT_EQ(number_of(lookups, "k999"), 999);
    EXPECT_EQ(number_of(lookups, "k1000"), -1);
    EXPECT_EQ(number_of(lookups, ""), -1);
    EXPECT_EQ(number_of(lookups, std::string("k7\0", 3)), -1);
    EXPECT_EQ(number_of(lookups, "k7\xff"), -1);
}

TEST_F(LookupsTest, EveryCallerGetsItsOwnRow) {
    Lookups lookups(*database_, kSql);
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 16; ++thread) {
        threads.emplace_back([&, thread] {
            for (int number = thread; number < 1'200; number += 16)
                EXPECT_EQ(number_of(lookups, "k" + std::to_string(number)),
                          number < 1'000 ? number : -1);
        });
    }
}

TEST_F(LookupsTest, CallersThatWaitGoTogether) {
    const testing::PostgresServer& server = *server_;
    testing::PostgresProxy proxy(server);
    const auto database = open(proxy.through(options_));
    Lookups lookups(*database, kSql);
    ASSERT_EQ(number_of(lookups, "k1"), 1);
    proxy.stop(true);
    std::mutex mutex;
    std::multiset<std::int64_t> times;
    std::atomic<std::size_t> started{0};
    std::vector<std::jthread> threads;
    constexpr std::size_t kWaiting = 20;
    for (std::size_t thread = 0; thread < limits::kLookupRoundsMax + kWaiting; ++thread) {
        threads.emplace_back([&, thread] {
            ++started;
            const auto found = lookups.find("k" + std::to_string(thread));
            ASSERT_TRUE(found) << found.error().message;
            ASSERT_EQ(found->row().integer(1), static_cast<std::int64_t>(thread));
            const std::lock_guard lock(mutex);
            times.insert(found->row().unix_us(2));
        });
    }
    ASSERT_TRUE(testing::eventually(
        [&] { return started == threads.size() && lookups.waiting() == kWaiting; }));
    proxy.stop(false);
    threads.clear();
    const std::set<std::int64_t> statements(times.begin(), times.end());
    EXPECT_EQ(times.size(), limits::kLookupRoundsMax + kWaiting);
    EXPECT_LE(statements.size(), limits::kLookupRoundsMax + 1) << "all that waited in one";
}

TEST_F(LookupsTest, ACallerWaitsForABoundedTime) {
    testing::PostgresProxy proxy(*server_);
    const auto database = open(proxy.through(options_));
    Lookups lookups(*database, kSql, milliseconds(50));
    proxy.stop(true);
    std::vector<std::jthread> senders;
    for (std::size_t sender = 0; sender < limits::kLookupRoundsMax; ++sender)
        senders.emplace_back([&] { EXPECT_EQ(number_of(lookups, "k2"), 2) << "once it goes on"; });
    ASSERT_TRUE(testing::eventually([&] { return lookups.rounds() == limits::kLookupRoundsMax; }));
    const auto late = lookups.find("k1");
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code, ErrorCode::kUnavailable);
    proxy.stop(false);
    senders.clear();
    EXPECT_EQ(number_of(lookups, "k1"), 1) << "its place is free again";
}

TEST_F(LookupsTest, AnErrorIsEveryCallersOfTheRound) {
    Lookups lookups(*database_, "SELECT id FROM missing WHERE id = ANY ($1::text[])");
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 8; ++thread) {
        threads.emplace_back(
            [&] { EXPECT_EQ(lookups.find("k1").error().code, ErrorCode::kFailedPrecondition); });
    }
    threads.clear();
    EXPECT_EQ(lookups.rounds(), 0U);
}

}  // namespace
}  // namespace export_worker::postgres
