// What becomes of generations that no longer answer.
#include "tests/unit/support/lifecycle_fixture.hpp"

namespace export_worker::plugins {
namespace {

class RetirementTest : public LifecycleTest {};

TEST_F(RetirementTest, TheBudgetEndsEndlessParking) {
    config_.policy.generations_max = 3;
    start();
    EXPECT_EQ(reload("broken_longer_descriptor").outcome, "committed");
    EXPECT_EQ(reload("broken_nothing").outcome, "committed");
    const ReloadReport refused = reload("broken_newer_minor");
    EXPECT_EQ(refused.refusal->code, "budget");
    EXPECT_NE(refused.refusal->hint.find("restart"), std::string::npos);
    EXPECT_EQ(call(), "ok");
}

#if !defined(EXPORT_WORKER_SANITIZED)  // The runtimes keep every image for their reports.
TEST_F(RetirementTest, WithACleanCertificateTheOldImageIsUnmapped) {
    config_.policy.unmap = true;
    start();
    const ReloadReport report = reload("broken_longer_descriptor");
    EXPECT_TRUE(report.pinned_by.empty());
    ASSERT_TRUE(eventually([&] { return status().unmapped == 1; }));
    EXPECT_EQ(states(), std::vector<std::string>{"active"});
    std::size_t copies = 0;
    for (const auto& entry : std::filesystem::directory_iterator(dir_ / "plugins/live")) {
        ++copies;
        EXPECT_NE(testing::read_text("/proc/self/maps").find(entry.path()), std::string::npos);
    }
    EXPECT_EQ(copies, 1U);
}

TEST_F(RetirementTest, AnUncleanCertificateParksAndSaysWhy) {
    config_.policy.unmap = true;
    start();
    const ReloadReport report = reload("broken_tls_destructor");
    ASSERT_FALSE(report.pinned_by.empty());
    EXPECT_NE(report.pinned_by[0].find("thread-local destructor"), std::string::npos);
    EXPECT_EQ(reload("broken_nothing").outcome, "committed");
    EXPECT_TRUE(eventually([&] {
        return states() == std::vector<std::string>{"active", "parked"};
    }));
}
#endif

TEST_F(RetirementTest, RefusedLoadsDoNotUseUpTheBudget) {
    config_.policy.generations_max = 2;
    start();
    for (int count = 0; count < 4; ++count) {
        // Its create() fails in the daemon only; the image is unmapped again.
        const ReloadReport refused = reload("broken_create_fails_later");
        ASSERT_TRUE(refused.refusal);
        EXPECT_EQ(refused.refusal->code, "create_failed");
    }
    EXPECT_EQ(reload("broken_longer_descriptor").outcome, "committed");
}

}  // namespace
}  // namespace export_worker::plugins
