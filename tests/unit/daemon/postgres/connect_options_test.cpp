#include "daemon/postgres/connect_options.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::postgres {
namespace {

std::string value_of(const Keywords& keywords, const std::string& name) {
    const auto found =
        std::ranges::find_if(keywords, [&](const auto& each) { return each.first == name; });
    return found == keywords.end() ? "" : found->second;
}

TEST(ConnectOptions, APasswordBelongsIntoItsFile) {
    for (const char* conninfo : {"host=x password=secret", "postgresql://u:secret@x/d"}) {
        const auto refused = connect_keywords({.conninfo = conninfo});
        ASSERT_FALSE(refused) << conninfo;
        EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
        EXPECT_EQ(refused.error().message.find("secret"), std::string::npos);
    }
}

TEST(ConnectOptions, APasswordFileIsSecret) {
    const testing::TempDir dir;
    const ConnectOptions open{.conninfo = "host=x", .password_file = dir.write("p", "s3\n", 0644)};
    EXPECT_EQ(connect_keywords(open).error().code, ErrorCode::kFailedPrecondition);
    const ConnectOptions closed{.conninfo = "host=x", .password_file = dir.write("q", "s3\n")};
    const auto keywords = connect_keywords(closed);
    ASSERT_TRUE(keywords) << keywords.error().message;
    EXPECT_EQ(value_of(*keywords, "password"), "s3");
}

TEST(ConnectOptions, WhatLibpqDoesNotUnderstandIsNamed) {
    const auto refused = connect_keywords({.conninfo = "host"});
    ASSERT_FALSE(refused);
    EXPECT_TRUE(refused.error().message.starts_with("conninfo: ")) << refused.error().message;
    EXPECT_FALSE(connect_keywords({.conninfo = "host=x", .schema = "a\"; DROP SCHEMA b"}));
    EXPECT_FALSE(connect_keywords({.conninfo = "host=x", .schema = ""}));
}

TEST(ConnectOptions, SessionSettingsArePartOfTheStartUnlessAPoolerIsBetween) {
    const auto direct = connect_keywords({.conninfo = "host=x options='-c geqo=off'"});
    ASSERT_TRUE(direct);
    EXPECT_TRUE(value_of(*direct, "options").starts_with("-c geqo=off -c search_path="));
    const auto pooled = connect_keywords({.conninfo = "host=x", .pooler = Pooler::kTransaction});
    ASSERT_TRUE(pooled);
    EXPECT_EQ(value_of(*pooled, "options"), "");
}

TEST(ConnectOptions, SettingsOfTheCallerComeLastAndCount) {
    const ConnectOptions options{.conninfo = "host=x", .settings = {{"statement_timeout", "7"}}};
    const auto keywords = connect_keywords(options);
    ASSERT_TRUE(keywords);
    EXPECT_TRUE(value_of(*keywords, "options").ends_with(" -c statement_timeout=7"));
    EXPECT_EQ(session_settings(options).back().first, "statement_timeout");
}

}  // namespace
}  // namespace export_worker::postgres
