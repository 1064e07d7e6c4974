#include "exportctl/command.hpp"

#include <gtest/gtest.h>

#include <set>

#include "exportctl/command_line.hpp"

namespace export_worker::exportctl {
namespace {

TEST(Commands, EveryFlagIsUsedAndEveryNameIsKnown) {
    std::set<std::string_view> used(global_flags().begin(), global_flags().end());
    for (const Command& command : commands()) {
        for (const OwnFlag& each : flags_of(command)) used.insert(each.flag->name);
        for (const std::string_view pair : split(command.exclusive)) {
            ASSERT_EQ(split(pair, '|').size(), 2U) << command.words;
            for (const std::string_view name : split(pair, '|'))
                EXPECT_NE(command.flags.find(name), std::string_view::npos) << command.words;
        }
    }
    for (const Flag& flag : all_flags()) {
        EXPECT_TRUE(used.contains(flag.name)) << flag.name;
        EXPECT_EQ(flag.kind == Kind::kSwitch, flag.value.empty()) << flag.name;
    }
}

TEST(Commands, EveryExampleIsAccepted) {
    for (const Command& command : commands()) {
        EXPECT_FALSE(command.help.empty()) << command.words;
        ASSERT_FALSE(command.examples.empty()) << command.words;
        for (std::string_view example : split(command.examples, '\n')) {
            example = example.substr(0, example.find(" <"));
            std::vector<std::string> words;
            for (const std::string_view word : split(example.substr(0, example.find(" '"))))
                words.emplace_back(word);
            if (example.find(" '") != std::string_view::npos) words.emplace_back("{}");
            const auto line = parse_command_line(words);
            ASSERT_TRUE(line) << example << ": " << line.error().message;
            EXPECT_EQ(line->command, &command) << example;
        }
    }
}

TEST(Commands, ArgumentsInBracketsMayBeAbsent) {
    const auto counts = [](const char* words) {
        for (const Command& command : commands()) {
            if (command.words == words) return argument_counts(command);
        }
        return std::pair<std::size_t, std::size_t>{9, 9};
    };
    EXPECT_EQ(counts("plugin history"), (std::pair<std::size_t, std::size_t>{0, 1}));
    EXPECT_EQ(counts("template put"), (std::pair<std::size_t, std::size_t>{2, 2}));
    EXPECT_EQ(counts("status"), (std::pair<std::size_t, std::size_t>{0, 0}));
}

}  // namespace
}  // namespace export_worker::exportctl
