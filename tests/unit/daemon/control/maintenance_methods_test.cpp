#include "daemon/control/maintenance_methods.hpp"

#include "tests/unit/daemon/control/control_fixture.hpp"

namespace export_worker::control {
namespace {

class CareMethodsTest : public ControlFixture {
protected:
    // A published file of a finished job; its path.
    std::string publish() {
        submit();
        const jobs::ClaimedJob job = **jobs_->queue().claim();
        const std::string key = "acme/" + job.lease.job_id + ".1.csv";
        EXPECT_TRUE(jobs_->queue().intend_file(job.lease, key));
        auto file = std::move(*files_->create({key, "text/csv", 0}));
        EXPECT_TRUE(file->append("key\r\n"));
        jobs::Completion done;
        done.file = *file->commit();
        done.metadata_json = "{}";
        EXPECT_TRUE(jobs_->queue().complete(job.lease, done));
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
    EXPECT_EQ(state["result"]["listed"][0]["problem"], "missing");
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

TEST_F(CareMethodsTest, CompactSaysWhatEachDatabaseHadAndHas) {
    EXPECT_EQ(call("control.compact")["started"], true);
    const json state = ended_task();
    ASSERT_TRUE(state.contains("result")) << state;
    const json& rows = state["result"]["databases"];
    ASSERT_EQ(rows.size(), 4U);
    EXPECT_EQ(rows[0]["database"], "jobs.db");
    EXPECT_GT(rows[0]["bytes_before"], 0);
    EXPECT_GT(rows[0]["bytes_after"], 0);
    for (const json& row : rows) EXPECT_FALSE(row.contains("error")) << row;
    for (const json& pause : std::initializer_list<json>{0, 3601, -1})
        EXPECT_EQ(
            refusal("control.compact", {{"pause_max_s", pause}}),
            "invalid_argument: pause_max_s: expected 1 to 3600 seconds, found " + pause.dump());
}

TEST_F(CareMethodsTest, FsckNeedsExports) {
    ControlDeps deps = deps_;
    deps.export_deps = nullptr;
    const auto refused = find_maintenance_method("control.fsck")(deps, json::object());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
}

TEST_F(CareMethodsTest, RetentionThatIsPausedIsResumedOnce) {
    ASSERT_TRUE(*jobs_->retention().check_retention_clock(std::chrono::days(1)));
    clock_.jump(std::chrono::days(40));
    ASSERT_FALSE(*jobs_->retention().check_retention_clock(std::chrono::days(1)));
    ASSERT_TRUE(*jobs_->retention().retention_pause());
    EXPECT_EQ(call("control.retention_resume")["was_paused"], true);
    EXPECT_FALSE(*jobs_->retention().retention_pause());
    EXPECT_EQ(call("control.retention_resume")["was_paused"], false);
}

TEST_F(CareMethodsTest, PruneRemovesWhatIsTooOld) {
    publish();
    submit();
    ASSERT_TRUE(jobs_->queue().give_up_attempt((*jobs_->queue().claim())->lease, "no", true, 0));
    EXPECT_EQ(call("control.prune")["started"], true);
    EXPECT_EQ(ended_task()["result"], (json{{"files", 0}, {"jobs", 0}, {"notices", 0}}));
    clock_.advance(limits::kJobRetentionDefault);
    ASSERT_TRUE(jobs_->retention().resume_retention());
    call("control.prune");
    EXPECT_EQ(ended_task()["result"], (json{{"files", 1}, {"jobs", 1}, {"notices", 0}}));
}

TEST_F(CareMethodsTest, PruneRemovesNothingByAWrongClock) {
    publish();
    call("control.prune");
    ended_task();
    clock_.jump(std::chrono::days(40));
    call("control.prune");
    const std::string why = ended_task()["error"]["message"];
    EXPECT_NE(why.find("exportctl retention resume"), std::string::npos) << why;
    EXPECT_EQ(jobs_->files().published_files("")->size(), 1U);
}

TEST_F(CareMethodsTest, OneTaskAtATime) {
    std::atomic<bool> go_on{false};
    ASSERT_TRUE(task_.start("slow", [&](const auto&, const auto&) -> Result<json> {
        while (!go_on.load()) std::this_thread::yield();
        return json();
    }));
    EXPECT_EQ(refusal("control.fsck"), "conflict: slow still runs; wait until it has ended");
    EXPECT_EQ(refusal("control.backup_begin"),
              "conflict: slow still runs; wait until it has ended");
    go_on = true;
    ended_task();
    call("control.fsck");
    ended_task();
}

TEST_F(CareMethodsTest, FsckShowsWhatItDidBeforeAnError) {
    publish();
    std::filesystem::remove_all(dir_ / "exports");
    dir_.write("exports", "a file where the directory was");
    call("control.fsck");
    const json state = ended_task();
    EXPECT_TRUE(state.contains("error"));
    EXPECT_EQ(state["progress"]["listed"][0]["problem"], "unreadable");
}

}  // namespace
}  // namespace export_worker::control
