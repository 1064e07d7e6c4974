#include "daemon/control/sent_files.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/hex.hpp"
#include "base/limits.hpp"
#include "daemon/control/limits.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/resource_limit.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::control {
namespace {

namespace fs = std::filesystem;

class SentFilesTest : public ::testing::Test {
protected:
    std::string begin(const std::string& text) {
        auto id =
            files_.begin(static_cast<std::int64_t>(text.size()), to_hex(crypto::sha256(text)));
        EXPECT_TRUE(id) << id.error().message;
        return id ? *id : "";
    }
    [[nodiscard]] bool is_empty() const { return fs::is_empty(dir_.path()); }

    const testing::TempDir dir_;
    testing::FakeClock clock_;
    SentFiles files_{dir_.path(), clock_};
};

TEST_F(SentFilesTest, IsTakenOnceWhole) {
    const std::string id = begin("0123456789");
    ASSERT_TRUE(files_.append(id, 0, "0123"));
    ASSERT_TRUE(files_.append(id, 4, "456789"));
    const auto path = files_.take(id);
    ASSERT_TRUE(path) << path.error().message;
    EXPECT_EQ(testing::read_text(*path), "0123456789");
    EXPECT_EQ(fs::path(*path).extension(), ".part");
    EXPECT_EQ(files_.take(id).error().code, ErrorCode::kNotFound);
    EXPECT_TRUE(fs::exists(*path));
}

TEST_F(SentFilesTest, OtherBytesThanAnnouncedAreDataLoss) {
    const std::string cut = begin("0123");
    ASSERT_TRUE(files_.append(cut, 0, "012"));
    EXPECT_EQ(files_.take(cut).error().code, ErrorCode::kDataLoss);
    const std::string other = begin("0123");
    ASSERT_TRUE(files_.append(other, 0, "0124"));
    EXPECT_EQ(files_.take(other).error().code, ErrorCode::kDataLoss);
    EXPECT_TRUE(is_empty());
}

TEST_F(SentFilesTest, PiecesComeInOrderAndFit) {
    const std::string gap = begin("0123");
    EXPECT_EQ(files_.append(gap, 1, "1").error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(files_.append(gap, 0, "0").error().code, ErrorCode::kNotFound);
    const std::string more = begin("0123");
    EXPECT_EQ(files_.append(more, 0, "01234").error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(files_.append("unknown", 0, "0").error().code, ErrorCode::kNotFound);
    EXPECT_TRUE(is_empty());
}

TEST_F(SentFilesTest, SizeAndNumberHaveLimits) {
    const auto large = static_cast<std::int64_t>(limits::kPluginFileBytesMax) + 1;
    EXPECT_EQ(files_.begin(large, "").error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(files_.begin(-1, "").error().code, ErrorCode::kInvalidArgument);
    for (std::size_t count = 0; count < limits::kSentFilesMax; ++count) begin("x");
    EXPECT_EQ(files_.begin(1, "").error().code, ErrorCode::kConflict);
}

TEST_F(SentFilesTest, OneThatGetsNothingIsGivenUp) {
    const std::string id = begin("0123");
    clock_.advance(limits::kSentFileIdleMax);
    files_.expire();
    ASSERT_TRUE(files_.append(id, 0, "01"));
    clock_.advance(limits::kSentFileIdleMax + std::chrono::seconds(1));
    files_.expire();
    EXPECT_EQ(files_.append(id, 2, "23").error().code, ErrorCode::kNotFound);
    EXPECT_TRUE(is_empty());
}

TEST_F(SentFilesTest, WhatDoesNotFitTheDiskIsGivenUp) {
    const std::string text(100'000, 'x');
    const std::string id = begin(text);
    {
        const testing::ResourceLimit bound(RLIMIT_FSIZE, 16'384);
        EXPECT_FALSE(files_.append(id, 0, text));
    }
    EXPECT_TRUE(is_empty());
}

TEST_F(SentFilesTest, TheEndDeletesWhatWasNotTaken) {
    {
        SentFiles files(dir_.path(), clock_);
        ASSERT_TRUE(files.begin(1, ""));
        EXPECT_FALSE(is_empty());
    }
    EXPECT_TRUE(is_empty());
}

}  // namespace
}  // namespace export_worker::control
