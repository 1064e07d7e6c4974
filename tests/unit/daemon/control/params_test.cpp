#include "daemon/control/params.hpp"

#include <gtest/gtest.h>

#include "base/json.hpp"

namespace export_worker::control {
namespace {

using message::WireCode;
using nlohmann::json;

TEST(Refuse, OperatorsSeeTheWholeText) {
    for (const auto& [from, to] : {std::pair(ErrorCode::kInternal, WireCode::kInternal),
                                   std::pair(ErrorCode::kDataLoss, WireCode::kInternal),
                                   std::pair(ErrorCode::kFailedPrecondition, WireCode::kInternal),
                                   std::pair(ErrorCode::kResourceExhausted, WireCode::kOverloaded),
                                   std::pair(ErrorCode::kNotFound, WireCode::kNotFound)}) {
        const auto refused = wire_error(Error{from, "open /srv/jobs.db: no space"});
        EXPECT_EQ(refused.value().code, to);
        EXPECT_EQ(refused.value().message, "open /srv/jobs.db: no space");
    }
}

TEST(Refuse, NoTextShowsAKeyOrAToken) {
    for (const std::string secret : {"mo_0123456789abcdef_01", "mos_abcdefghijklmnopqrstuvwx"}) {
        const auto refused =
            wire_error(invalid_argument("name: expected another, found '" + secret + "'").value());
        EXPECT_EQ(refused.value().message.find(secret.substr(4)), std::string::npos);
    }
}

TEST(Refuse, AnInvalidArgumentNamesItsField) {
    const auto refused = wire_error(invalid_argument("file: no").value());
    EXPECT_EQ(refused.value().code, WireCode::kInvalidArgument);
    EXPECT_EQ(refused.value().message, "file: no");
    EXPECT_EQ(refused.value().field, "file");
}

TEST(Refuse, OnlyTextIsText) {
    EXPECT_EQ(text_of({{"a", "x"}}, "a"), "x");
    for (const json& params : std::initializer_list<json>{json::object(),
                                                          {{"a", 5}},
                                                          {{"a", nullptr}},
                                                          {{"a", {"x"}}},
                                                          {{"b", "x"}},
                                                          "a",
                                                          nullptr,
                                                          json::array({"a"}),
                                                          json(json::value_t::discarded)}) {
        EXPECT_EQ(text_of(params, "a"), "");
    }
}

TEST(Refuse, OnlyTrueIsAFlag) {
    EXPECT_TRUE(flag_of({{"a", true}}, "a"));
    for (const json& params : std::initializer_list<json>{json::object(),
                                                          {{"a", false}},
                                                          {{"a", 1}},
                                                          {{"a", "true"}},
                                                          {{"a", nullptr}},
                                                          true,
                                                          json::array({true}),
                                                          json(json::value_t::discarded)}) {
        EXPECT_FALSE(flag_of(params, "a"));
    }
}

}  // namespace
}  // namespace export_worker::control
