#include "daemon/jobs/sqlite/job_database.hpp"

#include <gtest/gtest.h>

#include <latch>
#include <thread>

#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::jobs {
namespace {

using sqlite::Connection;

// Otherwise a row written later could be dated earlier than one that is there.
TEST(JobDatabase, AWriteHasTheTimeWhenItRuns) {
    const testing::TempDir dir;
    testing::FakeClock clock;
    const auto database = std::move(
        *JobDatabase::open(dir / "jobs.db", clock, {}, sqlite::Durability::kUnsyncedForTest));
    std::latch entered{1};
    std::latch released{1};
    std::thread busy([&] {
        EXPECT_TRUE(database->write([&](Connection&, const Now&) -> Result<void> {
            entered.count_down();
            released.wait();
            return {};
        }));
    });
    entered.wait();
    Now ran;
    std::thread waiting([&] {
        EXPECT_TRUE(database->write([&](Connection&, const Now& at) -> Result<void> {
            ran = at;
            return {};
        }));
    });
    clock.advance(std::chrono::seconds(1));
    released.count_down();
    busy.join();
    waiting.join();
    EXPECT_EQ(ran.us, database->now().us);
    EXPECT_EQ(ran.wall_us, database->now().wall_us);
}

}  // namespace
}  // namespace export_worker::jobs
