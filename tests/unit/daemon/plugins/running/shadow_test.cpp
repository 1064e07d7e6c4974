#include "daemon/plugins/running/shadow.hpp"

#include <gtest/gtest.h>

#include "base/json.hpp"
#include "daemon/plugins/running/limits.hpp"

namespace export_worker::plugins {
namespace {

using nlohmann::json;

ShadowAnswer result(const json& value) {
    ResultWriter writer;
    writer.result = dump_msgpack(value);
    return ShadowAnswer(writer);
}
ShadowAnswer error(message::WireCode code) {
    ResultWriter writer;
    writer.has_error = true;
    writer.error = message::make_error(code, "why");
    return ShadowAnswer(writer);
}

TEST(Shadow, TakesAsManyAsItIsTold) {
    Shadow shadow(2);
    EXPECT_TRUE(shadow.take());
    EXPECT_TRUE(shadow.take());
    EXPECT_FALSE(shadow.take());
    EXPECT_FALSE(Shadow(0).take());
}

TEST(Shadow, WhatAGenerationAnswersDifferentlyEachTimeIsNoDifference) {
    Shadow shadow(1);
    shadow.compare("p.do", result({{"url", "a?t=1"}, {"name", "x"}}),
                   result({{"url", "a?t=2"}, {"name", "x"}}),
                   result({{"url", "a?t=3"}, {"name", "x"}}));
    EXPECT_EQ(shadow.read().compared, 1U);
    EXPECT_EQ(shadow.read().different, 0U);
}

TEST(Shadow, NamesTheMembersThatDifferWithoutTheirValues) {
    Shadow shadow(3);
    const json now = {{"name", "x"}, {"more", {{"size", 1}}}, {"new", true}};
    const json before = {{"name", "secret"}, {"more", {{"size", 2}}}, {"old", true}};
    for (int count = 0; count < 3; ++count)
        shadow.compare("p.do", result(now), result(now), result(before));
    const ShadowReport report = shadow.read();
    EXPECT_EQ(report.different, 3U);
    EXPECT_EQ(report.members,
              (std::map<std::string, std::uint64_t>{
                  {"p.do /name", 3}, {"p.do /more/size", 3}, {"p.do /new", 3}, {"p.do /old", 3}}));
}

TEST(Shadow, AnErrorInsteadOfAResultIsADifference) {
    Shadow shadow(2);
    const ShadowAnswer good = result({{"name", "x"}});
    const ShadowAnswer bad = error(message::WireCode::kNotFound);
    shadow.compare("p.do", good, good, bad);
    shadow.compare("p.do", bad, bad, bad);
    EXPECT_EQ(shadow.read().different, 1U);
    EXPECT_TRUE(shadow.read().members.contains("p.do (error)"));
}

TEST(Shadow, RemembersABoundedNumberOfMembers) {
    Shadow shadow(1);
    json many = json::object();
    for (int count = 0; count < 100; ++count) many[std::to_string(count)] = count;
    shadow.compare("p.do", result(many), result(many), result(json::object()));
    EXPECT_EQ(shadow.read().members.size(), limits::kShadowMembersMax);
}

}  // namespace
}  // namespace export_worker::plugins
