// The tests of job stores: a store in a directory of its own, with a clock that the test moves.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <thread>

#include "base/json.hpp"
#include "daemon/jobs/job_store.hpp"
#include "daemon/jobs/limits.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::jobs {

using model::JobRunner;
using model::JobStatus;
using model::OrganizationScope;

using RegistryClock = testing::DatabaseClock;

// An implementation, as the suites need it.
struct StoreUnderTest {
    std::string name;
    // The registry of `directory`; another directory has another one.
    std::function<std::unique_ptr<JobStore>(const std::string& directory, RegistryClock& clock,
                                            const JobPolicy& policy)>
        open;
    // Sets the wall clock that the registry goes by.
    std::function<void(RegistryClock& clock, std::chrono::microseconds by)> jump;
    // The test of `directory` has ended well, and its stores are closed.
    std::function<void(const std::string& directory)> done = [](const std::string&) {};
    // Why it cannot be tested here; empty: it can.
    std::function<std::string()> why_not = [] { return std::string(); };
};

inline void PrintTo(const StoreUnderTest& store, std::ostream* out) {
    *out << store.name;
}

class JobStoreConformance : public ::testing::TestWithParam<StoreUnderTest> {
protected:
    void SetUp() override {
        if (const std::string why_not = GetParam().why_not(); !why_not.empty())
            GTEST_SKIP() << why_not;
        reopen();
    }
    void TearDown() override {
        store_.reset();
        if (!HasFailure() && !IsSkipped()) GetParam().done(dir_.path());
    }
    std::unique_ptr<JobStore> open() { return GetParam().open(dir_.path(), clock_, policy_); }
    void reopen() {
        store_.reset();
        store_ = open();
        ASSERT_NE(store_, nullptr);
    }
    void jump_registry_clock(std::chrono::microseconds by) { GetParam().jump(clock_, by); }
    // As after a death: the same file, another instance.
    std::size_t die_and_rescue() {
        reopen();
        return *store_->queue().rescue();
    }
    model::Job submit(const std::string& organization = "acme") {
        NewJob job;
        job.organization_id = organization;
        job.job_type = model::kExportJobType;
        job.total_items = 10;
        auto created = store_->requests().create(job);
        EXPECT_TRUE(created) << created.error().message;
        return created->job;
    }
    NewJob export_of(const std::string& organization) {
        NewJob job;
        job.organization_id = organization;
        job.job_type = model::kExportJobType;
        return job;
    }
    std::vector<std::string> kinds(const std::string& id) {
        std::vector<std::string> out;
        const auto events = store_->reader().events(OrganizationScope::every(), id, 0);
        for (const auto& event : events->items) out.push_back(event.kind);
        return out;
    }
    template <typename Field, typename Value>
    static OrganizationPolicy quota(const char* organization, Field field, Value value) {
        OrganizationPolicy policy{organization, {}};
        policy.*field = value;
        return policy;
    }
    model::Job create_external() {
        NewJob job;
        job.organization_id = "acme";
        job.job_type = "export";
        job.runner = JobRunner::kExternal;
        return store_->requests().create(job)->job;
    }
    // A job that ends at once, and leaves one notice; its id.
    std::string end_one(const std::string& organization) {
        const std::string id = submit(organization).job_id;
        EXPECT_TRUE(store_->requests().request_cancel(OrganizationScope::every(), id, "test"));
        return id;
    }
    std::vector<model::Notice> take_notices(std::size_t notices_max = limits::kNoticesPage) {
        auto taken = store_->outbox().take_due_notices(notices_max);
        EXPECT_TRUE(taken) << taken.error().message;
        return taken ? std::move(*taken) : std::vector<model::Notice>();
    }
    // Of every notice that is due.
    void deliver_notices() {
        for (auto due = take_notices(); !due.empty(); due = take_notices()) {
            for (const model::Notice& notice : due)
                ASSERT_TRUE(store_->outbox().mark_delivery(notice.sequence, Outbox::Delivery::kDone,
                                                           "200", 0));
        }
    }
    // The same with the publication.
    void tell_notices() {
        deliver_notices();
        const auto fresh = store_->outbox().unpublished_notices();
        ASSERT_TRUE(fresh) << fresh.error().message;
        if (fresh->empty()) return;
        ASSERT_TRUE(store_->outbox().mark_published(fresh->back().sequence));
    }
    static std::int64_t us_of_days(int days) { return std::int64_t{days} * 86'400'000'000; }
    ClaimedJob claim() {
        auto claimed = store_->queue().claim();
        EXPECT_TRUE(claimed && claimed->has_value());
        return **claimed;
    }
    model::Job find(const std::string& id) {
        return *store_->reader().find(OrganizationScope::every(), id);
    }
    Completion completion(const ClaimedJob& job) {
        Completion out;
        out.file = {"acme/" + job.lease.job_id + "." + std::to_string(job.lease.epoch) + ".csv",
                    "file:///x/" + job.lease.job_id, 42, "ab"};
        out.filename = "products.csv";
        out.metadata_json = R"({"rows": 7})";
        out.processed_items = 10;
        return out;
    }
    // Announces and publishes.
    Result<void> finish(const ClaimedJob& job) {
        const Completion done = completion(job);
        EW_CHECK(store_->queue().intend_file(job.lease, done.file.key));
        return store_->queue().complete(job.lease, done);
    }

    const testing::TempDir dir_;
    RegistryClock clock_;
    // One organization has many jobs in these tests.
    JobPolicy policy_{.attempts_max = 3, .organization_running_max = 100, .version = "test"};
    std::unique_ptr<JobStore> store_;
};

}  // namespace export_worker::jobs
