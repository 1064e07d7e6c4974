#include "base/json_fields.hpp"

#include <gtest/gtest.h>

#include <array>
#include <limits>

#include "base/json.hpp"

namespace export_worker {
namespace {

using nlohmann::json;
using Values = std::initializer_list<json>;

// What a read complains about; empty: nothing.
template <typename T>
std::string complaint(const Result<T>& read) {
    if (read) return "";
    EXPECT_EQ(read.error().code, ErrorCode::kInvalidArgument);
    return read.error().message;
}

constexpr std::array<std::string_view, 3> kWords{"csv", "jsonl", "xlsx"};
enum class Format { kCsv, kJsonl, kXlsx };

TEST(JsonFields, ReadsEachKind) {
    const json object = {{"text", "a"},        {"whole", -3}, {"flag", true},
                         {"word", "xlsx"},     {"list", {1}}, {"texts", {"a", ""}},
                         {"inner", {{"a", 1}}}};
    JsonFields fields(object);
    EXPECT_EQ(fields.text("text"), "a");
    EXPECT_EQ(fields.text_or("text", "b"), "a");
    EXPECT_EQ(fields.optional_text("text"), "a");
    EXPECT_EQ(fields.integer("whole"), -3);
    EXPECT_EQ(fields.optional_integer("whole"), -3);
    EXPECT_EQ(fields.boolean_or("flag", false), true);
    EXPECT_EQ(fields.word_or("word", kWords, Format::kCsv), Format::kXlsx);
    EXPECT_EQ(fields.texts("texts"), std::vector<std::string>({"a", ""}));
    EXPECT_EQ(**fields.array("list"), json({1}));
    EXPECT_EQ(**fields.object("inner"), json({{"a", 1}}));
    EXPECT_TRUE(fields.refuse_unknown());
}

TEST(JsonFields, AnAbsentMemberIsMissingOrWhatIsNamedForIt) {
    for (const json& object : Values{json::object(), {{"x", nullptr}}}) {
        JsonFields fields(object);
        EXPECT_EQ(complaint(fields.text("x")), "x: missing");
        EXPECT_EQ(complaint(fields.integer("x")), "x: missing");
        EXPECT_EQ(fields.text_or("x", "b"), "b");
        EXPECT_EQ(fields.optional_text("x"), std::nullopt);
        EXPECT_EQ(fields.optional_integer("x"), std::nullopt);
        EXPECT_EQ(fields.boolean_or("x", true), true);
        EXPECT_EQ(fields.word_or("x", kWords, Format::kJsonl), Format::kJsonl);
        EXPECT_TRUE(fields.texts("x")->empty());
        EXPECT_EQ(*fields.array("x"), nullptr);
        EXPECT_EQ(*fields.object("x"), nullptr);
    }
}

TEST(JsonFields, ANullIsAWrongValueWhereItMayNotStandForAbsence) {
    const json object = {{"x", nullptr}};
    JsonFields fields(object, "", JsonFields::Null::kRefused);
    EXPECT_EQ(complaint(fields.text("x")), "x: expected text, found null");
    EXPECT_EQ(complaint(fields.text_or("x", "")), "x: expected text, found null");
    EXPECT_EQ(complaint(fields.optional_text("x")), "x: expected text, found null");
    EXPECT_EQ(complaint(fields.optional_integer("x")), "x: expected a whole number, found null");
    EXPECT_EQ(complaint(fields.boolean_or("x", true)), "x: expected true or false, found null");
    EXPECT_EQ(complaint(fields.word_or("x", kWords, Format::kCsv)),
              "x: expected csv, jsonl or xlsx, found null");
    EXPECT_EQ(complaint(fields.texts("x")), "x: expected a list, found null");
    EXPECT_EQ(complaint(fields.array("x")), "x: expected a list, found null");
    EXPECT_EQ(complaint(fields.object("x")), "x: expected an object, found null");
    EXPECT_EQ(complaint(fields.text("y")), "y: missing");
}

TEST(JsonFields, WhatIsNoObjectHasNoMembers) {
    for (const json& value : Values{nullptr, 5, "x", json(json::value_t::discarded)}) {
        JsonFields fields(value);
        EXPECT_EQ(complaint(fields.text("x")), "x: missing");
        EXPECT_EQ(fields.find("x"), nullptr);
        EXPECT_NE(complaint(check_object(value, "body")), "");
    }
}

TEST(JsonFields, NamesTheKindItFound) {
    for (const auto& [value, kind] : std::initializer_list<std::pair<json, const char*>>{
             {nullptr, "null"},
             {true, "true"},
             {false, "false"},
             {5, "a number"},
             {1.5, "a number"},
             {json::array(), "a list"},
             {json::object(), "an object"},
             {json::binary({1}), "bytes"},
             {json(json::value_t::discarded), "no JSON"}}) {
        EXPECT_EQ(complaint(text_from(value, "a")), std::string("a: expected text, found ") + kind);
    }
    EXPECT_EQ(complaint(boolean_from("true", "a")), "a: expected true or false, found text");
    EXPECT_EQ(complaint(boolean_from(1, "a")), "a: expected true or false, found a number");
    EXPECT_EQ(complaint(check_array("x", "a")), "a: expected a list, found text");
    EXPECT_EQ(complaint(check_object(json::array(), "a")), "a: expected an object, found a list");
}

TEST(JsonFields, TextsHaveBounds) {
    EXPECT_EQ(complaint(text_from("", "a", {1, 3})), "a: expected 1 to 3 bytes, found 0");
    EXPECT_EQ(complaint(text_from("abcd", "a", {1, 3})), "a: expected 1 to 3 bytes, found 4");
    EXPECT_EQ(complaint(text_from("abcd", "a", {0, 3})), "a: expected at most 3 bytes, found 4");
    EXPECT_EQ(complaint(text_from("", "a", {1, SIZE_MAX})),
              "a: expected at least 1 bytes, found 0");
    EXPECT_EQ(text_from("\xc3\x9c", "a", {2, 2}), "\xc3\x9c");  // Bytes, not characters.
    EXPECT_EQ(text_from("", "a", {0, 0}), "");
    EXPECT_EQ(complaint(text_from("a\nb", "a", {1, 3, false})),
              "a: expected no control characters");
    EXPECT_EQ(complaint(text_from(std::string(1, '\0'), "a", {1, 3, false})),
              "a: expected no control characters");
    EXPECT_EQ(text_from("a\nb", "a"), "a\nb");
}

TEST(JsonFields, IntegersHaveBoundsAndNoFraction) {
    EXPECT_EQ(integer_from(INT64_MIN, "a"), INT64_MIN);
    EXPECT_EQ(integer_from(std::uint64_t{INT64_MAX}, "a"), INT64_MAX);
    EXPECT_EQ(integer_from(1, "a", {1, 3}), 1);
    EXPECT_EQ(integer_from(3U, "a", {1, 3}), 3);
    EXPECT_EQ(complaint(integer_from(0, "a", {1, 3})),
              "a: expected a whole number from 1 to 3, found 0");
    EXPECT_EQ(complaint(integer_from(4, "a", {1, 3})),
              "a: expected a whole number from 1 to 3, found 4");
    EXPECT_EQ(complaint(integer_from(-1, "a", {0, INT64_MAX})),
              "a: expected a whole number of at least 0, found -1");
    EXPECT_EQ(complaint(integer_from(1.0, "a")), "a: expected a whole number, found 1.0");
    EXPECT_EQ(complaint(integer_from(UINT64_MAX, "a")),
              "a: expected a whole number, found 18446744073709551615");
    EXPECT_EQ(complaint(integer_from(std::uint64_t{1} << 63, "a")),
              "a: expected a whole number, found 9223372036854775808");
    EXPECT_EQ(complaint(integer_from("5", "a")), "a: expected a whole number, found text");
    EXPECT_EQ(complaint(integer_from(true, "a")), "a: expected a whole number, found true");
    for (const double odd :
         {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()})
        EXPECT_EQ(complaint(integer_from(odd, "a")), "a: expected a whole number, found a number");
}

// As the parser hands them over.
TEST(JsonFields, NumbersOfTextsAreReadAsTheyAreWritten) {
    const auto read = [](const char* text) {
        const json value = parse_json(text);
        return complaint(integer_from(value, "a"));
    };
    EXPECT_EQ(read("-0"), "");
    EXPECT_EQ(read("-9223372036854775808"), "");
    EXPECT_EQ(read("9223372036854775807"), "");
    EXPECT_EQ(read("9223372036854775808"), "a: expected a whole number, found 9223372036854775808");
    EXPECT_EQ(read("-9223372036854775809"),
              "a: expected a whole number, found -9.223372036854776e+18");
    EXPECT_EQ(read("18446744073709551616"),
              "a: expected a whole number, found 1.8446744073709552e+19");
    EXPECT_EQ(read("1.0"), "a: expected a whole number, found 1.0");
    EXPECT_EQ(read("1e3"), "a: expected a whole number, found 1000.0");
    EXPECT_EQ(read("1e400"), "a: expected a whole number, found no JSON");
    EXPECT_LT(read(("1" + std::string(300, '0')).c_str()).size(), 80U);
}

TEST(JsonFields, WordsAreNamedAndTheWrongOneIsShownSafely) {
    EXPECT_EQ(word_from("csv", "a", kWords), 0U);
    EXPECT_EQ(complaint(word_from("CSV", "a", kWords)),
              "a: expected csv, jsonl or xlsx, found 'CSV'");
    EXPECT_EQ(complaint(word_from("x\ny\xff", "a", kWords)),
              "a: expected csv, jsonl or xlsx, found 'x?y?'");
    EXPECT_LT(complaint(word_from(std::string(10'000, 'x'), "a", kWords)).size(), 200U);
    EXPECT_EQ(complaint(word_from(1, "a", kWords)),
              "a: expected csv, jsonl or xlsx, found a number");
    EXPECT_EQ(one_of(Words(kWords).first(1)), "csv");
    EXPECT_EQ(one_of({}), "");
}

TEST(JsonFields, TimesAreSecondsOfIso8601) {
    const json object = {{"at", "1970-01-01T00:01:00Z"}, {"odd", "yester\nday"}, {"number", 60}};
    JsonFields fields(object);
    EXPECT_EQ(fields.time_s("at"), 60);
    EXPECT_EQ(fields.optional_time_us("at"), 60'000'000);
    EXPECT_EQ(fields.optional_time_us("none"), std::nullopt);
    EXPECT_EQ(complaint(fields.time_s("none")), "none: missing");
    EXPECT_EQ(complaint(fields.time_s("odd")),
              "odd: expected a date of the calendar from 1970 on as YYYY-MM-DDThh:mm:ssZ, found "
              "'yester?day'");
    EXPECT_EQ(complaint(fields.optional_time_us("number")),
              "number: expected text, found a number");
}

TEST(JsonFields, ListsHaveBounds) {
    const json two = {"a", "b"};
    EXPECT_EQ(complaint(texts_from(two, "a", {1, 2})), "");
    EXPECT_EQ(complaint(texts_from(two, "a", {3, 4})),
              "a: expected a list of 3 to 4 entries, found 2");
    EXPECT_EQ(complaint(texts_from(two, "a", {0, 1})),
              "a: expected a list of at most 1 entries, found 2");
    EXPECT_EQ(complaint(texts_from("a", "a", {1, 2})),
              "a: expected a list of 1 to 2 entries, found text");
    EXPECT_EQ(complaint(texts_from({"a", 5}, "a")), "a: expected text, found a number");
    EXPECT_EQ(complaint(texts_from({"a", ""}, "a", {}, {1, 9})),
              "a: expected 1 to 9 bytes, found 0");
    EXPECT_EQ(complaint(texts_from({{"a", "b"}, {"c", "d"}}, "a")),
              "a: expected a list, found an object");
}

TEST(JsonFields, MessagesBeginWithTheWholeName) {
    const json object = {{"x", 5}};
    JsonFields fields(object, "error.");
    EXPECT_EQ(complaint(fields.text("x")), "error.x: expected text, found a number");
    EXPECT_EQ(complaint(fields.text("y")), "error.y: missing");
    EXPECT_EQ(fields.full_name("z"), "error.z");
    EXPECT_EQ(fields.names()[1], "y");
}

TEST(JsonFields, UnknownMembersAreRefusedAndNamedSafely) {
    const auto unknown = [](const json& object, std::string_view also = "") {
        JsonFields fields(object, "p.");
        (void)fields.find("a");
        (void)fields.find("b");
        return complaint(fields.refuse_unknown(also));
    };
    EXPECT_EQ(unknown(json::object()), "");
    EXPECT_EQ(unknown({{"a", 1}, {"b", nullptr}}), "");
    EXPECT_EQ(unknown({{"a", 1}, {"c", 1}}), "p.c: unknown field; expected only a, b");
    EXPECT_EQ(unknown({{"c", nullptr}}, "d, e"), "p.c: unknown field; expected only a, b, d, e");
    EXPECT_EQ(unknown({{"", 1}}), "p.: unknown field; expected only a, b");
    EXPECT_EQ(unknown({{"A\nB\xff", 1}}), "p.A?B?: unknown field; expected only a, b");
    EXPECT_LT(unknown({{std::string(10'000, 'x'), 1}}).size(), 200U);
}

TEST(JsonFields, OfAMemberGivenTwiceTheLastCounts) {
    const json object = parse_json(R"({"x":"first","x":"last"})");
    EXPECT_EQ(JsonFields(object).text("x"), "last");
    EXPECT_FALSE(parse_json(R"({"x":"first","x":"last"})", {2, 9, true}));
}

// Whatever is wrong with it, a text that was not asked for as one of a few words is not shown.
TEST(JsonFields, NoTextIsShown) {
    const json secret = "SEKRET\n";
    const json object = {{"x", secret}, {"list", {secret}}};
    JsonFields fields(object);
    for (const std::string& said :
         {complaint(text_from(secret, "x", {0, 3})), complaint(text_from(secret, "x", {9, 99})),
          complaint(text_from(secret, "x", {0, 99, false})), complaint(integer_from(secret, "x")),
          complaint(boolean_from(secret, "x")), complaint(check_object(secret, "x")),
          complaint(check_array(secret, "x")), complaint(text_from(json::array({secret}), "x")),
          complaint(text_from({{"SEKRET", 1}}, "x")), complaint(fields.texts("list", {}, {0, 3})),
          complaint(fields.refuse_unknown())}) {
        EXPECT_NE(said, "");
        EXPECT_EQ(said.find("SEKRET"), std::string::npos) << said;
    }
}

TEST(JsonFields, TextInReadsOnlyText) {
    EXPECT_EQ(text_in({{"a", "x"}}, "a"), "x");
    for (const json& value : Values{json::object(),
                                    {{"a", 5}},
                                    {{"a", nullptr}},
                                    {{"a", {"x"}}},
                                    "a",
                                    nullptr,
                                    json::array({"a"})})
        EXPECT_EQ(text_in(value, "a"), std::nullopt) << value;
}

}  // namespace
}  // namespace export_worker
