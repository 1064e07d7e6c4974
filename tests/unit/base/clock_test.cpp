#include "base/clock.hpp"

#include <gtest/gtest.h>

#include "base/crypto/uuid.hpp"

namespace export_worker {
namespace {

TEST(Clock, Iso8601BothWays) {
    EXPECT_EQ(to_iso8601(1369353600'000000), "2013-05-24T00:00:00Z");
    EXPECT_EQ(to_iso8601(1369353600'000120), "2013-05-24T00:00:00.000120Z");
    EXPECT_EQ(*parse_iso8601_seconds("2013-05-24T00:00:00Z"), 1369353600);
    EXPECT_EQ(*parse_iso8601_seconds("2024-02-29T23:59:59Z"), 1709251199);
    for (const char* bad :
         {"", "2013-05-24", "2013-05-24T00:00:00", "2013-13-24T00:00:00Z", "2013-05-24T00:00:00ZZ",
          "2026-02-30T00:00:00Z", "2023-02-29T00:00:00Z", "2013-05-24T23:59:60Z"}) {
        EXPECT_EQ(parse_iso8601_seconds(bad).error().code, ErrorCode::kInvalidArgument) << bad;
    }
}

TEST(Uuid7, SortsByTimeAndHasItsVersion) {
    const std::string first = crypto::make_uuid7(1'000'000);
    const std::string later = crypto::make_uuid7(2'000'000);
    EXPECT_EQ(first.size(), 36U);
    EXPECT_EQ(first[14], '7');
    EXPECT_LT(first, later);
    for (std::int64_t us = 1'000'000; us < 1'002'000; ++us)
        ASSERT_LT(crypto::make_uuid7(us), crypto::make_uuid7(us + 1));
    EXPECT_NE(crypto::make_uuid7(1'000'000), first);
}

// A machine without a clock may be before 1970.
TEST(Uuid7, ATimeBefore1970Is1970) {
    for (const std::int64_t us : {std::int64_t{-1}, std::int64_t{-86'400'000'000}, INT64_MIN}) {
        const std::string id = crypto::make_uuid7(us);
        EXPECT_TRUE(id.starts_with("00000000-0000-7000-")) << id;
        EXPECT_LT(id, crypto::make_uuid7(1)) << us;
    }
}

}  // namespace
}  // namespace export_worker
