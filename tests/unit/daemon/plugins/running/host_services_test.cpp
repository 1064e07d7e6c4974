#include "daemon/plugins/running/host_services.hpp"

#include <gtest/gtest.h>

#include "daemon/jobs/sqlite/sqlite_job_store.hpp"
#include "daemon/plugins/running/abi_checks.hpp"
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
        return jobs_->requests().create(job)->job.job_id;
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
    HostServices host_{"p",
                       {&clock_,
                        &identity_.authenticator,
                        &jobs_->reader(),
                        &jobs_->organizations(),
                        nullptr,
                        {}}};
    PluginCall call_;
    ew_request request_{};
    std::string header_;
    const PluginScope scope_{{PluginStep::kHandle, &host_, &call_.writer, nullptr, &call_}};
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
    const std::string id = jobs_->requests().create(job)->job.job_id;
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
    ASSERT_TRUE(jobs_->organizations().set_organization(policy));
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
    const PluginScope create({.step = PluginStep::kCreate, .host = &host_});
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

TEST_F(HostServicesTest, ACounterIsRegisteredInCreateOnly) {
    const auto& metrics = table<ew_ext_metrics>(EW_EXT_METRICS);
    EXPECT_EQ(metrics.register_counter(&host_, abi("late"), abi("")), -1);
    EXPECT_TRUE(
        testing::has_logged("plugin p: metrics/1 register_counter(): expected in create()"));
    const PluginScope create({.step = PluginStep::kCreate, .host = &host_});
    for (const char* name : {"", "Upper", "with space", "a\nb"})
        EXPECT_EQ(metrics.register_counter(&host_, abi(name), abi("")), -1) << name;
    EXPECT_EQ(metrics.register_counter(&host_, abi(std::string(65, 'a')), abi("")), -1);
    EXPECT_TRUE(host_.counters().empty());
}

constexpr ew_string kNoText{nullptr, 5};
constexpr std::uint64_t kTooLong[]{limits::kReplyBytesMax + 1, SIZE_MAX};

// Each function of the tables with each of its arguments broken, one at a time.
TEST_F(HostServicesTest, BrokenArgumentsOfServicesAreMisuse) {
    const auto key = identity_.keys->create("acme", "", {"product:read"});
    ASSERT_EQ(authorize("Bearer " + key->text, "product:read"), EW_OK);
    const auto require = table<ew_ext_authorize>(EW_EXT_AUTHORIZE).require;
    const auto find_job = table<ew_ext_job_lookup>(EW_EXT_JOB_LOOKUP).find;
    const auto get = table<ew_ext_credentials>(EW_EXT_CREDENTIALS).get;
    const auto get_2 = table<ew_ext_credentials_2>(EW_EXT_CREDENTIALS_2).get;
    ew_principal principal{};
    principal.struct_bytes = sizeof principal;
    ew_job job{};
    job.struct_bytes = sizeof job;
    ew_credentials credentials{};
    credentials.struct_bytes = sizeof credentials;
    const ew_string text = abi("a");
    ew_writer* const writer = &call_.writer;
    for (const ew_string bad :
         {kNoText, ew_string{"a", kTooLong[0]}, ew_string{"a", kTooLong[1]}}) {
        EXPECT_EQ(host_.get_extension(&host_, bad), nullptr);
        EXPECT_EQ(require(&host_, &request_, bad, writer, &principal), EW_MISUSE);
        EXPECT_EQ(find_job(&host_, &request_, bad, writer, &job), EW_MISUSE);
        EXPECT_EQ(get(&host_, &call_, bad, &credentials), EW_MISUSE);
        EXPECT_EQ(get_2(&host_, &request_, bad, &credentials), EW_MISUSE);
    }
    ResultWriter other_writer;
    for (ew_writer* const bad :
         {static_cast<ew_writer*>(nullptr), static_cast<ew_writer*>(&other_writer)}) {
        EXPECT_EQ(require(&host_, &request_, text, bad, &principal), EW_MISUSE);
        EXPECT_EQ(find_job(&host_, &request_, text, bad, &job), EW_MISUSE);
    }
    EXPECT_EQ(require(&host_, nullptr, text, writer, &principal), EW_MISUSE);
    EXPECT_EQ(require(&host_, &request_, text, writer, nullptr), EW_MISUSE);
    EXPECT_EQ(find_job(&host_, nullptr, text, writer, &job), EW_MISUSE);
    EXPECT_EQ(find_job(&host_, &request_, text, writer, nullptr), EW_MISUSE);
    EXPECT_EQ(get(&host_, &call_, text, nullptr), EW_MISUSE);
    EXPECT_EQ(get_2(&host_, &request_, text, nullptr), EW_MISUSE);
    EXPECT_EQ(get(&host_, nullptr, text, &credentials), EW_MISUSE) << "NULL is for create()";
    EXPECT_EQ(get_2(&host_, nullptr, text, &credentials), EW_MISUSE);
    EXPECT_TRUE(
        testing::has_logged("plugin p: job_lookup/1 find(): job_id: expected a pointer to 5"));
    EXPECT_TRUE(testing::has_logged("expected at most 4194304 bytes, found 18446744073709551615"));
}

TEST_F(HostServicesTest, FunctionsWithoutAStatusIgnoreBrokenArguments) {
    const auto& log = table<ew_ext_log>(EW_EXT_LOG);
    const auto& metrics = table<ew_ext_metrics>(EW_EXT_METRICS);
    const auto& audit = table<ew_ext_audit>(EW_EXT_AUDIT);
    const PluginScope create({.step = PluginStep::kCreate, .host = &host_});
    for (const ew_string bad :
         {kNoText, ew_string{"a", kTooLong[0]}, ew_string{"a", kTooLong[1]}}) {
        log.write(&host_, EW_LOG_INFO, bad);
        EXPECT_EQ(metrics.register_counter(&host_, bad, abi("")), -1);
        EXPECT_EQ(metrics.register_counter(&host_, abi("name"), bad), -1);
        audit.record(&host_, &request_, bad, abi("kind"));
        audit.record(&host_, &request_, abi("job"), bad);
    }
    audit.record(&host_, nullptr, abi("job"), abi("kind"));
    EXPECT_TRUE(
        testing::has_logged("plugin p: log/1 write(): message: expected a pointer to 5 bytes"));
    EXPECT_TRUE(testing::has_logged("plugin p: audit/1 record(): request: expected a pointer"));
}

// A copy of the host's struct, one whose plugin has ended, none at all.
TEST_F(HostServicesTest, AnotherHostIsMisuse) {
    const ew_host copy = host_;
    const HostServices ended("e", {&clock_, nullptr, nullptr, nullptr, nullptr, {}});
    ended.end();
    ew_credentials credentials{};
    credentials.struct_bytes = sizeof credentials;
    const auto& clock = table<ew_ext_clock>(EW_EXT_CLOCK);
    for (const ew_host* const bad :
         {static_cast<const ew_host*>(nullptr), &copy, static_cast<const ew_host*>(&ended)}) {
        EXPECT_EQ(host_.get_extension(bad, abi(EW_EXT_LOG)), nullptr);
        EXPECT_EQ(clock.unix_us(bad), 0);
        EXPECT_EQ(clock.steady_ns(bad), 0);
        table<ew_ext_log>(EW_EXT_LOG).write(bad, EW_LOG_INFO, abi("text"));
        table<ew_ext_metrics>(EW_EXT_METRICS).add(bad, 0, 1);
        EXPECT_EQ(
            table<ew_ext_credentials>(EW_EXT_CREDENTIALS).get(bad, &call_, abi("a"), &credentials),
            EW_MISUSE);
    }
    EXPECT_TRUE(testing::has_logged("host: expected the one create() was given, found NULL"));
    EXPECT_TRUE(testing::has_logged("make no call after destroy()"));
}

// A request that was kept past its handle(), or is used on another thread.
TEST_F(HostServicesTest, TheRequestOfAnotherCallIsMisuse) {
    PluginCall other;
    ew_request kept = request_;
    kept.call = &other;
    ew_credentials credentials{};
    credentials.struct_bytes = sizeof credentials;
    EXPECT_EQ(table<ew_ext_credentials_2>(EW_EXT_CREDENTIALS_2)
                  .get(&host_, &kept, abi("a"), &credentials),
              EW_MISUSE);
    const PluginScope nowhere({});
    EXPECT_EQ(table<ew_ext_credentials_2>(EW_EXT_CREDENTIALS_2)
                  .get(&host_, &request_, abi("a"), &credentials),
              EW_MISUSE);
    EXPECT_EQ(call_.writer.append(&call_.writer, "\x80", 1), EW_MISUSE);
    EXPECT_TRUE(call_.writer.result.empty());
}

TEST_F(HostServicesTest, BrokenArgumentsOfTheWriterMakeAFault) {
    ResultWriter& writer = call_.writer;
    const auto is_fault = [&](ew_status status) {
        const bool out = status != EW_OK && writer.misuse != nullptr;
        writer.reset();
        return out;
    };
    const ew_string none{nullptr, 0};
    EXPECT_EQ(writer.append(nullptr, "\x80", 1), EW_MISUSE);
    EXPECT_EQ(writer.set_error(nullptr, EW_ERROR_GONE, none, EW_EXECUTED_NO, none), EW_MISUSE);
    EXPECT_TRUE(is_fault(writer.append(&writer, nullptr, 1)));
    EXPECT_TRUE(is_fault(writer.append(&writer, "\x80", SIZE_MAX)));
    EXPECT_EQ(writer.append(&writer, nullptr, 0), EW_OK);
    for (const ew_string bad : {kNoText, ew_string{"a", SIZE_MAX}}) {
        EXPECT_TRUE(is_fault(writer.set_error(&writer, EW_ERROR_GONE, bad, EW_EXECUTED_NO, none)));
        EXPECT_TRUE(is_fault(writer.set_error(&writer, EW_ERROR_GONE, none, EW_EXECUTED_NO, bad)));
    }
    for (const std::uint32_t code : {0U, 9999U, static_cast<unsigned>(EW_ERROR_PLUGIN_FAULT),
                                     static_cast<unsigned>(EW_ERROR_DRAINING)})
        EXPECT_TRUE(is_fault(writer.set_error(&writer, code, none, EW_EXECUTED_NO, none))) << code;
    EXPECT_EQ(writer.set_error(&writer, EW_ERROR_GONE, none, EW_EXECUTED_NO, none), EW_OK);
    EXPECT_EQ(writer.misuse, nullptr);
}

TEST_F(HostServicesTest, UnavailableMayBeTriedAgainWhenNothingWasDone) {
    ResultWriter& writer = call_.writer;
    for (const std::uint32_t executed : {EW_EXECUTED_NO, EW_EXECUTED_UNKNOWN}) {
        writer.reset();
        ASSERT_EQ(writer.set_error(&writer, EW_ERROR_UNAVAILABLE, abi("away"), executed, abi("")),
                  EW_OK);
        EXPECT_EQ(writer.error.retryable, executed == EW_EXECUTED_NO);
        EXPECT_EQ(writer.error.retry_after_ms.has_value(), executed == EW_EXECUTED_NO);
    }
}

}  // namespace
}  // namespace export_worker::plugins
