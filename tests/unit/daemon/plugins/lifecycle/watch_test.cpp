#include "daemon/plugins/lifecycle/watch.hpp"

#include <gtest/gtest.h>

#include "daemon/plugins/lifecycle/limits.hpp"
#include "tests/unit/support/log.hpp"
#include "tests/unit/support/resource_limit.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::plugins {
namespace {

using Files = std::vector<std::string>;

constexpr SteadyTime kStart{std::chrono::hours(1)};
constexpr std::chrono::milliseconds kMoment{1};

TEST(Watch, TellsOfAFileOnceItHasBeenQuietForAWhile) {
    const testing::TempDir dir;
    const std::string file = dir.write("a.so", "one");
    Watch watch;
    watch.set_files({file});
    EXPECT_EQ(watch.changed(kStart), Files{});
    dir.write("a.so", "two");
    EXPECT_EQ(watch.changed(kStart), Files{});
    EXPECT_TRUE(watch.unsettled());
    EXPECT_EQ(watch.changed(kStart + limits::kWatchSettle - kMoment), Files{});
    EXPECT_EQ(watch.changed(kStart + limits::kWatchSettle), Files{file});
    EXPECT_FALSE(watch.unsettled());
    EXPECT_EQ(watch.changed(kStart + 10 * limits::kWatchSettle), Files{});
}

TEST(Watch, ADirectoryThatIsNotThereIsLoggedAndTheOthersAreWatched) {
    const testing::TempDir dir;
    const std::string file = dir.write("a.so", "one");
    Watch watch;
    watch.set_files({dir / "none/b.so", file});
    EXPECT_TRUE(testing::has_logged((dir / "none") + " cannot be watched: No such file"));
    dir.write("a.so", "two");
    EXPECT_EQ(watch.changed(kStart), Files{});
    EXPECT_EQ(watch.changed(kStart + limits::kWatchSettle), Files{file});
}

TEST(Watch, WithoutADescriptorNothingIsWatchedAndThatIsLogged) {
    const testing::TempDir dir;
    const std::string file = dir.write("a.so", "one");
    Watch watch;
    {
        const testing::ResourceLimit none(RLIMIT_NOFILE, 0);
        watch.set_files({file});
    }
    EXPECT_TRUE(testing::has_logged("the files cannot be watched: Too many open files"));
    EXPECT_EQ(watch.changed(kStart), Files{});
}

TEST(Watch, AnotherWriteStartsTheWaitAgain) {
    const testing::TempDir dir;
    const std::string file = dir.write("a.so", "one");
    Watch watch;
    watch.set_files({file});
    dir.write("a.so", "two");
    EXPECT_EQ(watch.changed(kStart), Files{});
    std::filesystem::rename(dir.write("b.so", "three"), file);
    const SteadyTime again = kStart + limits::kWatchSettle - kMoment;
    EXPECT_EQ(watch.changed(again), Files{});
    EXPECT_EQ(watch.changed(again + limits::kWatchSettle - kMoment), Files{});
    EXPECT_EQ(watch.changed(again + limits::kWatchSettle), Files{file});
}

TEST(Watch, OtherFilesOfTheDirectoryDoNotCount) {
    const testing::TempDir dir;
    Watch watch;
    EXPECT_EQ(watch.fd(), -1);
    watch.set_files({dir / "a.so"});
    EXPECT_GE(watch.fd(), 0);
    dir.write("b.so", "x");
    EXPECT_EQ(watch.changed(kStart), Files{});
    EXPECT_FALSE(watch.unsettled());
}

}  // namespace
}  // namespace export_worker::plugins
