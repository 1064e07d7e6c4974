#include "daemon/jobs/event_recorder.hpp"

#include <gtest/gtest.h>

#include <map>

#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/sqlite/sqlite_job_store.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::jobs {
namespace {

class EventRecorderTest : public ::testing::Test {
protected:
    std::string submit() {
        NewJob job;
        job.organization_id = "acme";
        job.job_type = model::kExportJobType;
        return store_->requests().create(job)->job.job_id;
    }
    // How often each kind by each actor was counted.
    std::map<std::pair<std::string, std::string>, std::int64_t> counts(const std::string& job_id) {
        std::map<std::pair<std::string, std::string>, std::int64_t> out;
        const auto events = store_->reader().events(model::OrganizationScope::every(), job_id, 0);
        for (const auto& event : events->items) out[{event.kind, event.actor}] += event.count;
        return out;
    }

    const testing::TempDir dir_;
    testing::FakeClock clock_;
    std::unique_ptr<JobStore> store_ =
        *open_sqlite_job_store(dir_ / "jobs.db", clock_, {}, sqlite::Durability::kUnsyncedForTest);
};

TEST_F(EventRecorderTest, AddsEverythingBeforeItIsGoneAndCountsTheSameOnce) {
    const std::string one = submit();
    const std::string other = submit();
    {
        EventRecorder recorder(store_->accesses());
        for (int again = 0; again < 5; ++again) recorder.record(one, "link_minted", "key-1");
        recorder.record(one, "link_minted", "key-2");
        recorder.record(one, "downloaded", "key-1");
        recorder.record(other, "link_minted", "key-1");
        recorder.record("no-such-job", "link_minted", "key-1");
    }
    auto seen = counts(one);
    EXPECT_EQ((seen[{"link_minted", "key-1"}]), 5);
    EXPECT_EQ((seen[{"link_minted", "key-2"}]), 1);
    EXPECT_EQ((seen[{"downloaded", "key-1"}]), 1);
    EXPECT_EQ((counts(other)[{"link_minted", "key-1"}]), 1);
}

TEST_F(EventRecorderTest, AFloodIsEitherCountedOrDropped) {
    const std::string job = submit();
    constexpr std::int64_t kFlood = 5 * static_cast<std::int64_t>(limits::kEventsQueuedMax);
    std::uint64_t dropped = 0;
    {
        EventRecorder recorder(store_->accesses());
        for (std::int64_t index = 0; index < kFlood; ++index)
            recorder.record(job, "link_minted", "key-1");
        dropped = recorder.dropped();
    }
    EXPECT_EQ((counts(job)[{"link_minted", "key-1"}]) + static_cast<std::int64_t>(dropped), kFlood);
}

TEST_F(EventRecorderTest, LongTextsAreCutBetweenCharacters) {
    const std::string job = submit();
    std::string actor;
    while (actor.size() < 200)
        actor += "\xc3\xa9";  // Two bytes each, so that an odd cut would show.
    {
        EventRecorder recorder(store_->accesses());
        recorder.record(job, "downloaded", "x" + actor);
    }
    const auto seen = counts(job);
    const auto found = seen.find({"downloaded", "x" + actor.substr(0, 94)});
    EXPECT_NE(found, seen.end());
}

}  // namespace
}  // namespace export_worker::jobs
