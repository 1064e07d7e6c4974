#include "base/options/arguments.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace export_worker::options {
namespace {

TEST(RunProgram, ReturnsTheStatus) {
    EXPECT_EQ(run_program("p", [] { return 0; }), 0);
    EXPECT_EQ(run_program("p", [] { return 64; }), 64);
}

TEST(RunProgram, NoExceptionLeavesIt) {
    ::testing::internal::CaptureStderr();
    EXPECT_EQ(run_program("p", []() -> int { throw std::runtime_error("disk on fire"); }), 70);
    EXPECT_EQ(run_program("p", []() -> int { throw 5; }), 70);
    EXPECT_EQ(::testing::internal::GetCapturedStderr(),
              "p: unexpected error: disk on fire\np: unexpected error of an unknown type\n");
}

}  // namespace
}  // namespace export_worker::options
