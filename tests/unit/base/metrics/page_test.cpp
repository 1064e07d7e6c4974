#include "base/metrics/page.hpp"

#include <gtest/gtest.h>

namespace export_worker::metrics {
namespace {

bool has_line(const std::string& text, const std::string& line) {
    return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

TEST(Page, WritesFamiliesWithTheirSamples) {
    Page page;
    page.family("jobs", "Jobs by status", Kind::kGauge);
    page.sample({{"status", "pending"}}, 3);
    page.sample({{"status", "failed"}}, 0);
    page.family("requests_total", "Requests", Kind::kCounter);
    page.sample({}, 12);
    const std::string text = page.text();
    EXPECT_TRUE(has_line(text, "# HELP jobs Jobs by status")) << text;
    EXPECT_TRUE(has_line(text, "# TYPE jobs gauge")) << text;
    EXPECT_TRUE(has_line(text, R"(jobs{status="pending"} 3)")) << text;
    EXPECT_TRUE(has_line(text, R"(jobs{status="failed"} 0)")) << text;
    EXPECT_TRUE(has_line(text, "# TYPE requests_total counter")) << text;
    EXPECT_TRUE(has_line(text, "requests_total 12")) << text;
}

TEST(Page, HostileLabelsStayInsideTheirQuotes) {
    Page page;
    page.family("jobs", "Jobs", Kind::kGauge);
    page.sample({{"status", "a\"} 1\nforged{x=\"\\"}}, 1);
    const std::string text = page.text();
    EXPECT_EQ(text.find("\nforged"), std::string::npos) << text;
    EXPECT_NE(text.find(R"(a\"} 1\nforged{x=\"\\)"), std::string::npos) << text;
}

TEST(Page, AHistogramIsCumulative) {
    Histogram histogram;
    histogram.observe(std::chrono::milliseconds(20));
    histogram.observe(std::chrono::seconds(20));  // Above every bound.
    Page page;
    page.family("seconds", "Time", Kind::kHistogram);
    page.sample({}, histogram);
    const std::string text = page.text();
    EXPECT_TRUE(has_line(text, R"(seconds_bucket{le="0.01"} 0)")) << text;
    EXPECT_TRUE(has_line(text, R"(seconds_bucket{le="10"} 1)")) << text;
    EXPECT_TRUE(has_line(text, R"(seconds_bucket{le="+Inf"} 2)")) << text;
    EXPECT_TRUE(has_line(text, "seconds_count 2")) << text;
}

TEST(Page, AHistogramHasItsOwnBounds) {
    Histogram histogram(kLongSecondsBounds);
    histogram.observe(std::chrono::seconds(45));
    histogram.observe(std::chrono::hours(7));
    Page page;
    page.family("seconds", "Time", Kind::kHistogram);
    page.sample({}, histogram);
    const std::string text = page.text();
    EXPECT_TRUE(has_line(text, R"(seconds_bucket{le="30"} 0)")) << text;
    EXPECT_TRUE(has_line(text, R"(seconds_bucket{le="21600"} 1)")) << text;
    EXPECT_TRUE(has_line(text, R"(seconds_bucket{le="+Inf"} 2)")) << text;
}

TEST(Page, TheProcessSaysWhoItIs) {
    Page page;
    add_process(page, "a-program", "1.2.3");
    const std::string text = page.text();
    EXPECT_NE(text.find("1.2.3"), std::string::npos) << text;
    EXPECT_NE(text.find("process_resident_memory_bytes"), std::string::npos) << text;
}

TEST(MetricsServer, AnAddressThatCannotBeListenedOnIsRefused) {
    const auto page = [] { return Page(); };
    const auto first = MetricsServer::open("127.0.0.1:0", page);
    ASSERT_TRUE(first) << first.error().message;
    const auto second = MetricsServer::open("127.0.0.1:" + std::to_string((*first)->port()), page);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
    EXPECT_EQ(MetricsServer::open("not an address", page).error().code, ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace export_worker::metrics
