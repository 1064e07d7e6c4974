#include "base/json.hpp"

#include <gtest/gtest.h>

namespace export_worker {
namespace {

using nlohmann::json;

TEST(Json, ParsesOneValue) {
    EXPECT_EQ(parse_json(R"({"a": [1, "b", null]})"), (json{{"a", {1, "b", nullptr}}}));
}

TEST(Json, TextThatIsNotOneJsonValueIsDiscarded) {
    for (const std::string_view text :
         {"", " ", "{", "[1,]", "{\"a\" 1}", "{'a': 1}", "01", "NaN", "1 2", "nul", "// 1",
          "\"\n\"", "\"\\ud800\"", "\"\xff\"", "\"\xc0\xaf\""}) {
        EXPECT_TRUE(parse_json(text).is_discarded()) << text;
    }
}

TEST(Json, AZeroByteEndsNothing) {
    EXPECT_TRUE(parse_json(std::string_view("1\0", 2)).is_discarded());
    EXPECT_TRUE(parse_json(std::string_view("1\0 2", 4)).is_discarded());
    EXPECT_TRUE(parse_json(std::string_view("\0", 1)).is_discarded());
    EXPECT_THROW((void)parse_json_or_throw(std::string_view("1\0", 2)), json::parse_error);
}

TEST(Json, TheThrowingParserNamesThePosition) {
    EXPECT_EQ(parse_json_or_throw("[1]"), json::array({1}));
    try {
        (void)parse_json_or_throw("[1,");
        FAIL() << "parsed";
    } catch (const json::parse_error& error) {
        EXPECT_NE(std::string(error.what()).find("column 4"), std::string::npos) << error.what();
    }
}

TEST(Json, DumpsOneLine) {
    EXPECT_EQ(dump_json({{"a", "x\ny"}, {"b", {1, 2}}}), R"({"a":"x\ny","b":[1,2]})");
}

TEST(Json, DumpsEveryKindOfBadUtf8AsAReplacement) {
    EXPECT_EQ(dump_json("a\xff"), "\"a\xef\xbf\xbd\"");
    EXPECT_EQ(dump_json("\xe2\x82"), "\"\xef\xbf\xbd\"");  // Cut off.
    EXPECT_TRUE(parse_json(dump_json("\xed\xa0\x80 \xf5\x80\x80\x80")).is_string());
    EXPECT_TRUE(parse_json(dump_json({{"\xff", 1}})).is_object());
}

TEST(Json, MsgpackComesBackAsItWas) {
    const json value = {{"text", "x"}, {"number", -5}, {"list", {true, nullptr, 1.5}}};
    EXPECT_EQ(parse_msgpack(dump_msgpack(value)), value);
}

TEST(Json, BytesThatAreNotOneMsgpackValueAreDiscarded) {
    using namespace std::string_view_literals;
    for (const std::string_view bytes :
         {""sv, "\xc1"sv, "\x80\x80"sv, "\x81\xa1"sv, "\x92\x01"sv, "\xdb\xff\xff\xff\xffx"sv,
          "\xdd\xff\xff\xff\xff\x01"sv, "\x81\x01\x02"sv}) {
        EXPECT_TRUE(parse_msgpack(bytes).is_discarded()) << bytes.size();
    }
}

TEST(Json, TheLargestNumbersSurviveMsgpack) {
    for (const json& value : {json(UINT64_MAX), json(INT64_MIN), json(0), json(-1)})
        EXPECT_EQ(parse_msgpack(dump_msgpack(value)), value);
}

}  // namespace
}  // namespace export_worker
