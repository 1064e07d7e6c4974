#include "daemon/cluster/change_feed.hpp"

#include <gtest/gtest.h>

namespace export_worker::cluster {
namespace {

SteadyTime at(int second) {
    return SteadyTime(std::chrono::seconds(second));
}

TEST(FollowedChanges, MemoryIsGoodOnceItHasWhatARenewalFound) {
    FollowedChanges changes;
    changes.renewed(at(1), 5);
    EXPECT_FALSE(changes.current_at());
    changes.follow({4, 0});
    EXPECT_FALSE(changes.current_at());
    changes.follow({5, 0});
    EXPECT_EQ(changes.current_at(), at(1));
    changes.renewed(at(2), 5);
    EXPECT_EQ(changes.current_at(), at(2));
}

TEST(FollowedChanges, ARenewalThatMemoryHasNotCaughtUpWithProlongsNothing) {
    FollowedChanges changes;
    changes.renewed(at(1), 5);
    changes.follow({5, 0});
    changes.renewed(at(2), 6);
    changes.renewed(at(3), 7);
    EXPECT_EQ(changes.current_at(), at(1));
    changes.follow({6, 0});
    EXPECT_EQ(changes.current_at(), at(2));
    changes.follow({7, 0});
    changes.renewed(at(4), 7);
    EXPECT_EQ(changes.current_at(), at(4));
}

TEST(FollowedChanges, MemoryMayBeAheadOfARenewal) {
    FollowedChanges changes;
    changes.follow({9, 0});
    changes.renewed(at(1), 8);
    EXPECT_EQ(changes.current_at(), at(1));
    EXPECT_EQ(changes.seen(), 9);
}

TEST(FollowedChanges, AfterALossNothingCountsThatWasReadBefore) {
    FollowedChanges changes;
    changes.renewed(at(1), 5);
    changes.follow({5, 0});
    changes.lose_history();
    EXPECT_FALSE(changes.current_at());
    EXPECT_EQ(changes.newest(), (Changes{5, 1}));
    changes.renewed(at(2), 4);
    changes.follow({5, 0});
    EXPECT_EQ(changes.seen(), -1);
    EXPECT_FALSE(changes.current_at());
    changes.follow({4, 1});
    EXPECT_EQ(changes.current_at(), at(2));
}

}  // namespace
}  // namespace export_worker::cluster
