#include "protocol/message/job_id.hpp"

#include <gtest/gtest.h>

#include <string>

#include "base/shared_limits.hpp"

namespace export_worker::message {
namespace {

std::string problem(std::string_view job_id) {
    const auto good = check_job_id(job_id);
    return good ? std::string() : good.error().message;
}

TEST(JobId, IsShortTextWithoutControlCharacters) {
    for (const std::string& good :
         {std::string("x"), std::string("a b/%"), std::string("\xF0\x9F\x9F\xA2"),
          std::string(limits::kJobIdBytesMax, 'x')})
        EXPECT_EQ(problem(good), "");
    const std::string expected =
        "job_id: expected 1 to 128 bytes without control characters, found ";
    EXPECT_EQ(problem(""), expected + "0 bytes");
    EXPECT_EQ(problem(std::string(limits::kJobIdBytesMax + 1, 'x')), expected + "129 bytes");
    for (const std::string& bad : {std::string("\0", 1), std::string("a\nb"), std::string("\x7f")})
        EXPECT_EQ(problem(bad), expected + "a control character");
}

}  // namespace
}  // namespace export_worker::message
