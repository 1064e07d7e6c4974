#include "daemon/control/backup_methods.hpp"

#include <set>

#include "base/backup_manifest.hpp"
#include "base/base64.hpp"
#include "base/crypto/sha256.hpp"
#include "base/hex.hpp"
#include "tests/unit/daemon/control/control_fixture.hpp"

namespace export_worker::control {
namespace {

namespace fs = std::filesystem;

class BackupMethodsTest : public ControlFixture {
protected:
    // The id of a backup whose copies are made.
    std::string begin() {
        std::string id = call("control.backup_begin")["id"];
        const json state = ended_task();
        EXPECT_FALSE(state.contains("error")) << dump_json(state);
        return id;
    }
    BackupManifest manifest(const std::string& id) {
        const json answer = call("control.backup_manifest", {{"id", id}});
        auto manifest = parse_backup_manifest(dump_json(answer["manifest"]));
        EXPECT_TRUE(manifest) << manifest.error().message;
        return manifest ? *manifest : BackupManifest{};
    }
    std::string read(const std::string& id, const std::string& name, std::int64_t offset = 0) {
        const json answer =
            call("control.backup_read", {{"id", id}, {"name", name}, {"offset", offset}});
        return *from_base64(answer["base64"].get<std::string>());
    }
    [[nodiscard]] bool has_copies() const {
        return fs::exists(dir_ / "backup") && !fs::is_empty(dir_ / "backup");
    }
};

TEST_F(BackupMethodsTest, HasEveryDatabase) {
    const std::string job = submit();
    const std::string id = begin();
    const BackupManifest files = manifest(id);
    EXPECT_EQ(files.version, "1.2.3");
    ASSERT_EQ(files.files.size(), kBackupDatabases.size());
    const std::string copy = dir_.write("copy.db", read(id, "jobs.db"));
    const auto jobs = jobs::open_sqlite_job_store(copy, clock_);
    ASSERT_TRUE(jobs) << jobs.error().message;
    EXPECT_TRUE((*jobs)->reader().find(model::OrganizationScope::every(), job));
    call("control.backup_end", {{"id", id}});
    EXPECT_FALSE(has_copies());
}

TEST_F(BackupMethodsTest, HasThePluginFilesThatAStartMayLoad) {
    const std::string wanted = to_hex(crypto::sha256("elf"));
    fs::create_directories(dir_ / "plugins/artifacts");
    for (const std::string& sha256 : {std::string(64, 'a'), wanted})
        dir_.write("plugins/artifacts/" + sha256 + ".so", "elf");
    ASSERT_TRUE(plugins_->history().commit("minimal", wanted, wanted));
    const std::string id = begin();
    std::set<std::string> names;
    for (const BackupFile& file : manifest(id).files) names.insert(file.name);
    EXPECT_TRUE(names.contains("plugins/artifacts/" + wanted + ".so"));
    EXPECT_EQ(names.size(), kBackupDatabases.size() + 1);
    EXPECT_EQ(read(id, "plugins/artifacts/" + wanted + ".so"), "elf");
}

TEST_F(BackupMethodsTest, OneAtATime) {
    const std::string id = begin();
    EXPECT_TRUE(refusal("control.backup_begin").starts_with("conflict: a backup is under way"));
    call("control.backup_end", {{"id", id}});
    begin();
}

TEST_F(BackupMethodsTest, ATaskThatRunsLeavesNoCopies) {
    std::atomic<bool> go_on{false};
    ASSERT_TRUE(task_.start("slow", [&](const auto&, const auto&) -> Result<json> {
        while (!go_on.load()) std::this_thread::yield();
        return json();
    }));
    EXPECT_EQ(refusal("control.backup_begin"),
              "conflict: slow still runs; wait until it has ended");
    EXPECT_FALSE(has_copies());
    go_on = true;
    ended_task();
    begin();
}

TEST_F(BackupMethodsTest, AFailedCopyIsAnErrorAndLeavesNothing) {
    const std::string hash(64, 'b');
    ASSERT_TRUE(plugins_->history().commit("minimal", hash, hash));
    fs::create_directories(dir_ / "plugins/artifacts/" + hash + ".so");  // No file.
    const std::string id = call("control.backup_begin")["id"];
    const json state = ended_task();
    ASSERT_TRUE(state.contains("error"));
    EXPECT_NE(state["error"]["message"].get<std::string>().find(hash), std::string::npos);
    EXPECT_TRUE(refusal("control.backup_manifest", {{"id", id}}).starts_with("not_found: "));
    EXPECT_FALSE(has_copies());
}

TEST_F(BackupMethodsTest, ReadsAskForWhatThereIs) {
    const std::string id = begin();
    for (const json& other : std::initializer_list<json>{nullptr, 5, "", "..", "\xff"}) {
        EXPECT_TRUE(refusal("control.backup_manifest", {{"id", other}}).starts_with("not_found: "));
        call("control.backup_end", {{"id", other}});
    }
    for (const char* name : {"", "lock", "../jobs.db", "/etc/passwd"})
        EXPECT_TRUE(refusal("control.backup_read", {{"id", id}, {"name", name}, {"offset", 0}})
                        .starts_with("not_found: "))
            << name;
    for (const json& offset : std::initializer_list<json>{nullptr, -1, 1.5, "0"})
        EXPECT_TRUE(
            refusal("control.backup_read", {{"id", id}, {"name", "jobs.db"}, {"offset", offset}})
                .starts_with("invalid_argument: offset"))
            << offset;
    EXPECT_EQ(read(id, "jobs.db", 1 << 30), "");
}

}  // namespace
}  // namespace export_worker::control
