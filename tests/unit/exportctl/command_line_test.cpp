#include "exportctl/command_line.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace export_worker::exportctl {
namespace {

std::string problem_of(const std::vector<std::string>& words) {
    const auto line = parse_command_line(words);
    return line ? "" : line.error().message;
}

CommandLine good(const std::vector<std::string>& words) {
    auto line = parse_command_line(words);
    EXPECT_TRUE(line) << (line ? "" : line.error().message);
    return line ? std::move(*line) : CommandLine{};
}

TEST(CommandLine, SaysWhatIsWrong) {
    const std::vector<std::pair<std::vector<std::string>, std::string>> cases{
        {{}, "expected a verb; exportctl --help lists them"},
        {{"statsu"}, "no verb 'statsu'; did you mean 'status'?"},
        {{"help", "statsu"}, "no verb 'statsu'; did you mean 'status'?"},
        {{"xyzzy"}, "no verb 'xyzzy'; exportctl --help lists them"},
        {{"plugin", "quarantine"},
         "no verb 'plugin quarantine'; expected one of plugin quarantine list, plugin quarantine "
         "lift"},
        {{"job", "list", "--limti", "3"},
         "unknown flag '--limti'; did you mean --limit?; see exportctl --help"},
        {{"status", "--wait"}, "status: has no flag --wait; usage: exportctl status"},
        {{"job", "show"},
         "job show: expected JOB, found none; usage: exportctl job show JOB [FLAGS]"},
        {{"status", "now"}, "status: expected no arguments, found 1 word; usage: exportctl status"},
        {{"template", "list"},
         "template list: expected --organization ID; usage: exportctl template list --organization "
         "ID"},
        {{"job", "list", "--limit", "many"}, "--limit: expected a whole number, found 'many'"},
        {{"organization", "set", "acme", "--running-max", "none"},
         "--running-max: expected a whole number or 'default', found 'none'"},
        {{"key", "rotate", "x", "--overlap", "soon"},
         "--overlap: expected seconds, or a number and s, m, h or d such as 90d, found 'soon'"},
        {{"plugin", "reload", "x", "--file", ""}, "--file: expected a path, found none"},
        {{"plugin", "reload", "x", "--dry-run", "--wait"},
         "plugin reload: expected --dry-run or --wait, found both"},
        {{"organization", "set", "acme", "--hold", "--release"},
         "organization set: expected --hold or --release, found both"},
        {{"status", "--json", "--json"}, "--json: given twice; see exportctl --help"},
    };
    for (const auto& [words, expected] : cases) EXPECT_EQ(problem_of(words), expected);
}

TEST(CommandLine, AsksForHelpInEveryWay) {
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"-h"}, {"--help"}, {"help"}, {"help", "--json"}}) {
        const CommandLine line = good(words);
        EXPECT_TRUE(line.help && line.command == nullptr && line.words.empty()) << words[0];
    }
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"job", "-h"}, {"job", "--help"}, {"help", "job"}}) {
        const CommandLine line = good(words);
        EXPECT_TRUE(line.help && line.command == nullptr) << words[0];
        EXPECT_EQ(line.words, std::vector<std::string>{"job"});
    }
    for (const std::vector<std::string>& words : {std::vector<std::string>{"job", "list", "-h"},
                                                  {"--help", "job", "list"},
                                                  {"help", "job", "list"},
                                                  {"job", "list", "surplus", "--wait", "--help"}}) {
        const CommandLine line = good(words);
        ASSERT_TRUE(line.help && line.command != nullptr) << words[0];
        EXPECT_EQ(line.command->words, "job list");
    }
    EXPECT_TRUE(good({"--version"}).version);
}

TEST(CommandLine, TakesTheConfigurationFromFlagEnvironmentAndDefault) {
    ::unsetenv(kConfigVariable);
    EXPECT_EQ(good({"status"}).context.config_path, kConfigDefault);
    EXPECT_FALSE(good({"status"}).context.config_given);
    ::setenv(kConfigVariable, "/from/environment.ini", 1);
    EXPECT_EQ(good({"status"}).context.config_path, "/from/environment.ini");
    EXPECT_TRUE(good({"status"}).context.config_given);
    EXPECT_EQ(good({"status", "--config", "/from/flag.ini"}).context.config_path, "/from/flag.ini");
    ::setenv(kConfigVariable, "", 1);
    EXPECT_EQ(good({"status"}).context.config_path, kConfigDefault);
    ::unsetenv(kConfigVariable);
}

TEST(CommandLine, LeavesTheArgumentsOfTheVerb) {
    const CommandLine line = good({"--json", "template", "put", "weekly", "-", "--organization=a"});
    EXPECT_EQ(line.arguments.words, (std::vector<std::string>{"weekly", "-"}));
    EXPECT_EQ(line.arguments.get("organization"), "a");
    EXPECT_TRUE(line.context.json);
}

}  // namespace
}  // namespace export_worker::exportctl
