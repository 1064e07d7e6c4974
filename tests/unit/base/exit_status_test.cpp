#include "base/exit_status.hpp"

#include <gtest/gtest.h>

#include <cerrno>

namespace export_worker {
namespace {

TEST(StartExitStatus, WhatCanPassIsTriedAgain) {
    for (const int number : {ENOSPC, EDQUOT, EMFILE, ENOMEM, EIO, ESTALE, EADDRINUSE})
        EXPECT_EQ(start_exit_status(errno_error("open", number).code), 75) << number;
    EXPECT_EQ(start_exit_status(ErrorCode::kUnavailable), 75);
}

TEST(StartExitStatus, WhatAnOperatorMustChangeIsNot) {
    for (const int number : {ENOENT, EACCES, EROFS})
        EXPECT_EQ(start_exit_status(errno_error("open", number).code), 78) << number;
    EXPECT_EQ(start_exit_status(ErrorCode::kInvalidArgument), 78);
    EXPECT_EQ(start_exit_status(ErrorCode::kDataLoss), 78) << "a damaged database";
}

}  // namespace
}  // namespace export_worker
