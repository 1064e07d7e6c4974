#include "base/base64.hpp"

#include <gtest/gtest.h>

namespace export_worker {
namespace {

TEST(Base64, UrlFormBothWays) {
    for (const std::string& bytes : {std::string(), std::string("f"), std::string("fo"),
                                     std::string("foo"), std::string("\xff\xfe\xfd\x00", 4)}) {
        std::string text;
        append_base64url(text, bytes);
        EXPECT_EQ(from_base64url(text), bytes);
        EXPECT_EQ(from_base64(to_base64(bytes)), bytes);
    }
}

TEST(Base64, UrlFormTakesOnlyWhatAnEncoderWrites) {
    for (const char* bad : {"A", "AA==", "AAA=", "AB", "A+AA", "A/AA", "AA A", "AAAAA", "\n"})
        EXPECT_FALSE(from_base64url(bad)) << bad;
    EXPECT_EQ(from_base64url("_-8"), "\xff\xef");
    EXPECT_FALSE(from_base64("_-8="));
}

}  // namespace
}  // namespace export_worker
