#include "daemon/control/metrics.hpp"

#include "tests/unit/daemon/control/control_fixture.hpp"

namespace export_worker::control {
namespace {

class MetricsTest : public ControlFixture {
protected:
    // The value behind `sample`, as it is written; empty when there is none.
    std::string value(const std::string& sample) {
        const auto page = metrics_page(deps_);
        EXPECT_TRUE(page) << page.error().message;
        const std::string text = "\n" + page->text();
        const std::size_t at = text.find("\n" + sample + " ");
        if (at == std::string::npos) return "";
        const std::size_t begin = at + sample.size() + 2;
        return text.substr(begin, text.find('\n', begin) - begin);
    }
};

TEST_F(MetricsTest, JobsAreCountedByStatus) {
    submit();
    submit();
    ASSERT_TRUE(jobs_->queue().claim()->has_value());
    EXPECT_EQ(value(R"(export_worker_jobs{status="pending"})"), "1");
    EXPECT_EQ(value(R"(export_worker_jobs{status="in_progress"})"), "1");
    EXPECT_EQ(value(R"(export_worker_jobs{status="cancelled"})"), "0");
}

TEST_F(MetricsTest, AWorkerThatHasLostItsJobIsCounted) {
    submit();
    const jobs::ClaimedJob zombie = **jobs_->queue().claim();
    ASSERT_TRUE(jobs_->queue().give_up_attempt(zombie.lease, "no progress", false, 0));
    EXPECT_EQ(value("export_worker_job_writes_fenced_total"), "0");
    EXPECT_FALSE(jobs_->queue().heartbeat(zombie.lease, {1, 1, "x"}));
    EXPECT_EQ(value("export_worker_job_writes_fenced_total"), "1");
}

TEST_F(MetricsTest, WhatBecameOfRequestsIsToldApart) {
    ledger_.counts = {};
    ledger_.counts.accepted = 21;
    ledger_.counts.replied = 1;
    ledger_.counts.error_replied = 2;
    ledger_.counts.client_gone = 3;
    ledger_.counts.in_flight = 15;
    ledger_.counts.overloaded = 4;
    ledger_.counts.expired = 5;
    ledger_.publish();
    EXPECT_EQ(value("export_worker_requests_accepted_total"), "21");
    EXPECT_EQ(value(R"(export_worker_requests_total{outcome="replied"})"), "1");
    EXPECT_EQ(value(R"(export_worker_requests_total{outcome="error_replied"})"), "2");
    EXPECT_EQ(value(R"(export_worker_requests_total{outcome="client_gone"})"), "3");
    EXPECT_EQ(value("export_worker_requests_in_flight"), "15");
    EXPECT_EQ(value(R"(export_worker_requests_refused_total{reason="overloaded"})"), "4");
    EXPECT_EQ(value(R"(export_worker_requests_refused_total{reason="expired"})"), "5");
}

TEST_F(MetricsTest, TheOldestWaitGrowsWithTheClock) {
    EXPECT_EQ(value("export_worker_jobs_oldest_wait_seconds"), "0");
    submit();
    clock_.advance(std::chrono::seconds(42));
    EXPECT_EQ(value("export_worker_jobs_oldest_wait_seconds"), "42");
}

TEST_F(MetricsTest, RequestsComeFromTheLedger) {
    ledger_.hops.total.observe(std::chrono::milliseconds(1));
    EXPECT_EQ(value("export_worker_requests_accepted_total"), "0");
    EXPECT_EQ(value(R"(export_worker_requests_total{outcome="replied"})"), "0");
    EXPECT_EQ(value("export_worker_request_seconds_count"), "1");
    EXPECT_EQ(value("export_worker_request_queue_seconds_count"), "0");
}

TEST_F(MetricsTest, StoresWithoutAnEndHaveNoExpiry) {
    credentials_ = {{"ends", "static", true, 1'700'000'500'000'000, 0, ""},
                    {"lasts", "static", true, 0, 0, ""},
                    {"broken", "static", false, 0, 0, "no file"}};
    EXPECT_EQ(value(R"(export_worker_store_credentials_usable{store="ends"})"), "1");
    EXPECT_EQ(value(R"(export_worker_store_credentials_usable{store="broken"})"), "0");
    EXPECT_EQ(value(R"(export_worker_store_credentials_expiry_seconds{store="lasts"})"), "");
    EXPECT_NE(value(R"(export_worker_store_credentials_expiry_seconds{store="ends"})"), "");
}

TEST_F(MetricsTest, PluginsAreThereOncePerImage) {
    ASSERT_TRUE(plugins_->load("", testing::install_plugin(dir_, "minimal_c"), {}));
    EXPECT_EQ(value(R"(export_worker_plugin_images{plugin="minimal",state="active"})"), "1");
    EXPECT_EQ(value(R"(export_worker_plugin_images{plugin="minimal",state="baking"})"), "0");
    EXPECT_EQ(value(R"(export_worker_plugin_requests_total{plugin="minimal"})"), "0");
    EXPECT_EQ(value(R"(export_worker_plugin_faults_total{plugin="minimal"})"), "0");
    EXPECT_EQ(value(R"(export_worker_plugin_requests_stuck{plugin="minimal"})"), "0");
}

TEST_F(MetricsTest, EverySampleHasItsFamily) {
    submit();
    const auto page = metrics_page(deps_);
    ASSERT_TRUE(page);
    const std::string text = page->text();
    for (const char* family :
         {"export_worker_requests_accepted_total", "export_worker_workers_stalled",
          "export_worker_job_writes_fenced_total", "export_worker_notices_pending",
          "export_worker_alarms", "export_worker_build_info"}) {
        EXPECT_NE(text.find(std::string("# HELP ") + family + " "), std::string::npos) << family;
        EXPECT_NE(text.find(std::string("# TYPE ") + family + " "), std::string::npos) << family;
    }
}

}  // namespace
}  // namespace export_worker::control
