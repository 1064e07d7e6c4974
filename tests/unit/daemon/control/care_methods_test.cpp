#include "daemon/control/care_methods.hpp"

#include <map>

#include "tests/unit/daemon/control/control_fixture.hpp"

namespace export_worker::control {
namespace {

class CareMethodsTest : public ControlFixture {
protected:
    // A published file of a finished job; its path.
    std::string publish() {
        submit();
        const jobs::ClaimedJob job = **jobs_->claim();
        const std::string key = "acme/" + job.lease.job_id + ".1.csv";
        EXPECT_TRUE(jobs_->intend_file(job.lease, key));
        auto file = std::move(*files_->create({key, "text/csv", 0}));
        EXPECT_TRUE(file->append("key\r\n"));
        jobs::Completion done;
        done.file = *file->commit();
        done.metadata_json = "{}";
        EXPECT_TRUE(jobs_->complete(job.lease, done));
        return dir_ / ("exports/" + key);
    }
};

TEST_F(CareMethodsTest, ThereIsNoTaskBeforeTheFirst) {
    EXPECT_TRUE(call("control.task").is_null());
}

TEST_F(CareMethodsTest, FsckReportsAndRepairs) {
    std::filesystem::remove(publish());
    EXPECT_EQ(call("control.fsck")["started"], true);
    json state = ended_task();
    EXPECT_EQ(state["name"], "fsck");
    EXPECT_EQ(state["result"]["problems"], 1);
    EXPECT_EQ(state["result"]["repaired"], 0);
    EXPECT_EQ(state["result"]["findings"][0]["problem"], "missing");
    call("control.fsck", {{"apply", true}});
    EXPECT_EQ(ended_task()["result"]["repaired"], 1);
    call("control.fsck");
    EXPECT_EQ(ended_task()["result"]["problems"], 0);
}

TEST_F(CareMethodsTest, AFlagThatIsNoBooleanAppliesNothing) {
    std::filesystem::remove(publish());
    for (const json& value : std::initializer_list<json>{"true", 1, nullptr, json::array({true})}) {
        call("control.fsck", {{"apply", value}});
        EXPECT_EQ(ended_task()["result"]["repaired"], 0) << value;
    }
}

TEST_F(CareMethodsTest, HashesCanBeLeftOut) {
    publish();
    call("control.fsck");
    EXPECT_EQ(ended_task()["result"]["hashed_bytes"], 5);
    call("control.fsck", {{"no_hashes", true}});
    EXPECT_EQ(ended_task()["result"]["hashed_bytes"], 0);
}

TEST_F(CareMethodsTest, FsckNeedsExports) {
    ControlParts parts = parts_;
    parts.export_parts = nullptr;
    const auto refused = find_care_method("control.fsck")(parts, json::object());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
}

TEST_F(CareMethodsTest, RetentionThatIsPausedIsResumedOnce) {
    ASSERT_TRUE(*jobs_->check_retention_clock(std::chrono::days(1)));
    clock_.jump(std::chrono::days(40));
    ASSERT_FALSE(*jobs_->check_retention_clock(std::chrono::days(1)));
    ASSERT_TRUE(*jobs_->retention_pause());
    EXPECT_EQ(call("control.retention_resume")["was_paused"], true);
    EXPECT_FALSE(*jobs_->retention_pause());
    EXPECT_EQ(call("control.retention_resume")["was_paused"], false);
}

TEST_F(CareMethodsTest, BackupCopiesEveryDatabase) {
    const std::string id = submit();
    const std::string directory = dir_ / "backup/today";
    call("control.backup", {{"directory", directory}});
    const json state = ended_task();
    EXPECT_EQ(state["result"]["directory"], directory);
    for (const char* name : {"jobs.db", "catalog.db", "auth.db", "plugins.db"})
        EXPECT_TRUE(std::filesystem::exists(std::filesystem::path(directory) / name)) << name;
    const auto copy = jobs::open_sqlite_job_store(directory + "/jobs.db", clock_);
    ASSERT_TRUE(copy) << copy.error().message;
    EXPECT_TRUE((*copy)->find(model::OrganizationScope::every(), id));
}

TEST_F(CareMethodsTest, BackupWantsAnAbsolutePath) {
    for (const json& directory :
         std::initializer_list<json>{nullptr, 5, "", "relative", "./here", "\xff/x"}) {
        EXPECT_TRUE(refusal("control.backup", {{"directory", directory}})
                        .starts_with("invalid_argument: directory: "))
            << dump_json(directory);
    }
    EXPECT_TRUE(call("control.task").is_null());
}

TEST_F(CareMethodsTest, BackupRefusesEveryNameOfTheStateDirectory) {
    namespace fs = std::filesystem;
    fs::create_directory(dir_ / "run");
    fs::create_directory_symlink(dir_.path(), dir_ / "link");
    for (const std::string& directory :
         {dir_.path(), dir_.path() + "/", dir_ / ".", dir_ / "run/..", dir_ / "link"}) {
        const std::string text = refusal("control.backup", {{"directory", directory}});
        EXPECT_NE(text.find("is the state_dir of this daemon"), std::string::npos) << text;
    }
    EXPECT_TRUE(call("control.task").is_null());
}

TEST_F(CareMethodsTest, BackupRefusesDatabasesInUse) {
    namespace fs = std::filesystem;
    for (const char* name : {"other/lock", "open/auth.db-wal"}) {
        fs::create_directory(fs::path(dir_ / name).parent_path());
        dir_.write(name, "");
    }
    fs::create_directory(dir_ / "linked");
    fs::create_hard_link(dir_ / "jobs.db", dir_ / "linked/jobs.db");
    for (const char* name : {"other", "open", "linked"}) {
        EXPECT_TRUE(refusal("control.backup", {{"directory", dir_ / name}})
                        .starts_with("invalid_argument: directory: "))
            << name;
    }
    EXPECT_TRUE(call("control.task").is_null());
}

TEST_F(CareMethodsTest, ABackupThatCannotBeWrittenIsAnError) {
    dir_.write("file", "no directory");
    call("control.backup", {{"directory", dir_ / "file/below"}});
    const json state = ended_task();
    EXPECT_FALSE(state.contains("result"));
    EXPECT_NE(state["error"]["message"].get<std::string>().find("file"), std::string::npos);
}

TEST_F(CareMethodsTest, OneTaskAtATime) {
    std::atomic<bool> go_on{false};
    ASSERT_TRUE(task_.start("slow", [&](const auto&, const auto&) -> Result<json> {
        while (!go_on.load()) std::this_thread::yield();
        return json();
    }));
    EXPECT_EQ(refusal("control.fsck"), "conflict: slow still runs; wait until it has ended");
    EXPECT_TRUE(
        refusal("control.backup", {{"directory", dir_ / "backup"}}).starts_with("conflict: "));
    go_on = true;
    ended_task();
    call("control.fsck");
    ended_task();
}

// jobs.db fits, auth.db and what follows do not.
TEST_F(CareMethodsTest, AFailedBackupLeavesTheOlderOneWhole) {
    namespace fs = std::filesystem;
    const std::string directory = dir_ / "backup";
    call("control.backup", {{"directory", directory}});
    ASSERT_TRUE(ended_task().contains("result"));
    const auto contents = [&] {
        std::map<std::string, std::string> out;
        for (const auto& entry : fs::directory_iterator(directory))
            out[entry.path().filename()] = testing::read_text(entry.path());
        return out;
    };
    const auto before = contents();
    ASSERT_EQ(before.size(), 4U);
    submit();
    for (const std::string part : {"auth.db.part", "auth.db.new.part"}) {
        fs::create_directory(dir_ / "backup/" + part);
        dir_.write("backup/" + part + "/in", "the way");
    }
    call("control.backup", {{"directory", directory}});
    EXPECT_TRUE(ended_task().contains("error"));
    for (const char* part : {"/auth.db.part", "/auth.db.new.part"})
        fs::remove_all(directory + part);
    EXPECT_EQ(contents(), before);
    call("control.backup", {{"directory", directory}});
    ASSERT_TRUE(ended_task().contains("result"));
    EXPECT_EQ(contents().size(), 4U);
    EXPECT_NE(contents(), before);
}

TEST_F(CareMethodsTest, FsckShowsWhatItDidBeforeAnError) {
    publish();
    std::filesystem::remove_all(dir_ / "exports");
    dir_.write("exports", "a file where the directory was");
    call("control.fsck");
    const json state = ended_task();
    EXPECT_TRUE(state.contains("error"));
    EXPECT_EQ(state["progress"]["findings"][0]["problem"], "unreadable");
}

}  // namespace
}  // namespace export_worker::control
