#include "exportctl/help.hpp"

#include <gtest/gtest.h>

#include "exportctl/table.hpp"
#include "exportctl/terminal.hpp"

namespace export_worker::exportctl {
namespace {

const Command& named(const char* words) {
    for (const Command& command : commands()) {
        if (command.words == words) return command;
    }
    return commands().front();
}

TEST(Help, OfAVerbMarksWhatIsRequired) {
    const std::string help = help_of(named("key rotate"), 80);
    EXPECT_TRUE(help.starts_with("Usage: exportctl key rotate ID --overlap TIME [FLAGS]\n"))
        << help;
    const auto required = help.find("\nRequired:\n  --overlap TIME");
    const auto optional = help.find("\nFlags:\n  --expires-in TIME");
    EXPECT_LT(required, optional) << help;
    EXPECT_LT(optional, help.find("\nExamples:\n  exportctl key rotate ")) << help;
}

TEST(Help, OfAGroupHasItsVerbsOnly) {
    const std::vector<std::string> words{"plugin", "quarantine"};
    const std::string help = help_of_verbs(words, 80);
    EXPECT_NE(help.find("plugin quarantine lift HASH"), std::string::npos);
    EXPECT_EQ(help.find("plugin reload"), std::string::npos);
    EXPECT_EQ(help.find("Exit status"), std::string::npos);
}

TEST(Help, FitsTheTerminal) {
    for (const std::size_t columns : {50U, 80U, 200U}) {
        std::string all = help_of_verbs({}, columns);
        for (const Command& command : commands()) {
            const std::string help = help_of(command, columns);
            all += help.substr(0, help.find("\nExamples:"));  // Those are for copying.
        }
        while (!all.empty()) {
            const std::string line = all.substr(0, all.find('\n'));
            EXPECT_LE(width_of(line), columns) << line;
            all.erase(0, line.size() + 1);
        }
    }
}

TEST(Help, DescribesValuesAndDefaults) {
    EXPECT_EQ(describe(flag_named("compression")),
              "compression of the file: none, gzip, zstd (default: none)");
    EXPECT_EQ(name_of(flag_named("hold")), "--hold");
    EXPECT_EQ(synopsis_of(named("drain")), "exportctl drain");
}

}  // namespace
}  // namespace export_worker::exportctl
