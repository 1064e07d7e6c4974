#include "protocol/message/json_text.hpp"
#include "base/json.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace export_worker::message {
namespace {

using nlohmann::ordered_json;

std::string json_of(std::string_view msgpack) {
    std::string out = "before ";
    return append_json(out, msgpack) ? out.substr(7) : "refused, " + out;
}
std::string packed(const ordered_json& value) {
    std::string out;
    ordered_json::to_msgpack(value, out);
    return out;
}
std::string dumped(const ordered_json& value) {
    return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

TEST(AppendJson, WritesWhatALibraryWrites) {
    const ordered_json value = {
        {"z first", nullptr},
        {"text", "quote \" backslash \\ \b\f\n\r\t \x01\x1f\x7f umlaut \u00e4 \U0001f600"},
        {"", true},
        {"false", false},
        {"numbers",
         {0, 1, 127, 128, 65536, -1, -32, -33, std::numeric_limits<std::int64_t>::min(),
          std::numeric_limits<std::uint64_t>::max()}},
        {"floats", {0.5, 1.0, -2.0, 1e25, 1.5e-9, 0.1, 3.0e15}},
        {"empty", {ordered_json::array(), ordered_json::object(), ""}},
        {"nested", {{{"a", {{"b", ordered_json::array({1, {{"c", "d"}}})}}}}}}};
    EXPECT_EQ(json_of(packed(value)), dumped(value));
    for (const char* scalar : {"7", "\"x\"", "null", "[]", "{}"})
        EXPECT_EQ(json_of(packed(ordered_json::parse(scalar))), scalar);
}

ordered_json random_value(std::mt19937& random, int depth) {
    switch (random() % (depth > 0 ? 8 : 6)) {
        case 0: return nullptr;
        case 1: return random() % 2 == 0;
        case 2: return static_cast<std::uint64_t>(random()) << (random() % 32);
        case 3: return -static_cast<std::int64_t>(random());
        case 4:
            return std::ldexp(static_cast<double>(random()), static_cast<int>(random() % 80) - 50);
        case 5: {
            std::string text;
            for (auto left = random() % 40; left > 0; --left)
                text += static_cast<char>(random() % 0x80);
            return text;
        }
        case 6: {
            auto array = ordered_json::array();
            for (auto left = random() % 5; left > 0; --left)
                array.push_back(random_value(random, depth - 1));
            return array;
        }
        default: {
            auto object = ordered_json::object();
            for (auto left = random() % 5; left > 0; --left)
                object[std::to_string(random() % 100)] = random_value(random, depth - 1);
            return object;
        }
    }
}

TEST(AppendJson, EveryValueReadsBackAsItWas) {
    std::mt19937 random(7);
    for (int round = 0; round < 2000; ++round) {
        const ordered_json value = random_value(random, 4);
        EXPECT_EQ(ordered_json::parse(json_of(packed(value))), value);
    }
}

TEST(AppendJson, WhatJsonCannotSay) {
    EXPECT_EQ(json_of(packed(std::numeric_limits<double>::infinity())), "null");
    EXPECT_EQ(json_of(packed(std::nan(""))), "null");
    EXPECT_EQ(json_of("\xa4 \xff\xc3 "), "\" \xef\xbf\xbd\xef\xbf\xbd \"");
    EXPECT_EQ(json_of(std::string_view("\xc4\x01x", 3)), "refused, before ") << "bin";
    EXPECT_EQ(json_of(std::string_view("\xd4\x01x", 3)), "refused, before ") << "ext";
    EXPECT_EQ(json_of("\x81\x01\x02"), "refused, before ") << "a key that is a number";
    EXPECT_EQ(json_of("\x81\x91\xa1x\x02"), "refused, before ") << "a key that is an array";
    EXPECT_EQ(json_of("\x82\xa1x\x02"), "refused, before ") << "truncated";
    EXPECT_EQ(json_of("\x01\x02"), "refused, before ") << "two values";
    EXPECT_EQ(json_of(""), "refused, before ");
    EXPECT_EQ(json_of(std::string(1000, '\x91') + "\x01"), "refused, before ") << "deep";
}

}  // namespace
}  // namespace export_worker::message
