#include "base/options/config_file.hpp"

#include <gtest/gtest.h>

#include "base/options/arguments.hpp"
#include "base/options/config_keys.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::options {
namespace {

using testing::TempDir;

std::string error_of(const std::string& text, void (*read)(Section&)) {
    const TempDir dir;
    const auto file = ConfigFile::read(dir.write("c.ini", text));
    if (!file) return file.error().message;
    Section section = file->section("daemon");
    read(section);
    const auto done = section.finish();
    return done ? "" : done.error().message;
}

void read_workers(Section& section) {
    unsigned workers = 1;
    section.number("workers", workers, 1, 64);
}

TEST(ConfigFile, RefusesOneThatOthersMayWrite) {
    const TempDir dir;
    const auto file = ConfigFile::read(dir.write("c.ini", "[daemon]\n", 0664));
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().code, ErrorCode::kFailedPrecondition);
}

TEST(ConfigFile, ReadsSectionsAndComments) {
    const TempDir dir;
    const auto file = ConfigFile::read(dir.write(
        "c.ini",
        "# top\n[daemon]\nworkers = 8  # eight\n[store.a]\nkind=s3\n[store.b]\nkind=local\n"));
    ASSERT_TRUE(file);
    unsigned workers = 1;
    Section daemon = file->section("daemon");
    daemon.number("workers", workers, 1, 64);
    EXPECT_TRUE(daemon.finish());
    EXPECT_EQ(workers, 8U);
    EXPECT_EQ(file->sections("store").size(), 2U);
}

TEST(ConfigFile, NamesFileSectionKeyAndTheClosestKnownKey) {
    const std::string message = error_of("[daemon]\nworker = 8\n", read_workers);
    EXPECT_NE(message.find("c.ini: [daemon] unknown key 'worker'"), std::string::npos) << message;
    EXPECT_NE(message.find("did you mean 'workers'?"), std::string::npos) << message;
}

TEST(ConfigFile, RefusesBadNumbersWithTheRange) {
    for (const char* bad : {"eight", "0", "65", "-1", ""}) {
        const std::string message =
            error_of(std::string("[daemon]\nworkers = ") + bad + "\n", read_workers);
        EXPECT_NE(message.find("expected a number from 1 to 64"), std::string::npos)
            << bad << ": " << message;
    }
}

TEST(ConfigFile, NamesWhatAnEditorDoesNotShow) {
    using namespace std::string_literals;
    EXPECT_NE(error_of("\xef\xbb\xbf[daemon]\nworkers=1\n", read_workers).find("byte order mark"),
              std::string::npos);
    EXPECT_NE(error_of("[daemon]\nworkers=1\n\0"s, read_workers).find("a NUL at byte 19"),
              std::string::npos);
}

TEST(ConfigFile, RefusesGarbageRepetitionAndKeysOutsideSections) {
    EXPECT_NE(error_of("no equals sign\n", read_workers), "");
    EXPECT_NE(error_of("[daemon]\nworkers=1\nworkers=2\n", read_workers).find("given twice"),
              std::string::npos);
    EXPECT_NE(error_of("workers=1\n", read_workers).find("before the first [section]"),
              std::string::npos);
}

TEST(ConfigFile, CollectsAllProblemsOnceEach) {
    const TempDir dir;
    Problems problems;
    const auto file = ConfigFile::read(
        dir.write("c.ini", "[daemon]\nworkers = none\nlevel = 99\nworker = 1\n"), &problems);
    ASSERT_TRUE(file);
    for (int count = 0; count < 2; ++count) {
        Section daemon = file->section("daemon");
        unsigned number = 1;
        daemon.number("workers", number, 1, 64);
        daemon.number("level", number, 1, 9);
        EXPECT_TRUE(daemon.finish());
        EXPECT_EQ(number, 1U) << "its default";
        EXPECT_EQ(problems.size(), count == 0 ? 3U : 5U) << "an unknown key is told once";
    }
    EXPECT_EQ(file->problem_count(), 5U);
    EXPECT_TRUE(file->report({ErrorCode::kInvalidArgument, "one more"}));
    EXPECT_EQ(problems.back().message, "one more");
}

TEST(ConfigFile, RefusesUnknownSections) {
    const TempDir dir;
    const auto file = ConfigFile::read(dir.write("c.ini", "[deamon]\nworkers=1\n"));
    const auto checked = check_known_keys(*file);
    ASSERT_FALSE(checked);
    EXPECT_NE(checked.error().message.find("[deamon]"), std::string::npos);
}

TEST(Arguments, SplitsFlagsAndWords) {
    constexpr std::array<Flag, 2> kFlags{
        {{"config", "FILE", "a file"}, {"json", nullptr, "as JSON"}}};
    const auto parsed = parse_arguments({"--json", "job", "--config=c.ini", "show", "42"}, kFlags);
    ASSERT_TRUE(parsed);
    EXPECT_TRUE(parsed->has("json"));
    EXPECT_EQ(parsed->get("config"), "c.ini");
    EXPECT_EQ(parsed->words, (std::vector<std::string>{"job", "show", "42"}));
    EXPECT_FALSE(parse_arguments({"--jsn"}, kFlags));
    EXPECT_FALSE(parse_arguments({"--conf", "x"}, kFlags));  // No guessing.
    EXPECT_FALSE(parse_arguments({"--config"}, kFlags));
    EXPECT_FALSE(parse_arguments({"--config", "a", "--config", "b"}, kFlags));
}

TEST(ConfigFile, KnowsSectionsWithoutKeys) {
    const TempDir dir;
    const auto file = ConfigFile::read(
        dir.write("c.ini", "[daemon]\nworkers=1\n  [nonsense]  # empty\n[store.a]\n"));
    ASSERT_TRUE(file);
    EXPECT_EQ(file->sections("store").size(), 1U);
    const auto checked = check_known_keys(*file);
    ASSERT_FALSE(checked);
    EXPECT_NE(checked.error().message.find("unknown section [nonsense]"), std::string::npos);
}

TEST(ConfigFile, RefusesOneWithoutSections) {
    const TempDir dir;
    for (const char* text : {"", "\n", "# a comment\n"}) {
        const auto file = ConfigFile::read(dir.write("c.ini", text));
        ASSERT_FALSE(file) << text;
        EXPECT_EQ(file.error().code, ErrorCode::kInvalidArgument);
        EXPECT_NE(file.error().message.find("expected sections"), std::string::npos);
    }
}

TEST(Section, ADirectoryIsAbsoluteAndNotTheRoot) {
    const auto read = [](Section& section) {
        std::string root;
        section.directory("root", root);
        EXPECT_FALSE(root.ends_with("//")) << root;
    };
    EXPECT_EQ(error_of("[daemon]\nroot = /srv/exports//\n", read), "");
    for (const char* bad : {"", "relative", "/", "//"})
        EXPECT_NE(error_of(std::string("[daemon]\nroot = ") + bad + "\n", read), "") << bad;
}

TEST(Section, ASocketIsForItsOwnerAndControlForNobodyElse) {
    const auto control = [](Section& section) {
        unsigned mode = 0600;
        section.socket_mode("mode", mode, false);
    };
    const auto data = [](Section& section) {
        unsigned mode = 0660;
        section.socket_mode("mode", mode, true);
    };
    for (const char* good : {"0600", "0660", "0640"})
        EXPECT_EQ(error_of(std::string("[daemon]\nmode = ") + good + "\n", control), "") << good;
    EXPECT_EQ(error_of("[daemon]\nmode = 0666\n", data), "");
    for (const char* bad : {"0000", "0777", "0400", "0666", "0606"})
        EXPECT_NE(error_of(std::string("[daemon]\nmode = ") + bad + "\n", control), "") << bad;
    for (const char* bad : {"0000", "0777", "0066"})
        EXPECT_NE(error_of(std::string("[daemon]\nmode = ") + bad + "\n", data), "") << bad;
}

}  // namespace
}  // namespace export_worker::options
