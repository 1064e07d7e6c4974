#include "daemon/plugins/lifecycle/loader.hpp"

#include <gtest/gtest.h>

#include <future>
#include <vector>

namespace export_worker::plugins {
namespace {

TEST(Loader, DoesOneThingAfterTheOther) {
    Loader loader;
    std::vector<int> done;
    std::promise<void> last;
    for (int number = 0; number < 5; ++number) loader.post([&, number] { done.push_back(number); });
    loader.post([&] { last.set_value(); });
    last.get_future().wait();
    EXPECT_EQ(done, (std::vector<int>{0, 1, 2, 3, 4}));
}

TEST(Loader, AfterAStopNothingRuns) {
    Loader loader;
    bool ran = false;
    loader.stop();
    loader.post([&] { ran = true; });
    loader.stop();
    EXPECT_FALSE(ran);
}

}  // namespace
}  // namespace export_worker::plugins
