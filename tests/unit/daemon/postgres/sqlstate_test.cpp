#include "daemon/postgres/sqlstate.hpp"

#include <gtest/gtest.h>

namespace export_worker::postgres {
namespace {

TEST(Sqlstate, SaysWhatToDo) {
    EXPECT_EQ(code_of("08006"), ErrorCode::kUnavailable);
    EXPECT_EQ(code_of("57P01"), ErrorCode::kUnavailable);
    EXPECT_EQ(code_of("25006"), ErrorCode::kUnavailable);
    EXPECT_EQ(code_of("53300"), ErrorCode::kUnavailable);
    EXPECT_EQ(code_of("53100"), ErrorCode::kResourceExhausted);
    EXPECT_EQ(code_of("57014"), ErrorCode::kDeadlineExceeded);
    EXPECT_EQ(code_of("55P03"), ErrorCode::kDeadlineExceeded);
    EXPECT_EQ(code_of("23505"), ErrorCode::kConflict);
    EXPECT_EQ(code_of("42P01"), ErrorCode::kFailedPrecondition);
    EXPECT_EQ(code_of("42601"), ErrorCode::kInternal);
    EXPECT_EQ(code_of("XX001"), ErrorCode::kDataLoss);
    EXPECT_EQ(code_of(""), ErrorCode::kInternal);
}

TEST(Sqlstate, OnlyWhatWasGivenUpForOthersRunsAgain) {
    EXPECT_TRUE(is_retried("40001"));
    EXPECT_TRUE(is_retried("40P01"));
    EXPECT_FALSE(is_retried("40003"));
    EXPECT_FALSE(is_retried("57P01"));
}

TEST(Sqlstate, AServerThatGoesAwayLeavesTheOutcomeOfACommitOpen) {
    EXPECT_TRUE(is_commit_unknown("57P01"));
    EXPECT_TRUE(is_commit_unknown("58030"));
    EXPECT_FALSE(is_commit_unknown("23503"));
    EXPECT_FALSE(is_commit_unknown("40001"));
}

}  // namespace
}  // namespace export_worker::postgres
