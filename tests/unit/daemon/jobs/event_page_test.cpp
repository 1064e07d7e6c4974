#include "daemon/jobs/event_page.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace export_worker::jobs {
namespace {

using model::JobEvent;

// Rows 1 to `count`, as a database has them.
ReadEventRows rows(std::int64_t count, const std::string& kind) {
    return [=](std::int64_t after) -> Result<std::vector<JobEvent>> {
        std::vector<JobEvent> out;
        for (std::int64_t number = after + 1; number <= std::min(count, after + kEventRowsMax);
             ++number)
            out.push_back({number, 0, kind, "", "", 1, ""});
        return out;
    };
}

TEST(EventPage, WalksEachRowOnceAcrossBothLists) {
    constexpr auto kEach = static_cast<std::int64_t>(limits::kJobEventsPage) + 7;
    std::vector<std::string> kinds;
    std::int64_t after = 0;
    for (bool more = true; more;) {
        const auto page = event_page(after, "trace", rows(kEach, "event"), rows(kEach, "access"));
        ASSERT_TRUE(page);
        ASSERT_FALSE(page->items.empty());
        ASSERT_LE(page->items.size(), limits::kJobEventsPage);
        for (const JobEvent& event : page->items) {
            EXPECT_GT(event.number, after);
            EXPECT_EQ(event.trace_id, "trace");
            after = event.number;
            kinds.push_back(event.kind);
        }
        more = page->more;
    }
    EXPECT_EQ(kinds.size(), 2U * kEach);
    EXPECT_EQ(std::ranges::count(kinds, "event"), kEach);
    EXPECT_EQ(kinds.front(), "event");
    EXPECT_EQ(kinds.back(), "access");
}

TEST(EventPage, HandsOnWhatAReaderSays) {
    const ReadEventRows broken = [](std::int64_t) -> Result<std::vector<JobEvent>> {
        return fail(ErrorCode::kDataLoss, "damaged");
    };
    EXPECT_EQ(event_page(0, "", broken, rows(1, "access")).error().code, ErrorCode::kDataLoss);
    EXPECT_EQ(event_page(0, "", rows(1, "event"), broken).error().code, ErrorCode::kDataLoss);
}

}  // namespace
}  // namespace export_worker::jobs
