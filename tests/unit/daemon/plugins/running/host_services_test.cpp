#include "daemon/plugins/running/host_services.hpp"

#include <gtest/gtest.h>

#include "daemon/jobs/sqlite_job_store.hpp"
#include "daemon/plugins/running/plugin_call.hpp"
#include "tests/unit/support/damage.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/log.hpp"
#include "tests/unit/support/sessions.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::plugins {
namespace {

ew_string abi(std::string_view text) {
    return {text.data(), text.size()};
}

// The tables as a plugin sees them.
class HostServicesTest : public ::testing::Test {
protected:
    HostServicesTest() {
        request_.struct_bytes = sizeof request_;
        request_.call = &call_;
        call_.reset();
    }
    template <typename Table>
    const Table& table(const char* name) const {
        return *static_cast<const Table*>(host_.get_extension(&host_, abi(name)));
    }
    std::string create_job(const std::string& organization) {
        jobs::NewJob job;
        job.organization_id = organization;
        job.job_type = model::kExportJobType;
        return jobs_->create(job)->job.job_id;
    }
    ew_status authorize(const std::string& header, std::string_view permission) {
        header_ = header;
        call_.presented = {header_, "", ""};
        ew_principal principal{};
        principal.struct_bytes = sizeof principal;
        return table<ew_ext_authorize>(EW_EXT_AUTHORIZE)
            .require(&host_, &request_, abi(permission), &call_.writer, &principal);
    }
    ew_status find(const std::string& job_id) {
        ew_job job{};
        job.struct_bytes = sizeof job;
        return find(job_id, job);
    }
    ew_status find(const std::string& job_id, ew_job& job) {
        return table<ew_ext_job_lookup>(EW_EXT_JOB_LOOKUP)
            .find(&host_, &request_, abi(job_id), &call_.writer, &job);
    }

    const testing::TempDir dir_;
    testing::FakeClock clock_;
    testing::Identity identity_{dir_ / "auth.db", clock_};
    std::unique_ptr<jobs::JobStore> jobs_ = std::move(*jobs::open_sqlite_job_store(
        dir_ / "jobs.db", clock_, {}, sqlite::Durability::kUnsyncedForTest));
    HostServices host_{"p", {&clock_, &identity_.authenticator, jobs_.get(), nullptr, {}}};
    PluginCall call_;
    ew_request request_{};
    std::string header_;
};

TEST_F(HostServicesTest, AJobIsForTheOrganizationOfTheCaller) {
    const std::string ours = create_job("acme");
    const std::string theirs = create_job("umbrella");
    const auto key = identity_.keys->create("acme", "", {"product:read"});
    ASSERT_EQ(authorize("Bearer " + key->text, "product:read"), EW_OK);
    EXPECT_EQ(find(ours), EW_OK);
    EXPECT_EQ(find(theirs), EW_NOT_FOUND);
    EXPECT_EQ(find("no-such-job"), EW_NOT_FOUND);
}

// A plugin built against minor 0 has no room for what came later.
TEST_F(HostServicesTest, AJobIsFilledInAsFarAsThePluginKnowsIt) {
    jobs::NewJob job;
    job.organization_id = "acme";
    job.job_type = model::kExportJobType;
    job.metadata_json = R"({"content_type":"text/csv","sha256":"abc"})";
    const std::string id = jobs_->create(job)->job.job_id;
    const auto key = identity_.keys->create("acme", "", {"product:read"});
    ASSERT_EQ(authorize("Bearer " + key->text, "product:read"), EW_OK);
    ew_job found{};
    found.struct_bytes = sizeof found;
    ASSERT_EQ(find(id, found), EW_OK);
    EXPECT_EQ(std::string(found.content_type.data, found.content_type.size), "text/csv");
    EXPECT_EQ(std::string(found.sha256.data, found.sha256.size), "abc");
    ew_job old{};
    old.struct_bytes = offsetof(ew_job, content_type);
    ASSERT_EQ(find(id, old), EW_OK);
    EXPECT_EQ(std::string(old.status.data, old.status.size), "pending");
    EXPECT_EQ(old.content_type.data, nullptr);
    EXPECT_EQ(old.sha256.data, nullptr);
}

// Nothing tells how much room there is.
TEST_F(HostServicesTest, AStructWhoseSizeWasNotSetIsMisuse) {
    const std::string id = create_job("acme");
    ew_principal principal{};
    EXPECT_EQ(table<ew_ext_authorize>(EW_EXT_AUTHORIZE)
                  .require(&host_, &request_, abi("product:read"), &call_.writer, &principal),
              EW_MISUSE);
    EXPECT_TRUE(testing::has_logged("ew_principal.struct_bytes: expected at least 8, found 0"));
    const auto key = identity_.keys->create("acme", "", {"product:read"});
    ASSERT_EQ(authorize("Bearer " + key->text, "product:read"), EW_OK);
    ew_job job{};
    EXPECT_EQ(table<ew_ext_job_lookup>(EW_EXT_JOB_LOOKUP)
                  .find(&host_, &request_, abi(id), &call_.writer, &job),
              EW_MISUSE);
    ew_credentials credentials{};
    EXPECT_EQ(
        table<ew_ext_credentials>(EW_EXT_CREDENTIALS).get(&host_, &call_, abi("a"), &credentials),
        EW_MISUSE);
    EXPECT_EQ(table<ew_ext_credentials_2>(EW_EXT_CREDENTIALS_2)
                  .get(&host_, &request_, abi("a"), &credentials),
              EW_MISUSE);
}

TEST_F(HostServicesTest, ARequestOfThePluginsOwnIsMisuse) {
    ew_request own{};
    own.struct_bytes = offsetof(ew_request, call);
    own.call = &call_;  // Past its size.
    ew_principal principal{};
    principal.struct_bytes = sizeof principal;
    ew_credentials credentials{};
    credentials.struct_bytes = sizeof credentials;
    EXPECT_EQ(table<ew_ext_authorize>(EW_EXT_AUTHORIZE)
                  .require(&host_, &own, abi("product:read"), &call_.writer, &principal),
              EW_MISUSE);
    EXPECT_EQ(
        table<ew_ext_credentials_2>(EW_EXT_CREDENTIALS_2).get(&host_, &own, abi("a"), &credentials),
        EW_MISUSE);
}

TEST_F(HostServicesTest, AJobThatCannotBeReadIsNoUnknownJob) {
    const std::string id = create_job("acme");
    const auto key = identity_.keys->create("acme", "", {"product:read"});
    ASSERT_EQ(authorize("Bearer " + key->text, "product:read"), EW_OK);
    testing::damage_table(dir_ / "jobs.db", "job");
    EXPECT_EQ(find(id), EW_FAILED);
    EXPECT_EQ(call_.writer.error.code, message::WireCode::kInternal);
    EXPECT_EQ(call_.writer.error.message.find("malformed"), std::string::npos);
    EXPECT_TRUE(testing::has_logged("job lookup: "));
}

// A plugin that forgets to ask who is calling must not see what the caller before might.
TEST_F(HostServicesTest, NoJobIsFoundBeforeTheCallerIsKnown) {
    const std::string id = create_job("acme");
    EXPECT_EQ(find(id), EW_MISUSE);
    EXPECT_EQ(authorize("Bearer nonsense", "product:read"), EW_FAILED);
    EXPECT_EQ(call_.writer.error.code, message::WireCode::kUnauthenticated);
    EXPECT_EQ(find(id), EW_MISUSE);
    call_.reset();
    const auto key = identity_.keys->create("acme", "", {"product:read"});
    ASSERT_EQ(authorize("Bearer " + key->text, "product:read"), EW_OK);
    ASSERT_EQ(find(id), EW_OK);
    call_.reset();  // The next request of the same worker.
    EXPECT_EQ(find(id), EW_MISUSE);
}

TEST_F(HostServicesTest, APermissionTheCallerLacksIsRefusedInTheWordsOfEveryMethod) {
    const auto key = identity_.keys->create("acme", "", {"product:read"});
    EXPECT_EQ(authorize("Bearer " + key->text, "job:create"), EW_FAILED);
    EXPECT_EQ(call_.writer.error.code, message::WireCode::kPermissionDenied);
    EXPECT_EQ(call_.writer.error.message, "Missing required permission: job:create");
}

// The generation that failed and the one that takes its place handle one request.
TEST_F(HostServicesTest, ACallerIsIdentifiedAndCountedOnceARequest) {
    jobs::OrganizationPolicy policy;
    policy.organization_id = "acme";
    policy.requests_per_second_max = 1;
    ASSERT_TRUE(jobs_->set_organization(policy));
    const std::string id = create_job("acme");
    const std::string header =
        "Bearer " + identity_.keys->create("acme", "", {"product:read"})->text;
    int admitted = 0;
    while (authorize(header, "product:read") == EW_OK) {
        ASSERT_EQ(++admitted, 1) << "one request a second";
        for (int attempt = 0; attempt < 5; ++attempt) {
            call_.begin_attempt();
            EXPECT_EQ(find(id), EW_MISUSE) << "each generation has to ask";
            ASSERT_EQ(authorize(header, "product:read"), EW_OK);
            EXPECT_EQ(find(id), EW_OK);
        }
        call_.reset();  // The next request.
    }
    EXPECT_EQ(call_.writer.error.code, message::WireCode::kRateLimited);
    EXPECT_EQ(admitted, 1);
}

TEST_F(HostServicesTest, CountersAreBoundedAndNamedOnes) {
    const auto& metrics = table<ew_ext_metrics>(EW_EXT_METRICS);
    for (std::size_t count = 0; count < limits::kPluginCountersMax; ++count)
        EXPECT_EQ(metrics.register_counter(&host_, abi("c" + std::to_string(count)), abi("")),
                  static_cast<std::int32_t>(count));
    EXPECT_EQ(metrics.register_counter(&host_, abi("one_more"), abi("")), -1);
    metrics.add(&host_, 3, 7);
    metrics.add(&host_, -1, 7);
    metrics.add(&host_, static_cast<std::int32_t>(limits::kPluginCountersMax), 7);
    const auto counters = host_.counters();
    ASSERT_EQ(counters.size(), limits::kPluginCountersMax);
    for (const CounterValue& counter : counters)
        EXPECT_EQ(counter.value, counter.name == "c3" ? 7U : 0U) << counter.name;
}

}  // namespace
}  // namespace export_worker::plugins
