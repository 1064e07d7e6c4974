#include "daemon/app/offline_quarantine.hpp"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/json.hpp"
#include "base/log.hpp"
#include "daemon/sqlite/connection.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::app {
namespace {

using nlohmann::json;

const std::string kHash = "0123456789" + std::string(54, 'a');

class OfflineQuarantineTest : public ::testing::Test {
protected:
    void TearDown() override { ASSERT_TRUE(init_log("info", "text")); }

    void make_history() {
        auto history = plugins::History::open(dir_ / "plugins.db", clock_);
        ASSERT_TRUE(history) << history.error().message;
        ASSERT_TRUE((*history)->quarantine("p", kHash, "it \x1b[31mhung"));
    }
    void execute(const std::string& sql) {
        auto connection =
            sqlite::Connection::open(dir_ / "plugins.db", sqlite::Connection::Mode::kReadWrite);
        ASSERT_TRUE(connection);
        ASSERT_TRUE((*connection)->execute(sql));
    }
    std::string user_version() {
        auto connection =
            sqlite::Connection::open(dir_ / "plugins.db", sqlite::Connection::Mode::kReadWrite);
        return std::to_string(*(*connection)->query_integer("PRAGMA user_version"));
    }
    std::string refusal() {
        const auto opened = open_offline_history(dir_.path());
        if (opened) return "opened";
        return std::string(to_string(opened.error().code)) + " " + opened.error().message;
    }
    // Status, stdout and stderr of a command.
    json run(std::optional<std::string> lift, bool as_json = false) {
        ::testing::internal::CaptureStdout();
        ::testing::internal::CaptureStderr();
        const int status = run_quarantine({dir_.path(), "", std::move(lift), as_json});
        return {{"status", status},
                {"stdout", ::testing::internal::GetCapturedStdout()},
                {"stderr", ::testing::internal::GetCapturedStderr()}};
    }

    const testing::TempDir dir_;
    testing::FakeClock clock_;
};

bool contains(const json& text, const std::string& part) {
    return text.get_ref<const std::string&>().find(part) != std::string::npos;
}

TEST_F(OfflineQuarantineTest, ListsLiftsAndLeavesAnAuditLine) {
    make_history();
    const json listed = run(std::nullopt);
    EXPECT_EQ(listed["status"], 0);
    EXPECT_TRUE(contains(listed["stdout"], "quarantined 0123456789aaaaaa (p) at ")) << listed;
    EXPECT_TRUE(contains(listed["stdout"], ": it \\u001b[31mhung\n")) << listed;
    EXPECT_EQ(
        parse_json(run(std::nullopt, true)["stdout"].get<std::string>())["items"][0]["sha256"],
        kHash);

    const json lifted = run("01234567");
    EXPECT_EQ(lifted["status"], 0) << lifted;
    EXPECT_TRUE(contains(lifted["stdout"], "lifted 0123456789aaaaaa (p) at ")) << lifted;
    for (const char* part :
         {"audit method=control.plugin_quarantine_lift", "outcome=ok", "target=01234567", "uid="})
        EXPECT_TRUE(contains(lifted["stderr"], part)) << part << lifted;
    EXPECT_EQ(run(std::nullopt)["stdout"], "no file is quarantined\n");

    const json again = run("01234567");
    EXPECT_EQ(again["status"], 1);
    EXPECT_TRUE(contains(again["stderr"], "no quarantined file begins with 01234567")) << again;
    EXPECT_TRUE(contains(again["stderr"], "outcome=not_found")) << again;
}

TEST_F(OfflineQuarantineTest, NothingIsMadeWhereThereIsNoDatabase) {
    const std::string text = refusal();
    EXPECT_TRUE(text.starts_with("not_found ")) << text;
    EXPECT_NE(text.find("expected the state directory of a daemon that has run"), std::string::npos)
        << text;
    EXPECT_TRUE(std::filesystem::is_empty(dir_.path()));
}

TEST_F(OfflineQuarantineTest, ARunningDaemonIsLeftAlone) {
    make_history();
    const auto daemon = FileLock::acquire(dir_ / "lock");
    ASSERT_TRUE(daemon);
    const std::string text = refusal();
    EXPECT_TRUE(text.starts_with("unavailable lock ")) << text;
    EXPECT_TRUE(text.ends_with("while the daemon runs: leave --offline out")) << text;
}

TEST_F(OfflineQuarantineTest, OtherSchemaVersionsAreLeftAsTheyAre) {
    make_history();
    const std::string version_of_this_program = user_version();
    for (const auto& [version, hint] :
         {std::pair("999", "newer version of this program"), std::pair("1", "migrates the file")}) {
        execute("PRAGMA user_version=" + std::string(version));
        const std::string text = refusal();
        EXPECT_TRUE(text.starts_with("failed_precondition ")) << text;
        EXPECT_NE(text.find("found " + std::string(version)), std::string::npos) << text;
        EXPECT_NE(text.find(hint), std::string::npos) << text;
    }
    execute("PRAGMA user_version=" + version_of_this_program);
    EXPECT_EQ(refusal(), "opened");
}

TEST_F(OfflineQuarantineTest, AnotherFileInItsPlaceIsRefused) {
    dir_.write("plugins.db", std::string(8192, 'x'), 0600);
    EXPECT_TRUE(refusal().starts_with("data_loss ")) << refusal();
    std::filesystem::remove(dir_ / "plugins.db");
    dir_.write("plugins.db", "", 0600);
    EXPECT_NE(refusal().find("found 0; start the daemon of this version"), std::string::npos)
        << refusal();
    EXPECT_EQ(std::filesystem::file_size(dir_ / "plugins.db"), 0U);
    std::filesystem::remove(dir_ / "plugins.db");
    std::filesystem::create_directory(dir_ / "plugins.db");
    EXPECT_NE(refusal().find("expected a regular file"), std::string::npos) << refusal();
}

TEST_F(OfflineQuarantineTest, AnotherUsersDatabaseIsRefused) {
    if (::geteuid() != 0) return;  // Only root can give a file away.
    make_history();
    ASSERT_EQ(::chown((dir_ / "plugins.db").c_str(), 65534, 65534), 0);
    const std::string text = refusal();
    EXPECT_TRUE(text.starts_with("failed_precondition ")) << text;
    EXPECT_NE(text.find("found one of nobody; run this as nobody"), std::string::npos) << text;
    EXPECT_FALSE(std::filesystem::exists(dir_ / "lock"));
}

TEST_F(OfflineQuarantineTest, AnUnreadableStateDirectorySaysWhoMayReadIt) {
    make_history();
    // Modes do not bind root.
    const bool is_root = ::geteuid() == 0;
    ASSERT_EQ(::chmod(dir_.path().c_str(), 0), 0);
    ASSERT_EQ(is_root ? ::seteuid(65534) : 0, 0);
    const std::string text = refusal();
    ASSERT_EQ(is_root ? ::seteuid(0) : 0, 0);
    (void)::prctl(PR_SET_DUMPABLE, 1);  // Other tests read it; the kernel has switched it off.
    ASSERT_EQ(::chmod(dir_.path().c_str(), 0700), 0);
    EXPECT_NE(text.find("Permission denied; run this as the user of the daemon"), std::string::npos)
        << text;
}

TEST_F(OfflineQuarantineTest, ABadConfigurationHasItsOwnStatus) {
    ::testing::internal::CaptureStderr();
    EXPECT_EQ(run_quarantine({"", dir_ / "none.ini", std::nullopt, false}), 78);
    EXPECT_NE(::testing::internal::GetCapturedStderr().find("none.ini"), std::string::npos);
}

}  // namespace
}  // namespace export_worker::app
