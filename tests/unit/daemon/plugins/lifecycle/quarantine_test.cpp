#include "daemon/plugins/lifecycle/quarantine.hpp"

#include <gtest/gtest.h>

#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::plugins {
namespace {

const std::string kOne = "0123456789" + std::string(54, 'a');
const std::string kOther = "0123456789" + std::string(54, 'b');

class QuarantineTest : public ::testing::Test {
protected:
    void SetUp() override {
        HistoryEntry entry;
        entry.plugin = "p";
        entry.sha256 = kOne;
        entry.version = "1.2.3";
        entry.outcome = "refused";
        ASSERT_TRUE(history_->add(entry));
        ASSERT_TRUE(history_->quarantine("p", kOne, "it hung"));
    }
    std::string refusal(const std::string& digits) {
        const auto lifted = lift_quarantine(*history_, digits, "");
        if (lifted) return "lifted";
        return std::string(to_string(lifted.error().code)) + " " + lifted.error().message;
    }
    const testing::TempDir dir_;
    testing::FakeClock clock_;
    std::unique_ptr<History> history_ = std::move(
        *History::open(dir_ / "plugins.db", clock_, sqlite::Durability::kUnsyncedForTest));
};

TEST_F(QuarantineTest, EightDigitsLiftTheOneFileAndTheHistorySaysSo) {
    const auto lifted = lift_quarantine(*history_, kOne.substr(0, 8), "offline, by uid 7");
    ASSERT_TRUE(lifted) << lifted.error().message;
    EXPECT_EQ(lifted->sha256, kOne);
    EXPECT_EQ(lifted->plugin, "p");
    EXPECT_EQ(lifted->version, "1.2.3");
    EXPECT_EQ(lifted->reason, "it hung");
    EXPECT_TRUE(history_->all_quarantined()->empty());
    const HistoryEntry entry = history_->entries("p", 1)->at(0);
    EXPECT_EQ(entry.outcome, "quarantine_lifted");
    EXPECT_EQ(entry.trigger, "operator");
    EXPECT_EQ(entry.sha256, kOne);
    EXPECT_EQ(entry.version, "1.2.3");
    EXPECT_EQ(entry.detail, "offline, by uid 7");
}

TEST_F(QuarantineTest, SeveralFilesAreNamedAndNoneIsLifted) {
    ASSERT_TRUE(history_->quarantine("q", kOther, "it crashed"));
    const std::string text = refusal("0123456789");
    EXPECT_TRUE(text.starts_with("conflict hash: expected one quarantined file, found 2")) << text;
    for (const char* named : {"0123456789aaaaaaaa (p)", "0123456789bbbbbbbb (q)", "more digits"})
        EXPECT_NE(text.find(named), std::string::npos) << text;
    EXPECT_EQ(history_->all_quarantined()->size(), 2U);
    EXPECT_EQ(refusal("0123456789b"), "lifted");
    EXPECT_EQ(history_->all_quarantined()->at(0).sha256, kOne);
}

TEST_F(QuarantineTest, AnUnknownHashIsNotFound) {
    EXPECT_EQ(refusal("ffffffff"),
              "not_found hash: no quarantined file begins with ffffffff; exportctl plugin "
              "quarantine list shows them");
}

TEST_F(QuarantineTest, AHashIsAtLeastEightDigits) {
    for (const std::string& digits :
         {std::string(), kOne.substr(0, 7), "0123456G" + kOne.substr(8), kOne + "0",
          std::string("' OR 1=1 --"), std::string("%%%%%%%%"), std::string(8, '\0')}) {
        const std::string text = refusal(digits);
        EXPECT_TRUE(text.starts_with("invalid_argument hash: expected 8 to 64 hexadecimal digits"))
            << text;
    }
    EXPECT_EQ(history_->all_quarantined()->size(), 1U);
}

}  // namespace
}  // namespace export_worker::plugins
