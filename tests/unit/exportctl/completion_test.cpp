#include "exportctl/completion.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "exportctl/command.hpp"

namespace export_worker::exportctl {
namespace {

using Words = std::vector<std::string>;

Words after(const Words& words) {
    Words out;
    for (const Candidate& each : complete(words)) out.push_back(each.word);
    return out;
}

bool offers(const Words& words, std::string_view word) {
    return std::ranges::count(after(words), word) == 1;
}

TEST(Complete, EveryVerbAndEveryFlag) {
    for (const Command& command : commands()) {
        Words words;
        for (const std::string_view word : split(command.words)) {
            words.emplace_back("");
            EXPECT_TRUE(offers(words, word)) << command.words;
            words.back() = word;
        }
        words.emplace_back("-");
        for (const OwnFlag& each : flags_of(command))
            EXPECT_TRUE(offers(words, std::string("--") + each.flag->name)) << command.words;
        for (const std::string_view name : global_flags())
            EXPECT_TRUE(offers(words, "--" + std::string(name))) << command.words;
    }
}

TEST(Complete, WhatIsTyped) {
    EXPECT_EQ(after({"plugin", "re"}), (Words{"reload"}));
    EXPECT_EQ(after({"--json", "help", "sta"}), (Words{"status"}));
    EXPECT_EQ(after({"job", "list", "--o"}), (Words{"--organization", "--offset"}));
    EXPECT_EQ(after({"job", "list", "--offset", "3", "--o"}), (Words{"--organization"}));
    EXPECT_EQ(after({"nonsense", ""}), Words{});
    EXPECT_EQ(after({}), Words{});
}

TEST(Complete, ValuesAndPaths) {
    EXPECT_EQ(after({"export", "submit", "--format", ""}), (Words{"csv", "jsonl", "xlsx"}));
    EXPECT_EQ(after({"export", "submit", "--format", "=", "x"}), (Words{"xlsx"}));
    EXPECT_EQ(after({"export", "submit", "--format", "="}), (Words{"csv", "jsonl", "xlsx"}));
    EXPECT_EQ(after({"export", "submit", "--format=x"}), (Words{"--format=xlsx"}));
    EXPECT_EQ(after({"--config", "/etc"}), (Words{":files"}));
    EXPECT_EQ(after({"catalog", "import", ""}), (Words{":files"}));
    EXPECT_EQ(after({"template", "put", "weekly", ""}), (Words{":files"}));
    EXPECT_EQ(after({"backup", ""}), (Words{":directories"}));
    EXPECT_EQ(after({"plugin", "quarantine", "list", "--state-dir", ""}), (Words{":directories"}));
    EXPECT_EQ(after({"job", "show", ""}), Words{});
    EXPECT_EQ(after({"backup", "/var", ""}), Words{});
}

}  // namespace
}  // namespace export_worker::exportctl
