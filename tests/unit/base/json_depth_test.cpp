#include "base/json_depth.hpp"

#include <gtest/gtest.h>

#include "base/json.hpp"

namespace export_worker {
namespace {

TEST(JsonDepth, CountsArraysAndObjects) {
    EXPECT_FALSE(is_deeper(parse_json("1"), 0));
    EXPECT_TRUE(is_deeper(parse_json("[]"), 0));
    EXPECT_FALSE(is_deeper(parse_json("[1]"), 1));
    EXPECT_TRUE(is_deeper(parse_json(R"([1, {"a": 2}])"), 1));
    EXPECT_FALSE(is_deeper(parse_json(R"({"a": [{"b": 1}], "c": 2})"), 3));
    EXPECT_TRUE(is_deeper(parse_json(R"({"a": [{"b": 1}], "c": 2})"), 2));
}

TEST(JsonDepth, ADiscardedValueHasNone) {
    EXPECT_FALSE(is_deeper(parse_json("["), 0));
}

TEST(JsonDepth, TheDeepestTextCostsNoStack) {
    constexpr std::size_t kLevels = 500'000;
    EXPECT_TRUE(is_deeper(parse_json(std::string(kLevels, '[') + std::string(kLevels, ']')), 32));
}

}  // namespace
}  // namespace export_worker
