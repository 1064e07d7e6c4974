#include "base/wake_event.hpp"

#include <gtest/gtest.h>
#include <poll.h>

namespace export_worker {
namespace {

bool is_readable(const WakeEvent& event) {
    pollfd fd{event.fd(), POLLIN, 0};
    return ::poll(&fd, 1, 0) == 1;
}

TEST(WakeEvent, IsReadableFromItsSignalUntilItIsCleared) {
    const WakeEvent event;
    EXPECT_FALSE(is_readable(event));
    event.clear();
    event.signal();
    event.signal();
    EXPECT_TRUE(is_readable(event));
    event.clear();
    EXPECT_FALSE(is_readable(event));
}

}  // namespace
}  // namespace export_worker
