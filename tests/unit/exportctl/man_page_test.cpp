#include "exportctl/man_page.hpp"

#include <gtest/gtest.h>

#include "exportctl/command.hpp"

namespace export_worker::exportctl {
namespace {

TEST(ManPage, NamesEveryVerbAndFlag) {
    const std::string page = command_page("1.2.3");
    const auto has = [&](std::string text) {
        for (std::size_t at = 0; (at = text.find('-', at)) != std::string::npos; at += 2)
            text.insert(at, 1, '\\');
        return page.find(text) != std::string::npos;
    };
    for (const Command& command : commands())
        EXPECT_TRUE(has(".SS \"" + std::string(command.words) + "\"")) << command.words;
    for (const Flag& flag : all_flags()) EXPECT_TRUE(has(std::string("--") + flag.name));
    EXPECT_TRUE(page.starts_with(".TH \"EXPORTCTL\" 1 \"\" \"export\\-worker 1.2.3\"\n"));
}

TEST(ManPage, OfADaemonHasWhatItsHelpSays) {
    const std::string page =
        daemon_page("export-httpd", "1",
                    "Usage: export-httpd --config FILE\n\n"
                    "  --config FILE  the configuration\n  --help         it's this\n");
    EXPECT_NE(page.find(".SH SYNOPSIS\n.B export\\-httpd \\-\\-config FILE\n"), std::string::npos);
    EXPECT_NE(page.find(".TP\n\\fB\\-\\-config FILE\\fR\nthe configuration\n"), std::string::npos);
    EXPECT_NE(page.find("it\\(aqs this\n"), std::string::npos);
    EXPECT_NE(page.find("SIGHUP"), std::string::npos);
}

TEST(ManPage, OfTheConfigurationHasTheSamplesComments) {
    const std::string page =
        configuration_page("1",
                           "# About it.\n\n[daemon]\n# Where.\nstate_dir = /var\n# .5 or\n# "
                           "more.\n# workers = 4   # of 64\n"
                           "log = x\n\n# A store.\n# [store.a]\n# kind = s3\n");
    EXPECT_NE(page.find(".PP\nAbout it. \n.SH \"[daemon]\"\n"), std::string::npos) << page;
    EXPECT_NE(page.find("\\fBstate_dir = /var\\fR\nWhere. \n"), std::string::npos) << page;
    EXPECT_NE(page.find("\\fBworkers = 4\\fR\n\\&.5 or more. of 64\n"), std::string::npos) << page;
    EXPECT_NE(page.find("\\fBlog = x\\fR\n\\&\n"), std::string::npos) << page;
    EXPECT_NE(page.find(".SH \"[store.a]\"\nA store. \n"), std::string::npos) << page;
}

TEST(ManPage, OfAnotherNameIsNone) {
    EXPECT_TRUE(man_page("exportctl.1", "1", ""));
    EXPECT_TRUE(man_page("export-workerd.8", "1", ""));
    EXPECT_EQ(man_page("ls.1", "1", "").error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace export_worker::exportctl
