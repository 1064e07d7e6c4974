#include "daemon/server/dispatcher.hpp"

#include "base/shared_limits.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/model/limits.hpp"
#include "daemon/server/limits.hpp"
#include "protocol/message/reply.hpp"
#include "tests/unit/daemon/server/server_fixture.hpp"
#include "tests/unit/support/damage.hpp"

namespace export_worker::server {
namespace {

class DispatcherTest : public ServerFixture {
protected:
    struct Asked {
        std::string method;
        json params = json::object();
        std::string authorization = "";
        const model::Principal* as_operator = nullptr;
    };
    // The decoded reply.
    json ask(const Asked& asked) {
        const std::string params = dump_msgpack(asked.params);
        message::Request request;
        request.id = "r1";
        request.method = asked.method;
        request.params = params;
        request.credentials.authorization = asked.authorization;
        WorkerScratch scratch = dispatcher_.make_scratch("test");
        std::string reply;
        const bool is_result = dispatcher_.dispatch(request, SteadyTime{}, INT64_MAX,
                                                    asked.as_operator, scratch, reply);
        json out = parse_msgpack(reply);
        EXPECT_EQ(out["id"], "r1");
        EXPECT_EQ(out["ok"], is_result);
        return out;
    }
    std::string code(const Asked& asked) {
        const json reply = ask(asked);
        return reply["ok"].get<bool>() ? "ok" : reply["error"]["code"].get<std::string>();
    }
    std::string bearer(const std::string& organization,
                       const std::vector<std::string>& permissions) {
        return "Bearer " + identity_.keys->create(organization, "", permissions)->text;
    }
};

TEST_F(DispatcherTest, PingAndTheListNeedNoCredentials) {
    EXPECT_EQ(ask({"sys.ping"})["result"]["pong"], true);
    const json methods = ask({"sys.methods"})["result"]["methods"];
    EXPECT_EQ(methods.size(), job_methods().size() + 3);
    for (const json& method : methods) EXPECT_EQ(method["provider"], "daemon");
}

TEST_F(DispatcherTest, UnknownMethodsAreNamedHarmlessly) {
    for (const char* method : {"no.such", "jobs.get ", "JOBS.GET", "control.drain", "sys."})
        EXPECT_EQ(code({method}), "unknown_method") << method;
    const json reply = ask({std::string("a\n\xff", 3)});
    EXPECT_EQ(reply["error"]["code"], "unknown_method");
    EXPECT_NE(reply["error"]["message"].get<std::string>().find("'a\?\?'"), std::string::npos);
}

// Without the plugin that answers it, a method of the table is as unknown as any other.
TEST_F(DispatcherTest, AMethodOfAPluginNeedsThePlugin) {
    EXPECT_EQ(code({"download_url.get"}), "unknown_method");
    EXPECT_EQ(code({"download_url.explain"}), "unknown_method");
}

TEST_F(DispatcherTest, AMethodWhosePluginIsLeftOutCanBeAskedForAgain) {
    left_out_ = {{"broken.do", "broken"}};
    const json error = ask({"broken.do"})["error"];
    EXPECT_EQ(error["code"], "plugin_unavailable");
    EXPECT_EQ(error["retryable"], true);
    EXPECT_EQ(error["executed"], "no");
    EXPECT_EQ(error["retry_after_ms"], limits::kPluginAwayRetryMs);
    EXPECT_EQ(error["message"],
              "plugin broken is not loaded, so 'broken.do' is unavailable; try again later "
              "(operators: exportctl status says why)");
    EXPECT_EQ(code({"broken.other"}), "unknown_method");
    EXPECT_EQ(code({"download_url.get"}), "unknown_method");
}

TEST_F(DispatcherTest, APluginThatWasNeverLoadedMayAnswerTheMethodsOfTheTable) {
    left_out_ = {{"", "download_url"}};
    EXPECT_EQ(code({"download_url.get"}), "plugin_unavailable");
    EXPECT_EQ(code({"no.such"}), "unknown_method");
}

TEST_F(DispatcherTest, EveryMethodWantsCredentials) {
    for (const message::WireMethod& method : job_methods()) {
        const std::string name(method.name);
        EXPECT_EQ(code({name}), "unauthenticated") << name;
        EXPECT_EQ(code({name, json::object(), "Bearer mo_forged"}), "unauthenticated") << name;
    }
}

TEST_F(DispatcherTest, EveryPermissionCanBeGranted) {
    for (const message::WireMethod& method : job_methods()) {
        const auto key = identity_.keys->create("acme", "", {std::string(method.permission)});
        EXPECT_TRUE(key) << method.name << ": " << key.error().message;
    }
}

TEST_F(DispatcherTest, EveryMethodWantsItsPermission) {
    const std::string reader = bearer("acme", {"job:read"});
    const std::string writer = bearer("acme", {"job:create", "product:read", "template:write"});
    for (const message::WireMethod& method : job_methods()) {
        const std::string& without = method.permission == "job:read" ? writer : reader;
        const json reply = ask({std::string(method.name), json::object(), without});
        EXPECT_EQ(reply["error"]["code"], "permission_denied") << method.name;
        EXPECT_EQ(reply["error"]["message"],
                  "Missing required permission: " + std::string(method.permission));
    }
}

TEST_F(DispatcherTest, TheKeyDecidesTheOrganization) {
    const std::string id = submit("umbrella");
    const std::string key = bearer("acme", {"job:read"});
    EXPECT_EQ(code({"jobs.get", {{"job_id", id}}, key}), "not_found");
    EXPECT_EQ(code({"jobs.get", {{"job_id", id}, {"organization_id", "umbrella"}}, key}),
              "not_found");
    EXPECT_EQ(code({"jobs.get", {{"job_id", id}}, bearer("umbrella", {"job:read"})}), "ok");
}

TEST_F(DispatcherTest, ParametersAreAMap) {
    const std::string key = bearer("acme", {"job:read"});
    for (const json& params : std::initializer_list<json>{nullptr, 5, "x", json::array()})
        EXPECT_EQ(code({"jobs.list", params, key}), "bad_request") << params;
}

TEST_F(DispatcherTest, AnOperatorNeedsNoCredentials) {
    const model::Principal one{"operator", "acme", {}, true};
    EXPECT_EQ(code({"exports.submit", {{"format", "csv"}}, "", &one}), "ok");
    EXPECT_EQ(ask({"jobs.list", json::object(), "", &one})["result"]["total"], 1);
}

TEST_F(DispatcherTest, AListIsNeverTooLarge) {
    const json metadata = {{"a", std::string(limits::kJobMetadataBytesMax - 100, 'x')}};
    for (std::size_t bytes = 0; bytes <= limits::kReplyBytesMax;
         bytes += limits::kJobMetadataBytesMax - 100)
        call("jobs.create", {{"job_type", "export"}, {"total_items", 1}, {"metadata", metadata}});
    const std::string key = bearer("acme", {"job:read"});
    const json page = ask({"jobs.list", json::object(), key})["result"];
    EXPECT_GT(page["items"].size(), 1U);
    EXPECT_EQ(page["next"], page["items"].back()["job_id"]);
}

TEST_F(DispatcherTest, AJobWithinTheLimitsCanAlwaysBeReadAndChanged) {
    const json created = {{"job_type", "export"}, {"total_items", 1}, {"idempotency_key", "k"}};
    const std::string id = call("jobs.create", created)["job_id"];
    const json entry = {{"entity_key", std::string(limits::kProductKeyBytesMax, 'k')},
                        {"error_type", "bad"},
                        {"message", std::string(limits::kJobTextBytesMax, 'm')},
                        {"details", {{"a", std::string(limits::kJobEntryBytesMax - 100, 'x')}}}};
    for (std::size_t count = 0; count < limits::kJobErrorsMax; ++count)
        call("jobs.report_progress", {{"job_id", id}, {"error", entry}, {"warning", entry}});
    const json metadata = {{"a", std::string(limits::kJobMetadataBytesMax - 100, 'x')}};
    call("jobs.report_progress", {{"job_id", id}, {"metadata_patch", metadata}});
    const std::string key = bearer("acme", {"job:read", "job:create"});
    const json job = ask({"jobs.get", {{"job_id", id}}, key})["result"];
    EXPECT_GT(job["errors"].size(), 10U);
    EXPECT_EQ(job["warnings"].size(), job["errors"].size());
    EXPECT_EQ(ask({"jobs.create", created, key})["result"]["job_id"], id);
    EXPECT_EQ(code({"jobs.cancel", {{"job_id", id}}, key}), "ok");
}

// The change has been made, whatever becomes of the answer.
TEST_F(DispatcherTest, AnAnswerThatIsTooLargeSaysThatTheMethodRan) {
    const std::string id = create();
    testing::execute_in(dir_ / "jobs.db",
                        "UPDATE job SET metadata = json_object('a', hex(zeroblob(3000000)))");
    const json reply = ask({"jobs.cancel", {{"job_id", id}}, bearer("acme", {"job:create"})});
    EXPECT_EQ(reply["error"]["code"], "too_large");
    EXPECT_EQ(reply["error"]["executed"], "yes");
}

TEST_F(DispatcherTest, DownloadsAreReportedWithTheirLink) {
    EXPECT_EQ(ask({"downloads.report", {{"target", "/exports/a?sig=x"}}})["result"]["noted"], true);
    EXPECT_EQ(downloaded_, "/exports/a?sig=x");
    EXPECT_EQ(code({"downloads.report", {{"target", "/elsewhere"}}}), "permission_denied");
    for (const json& target :
         std::initializer_list<json>{nullptr, 5, json::array(), json::object()})
        EXPECT_EQ(code({"downloads.report", {{"target", target}}}), "invalid_argument");
    EXPECT_EQ(code({"downloads.report"}), "invalid_argument");
    EXPECT_EQ(code({"downloads.report", json::array({"/exports/a"})}), "invalid_argument");
}

TEST_F(DispatcherTest, WithoutARecorderNoDownloadIsTaken) {
    const Dispatcher deaf({identity_.authenticator,
                           plugins_->routing(),
                           {jobs_->reader(), jobs_->requests(), exports_},
                           jobs_->organizations(),
                           {},
                           [this] { return plugins_->methods(); },
                           {},
                           {}});
    const std::string params = dump_msgpack({{"target", "/exports/a"}});
    message::Request request;
    request.method = "downloads.report";
    request.params = params;
    std::string reply;
    EXPECT_FALSE(deaf.begin_own(request, nullptr)(reply));
    EXPECT_EQ(parse_msgpack(reply)["error"]["code"], "permission_denied");
}

TEST_F(DispatcherTest, KeysNeedNoIdentityProvider) {
    message::Request request;
    EXPECT_FALSE(dispatcher_.must_identify(request));
    const std::string key = bearer("acme", {"job:read"});
    request.credentials.authorization = key;
    EXPECT_FALSE(dispatcher_.must_identify(request));
}

// No provider is configured: nothing is to be asked, and nothing is computed to find that out.
TEST_F(DispatcherTest, WithoutAProviderASessionCostsTheLoopNoHash) {
    message::Request request;
    request.credentials.session = "a-session-token-of-theirs";
    EXPECT_FALSE(dispatcher_.must_identify(request));
    EXPECT_EQ(request.credentials.token_sha256, std::nullopt);
}

TEST_F(DispatcherTest, APluginAnswersItsOwnMethods) {
    ASSERT_TRUE(plugins_->load("", testing::install_plugin(dir_, "minimal_c"), {}));
    const json reply = ask({"minimal.echo", {{"a", 1}}});
    EXPECT_EQ(reply["result"]["a"], 1);
    EXPECT_EQ(reply["served_by"]["plugin"], "minimal");
    const json methods = ask({"sys.methods"})["result"]["methods"];
    EXPECT_EQ(methods.back(), (json{{"name", "minimal.echo"}, {"provider", "minimal"}}));
}

TEST_F(DispatcherTest, EveryFaultOfAPluginIsItsOwn) {
    ASSERT_TRUE(plugins_->load("", testing::install_plugin(dir_, "misbehaving"), {}));
    for (const char* method : {"bad.throw", "bad.throw_int", "bad.throw_null", "bad.nothing",
                               "bad.both", "bad.garbage", "bad.oversize", "bad.status"}) {
        const json reply = ask({method});
        EXPECT_EQ(reply["error"]["code"], "plugin_fault") << method;
        EXPECT_EQ(reply["served_by"]["plugin"], "misbehaving") << method;
    }
    EXPECT_EQ(code({"bad.good"}), "ok");
}

}  // namespace
}  // namespace export_worker::server
