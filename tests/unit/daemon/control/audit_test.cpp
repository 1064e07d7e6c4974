#include "daemon/control/audit.hpp"

#include <gtest/gtest.h>

#include <string>

#include "base/json.hpp"
#include "base/log.hpp"
#include "protocol/message/reply.hpp"

namespace export_worker::control {
namespace {

using nlohmann::json;

// The other tests of the program log as before.
class AuditTest : public ::testing::Test {
protected:
    void TearDown() override { ASSERT_TRUE(init_log("info", "text")); }

    // The line of a request that was answered with `result`; null: none was written.
    static json line(std::string_view method, const json& params,
                     const json& result = json::object(), const char* level = "info") {
        std::string reply;
        message::encode_result(reply, "r1", dump_msgpack(result), nullptr);
        return line_of(method, params, reply, level);
    }
    static json refused(std::string_view method, const json& params, message::WireCode code,
                        message::Executed executed = message::Executed::kNo) {
        std::string reply;
        auto error = message::make_error(code, "secret text");
        error.executed = executed;
        message::encode_error(reply, "r1", error, nullptr);
        return line_of(method, params, reply, "info");
    }

private:
    static json line_of(std::string_view method, const json& params, std::string_view reply,
                        const char* level) {
        message::Request request;
        request.method = method;
        request.credentials.organization_id = "by-credentials";
        ::testing::internal::CaptureStderr();
        EXPECT_TRUE(init_log(level, "json"));
        write_audit_line({{1000, 4711}, &request, reply, std::chrono::microseconds(7)}, params);
        const std::string text = ::testing::internal::GetCapturedStderr();
        return text.empty() ? json() : parse_json(text);
    }
};

TEST_F(AuditTest, SaysWhoDidWhatToWhatAndHowItEnded) {
    const json made =
        line("control.key_create",
             {{"organization", "acme"}, {"name", "ci"}, {"permissions", {"job:read"}}},
             {{"id", "0123456789abcdef"}, {"key", "mo_0123456789abcdef_feed"}});
    EXPECT_EQ(made["message"], "audit");
    EXPECT_EQ(made["level"], "info");
    EXPECT_EQ(made["method"], "control.key_create");
    EXPECT_EQ(made["outcome"], "ok");
    EXPECT_EQ(made["target"], "ci");
    EXPECT_EQ(made["made"], "0123456789abcdef");
    EXPECT_EQ(made["organization"], "acme");
    EXPECT_EQ(made["detail"], R"({"permissions":["job:read"]})");
    EXPECT_EQ(made["uid"], 1000);
    EXPECT_EQ(made["pid"], 4711);
    EXPECT_EQ(made["duration_us"], 7);
    EXPECT_EQ(dump_json(made).find("feed"), std::string::npos);

    const json cancelled = line("jobs.cancel", {{"job_id", "j1"}}, {{"job_id", "j1"}});
    EXPECT_EQ(cancelled["target"], "j1");
    EXPECT_EQ(cancelled["made"], "");
    EXPECT_EQ(cancelled["organization"], "by-credentials");
    EXPECT_EQ(line("control.plugin_reload", {{"plugin", "p"}}, {{"report", 3}})["made"], "3");
}

TEST_F(AuditTest, TheDetailHasWhatAnExportAndALimitAskFor) {
    const json request = {{"format", "csv"},
                          {"template", "weekly"},
                          {"columns", {"key", "name"}},
                          {"filter", {{"product_type", "shirt"}}},
                          {"product_keys", std::vector<std::string>(1'000, "k")},
                          {"priority", "high"},
                          {"max_attempts", 3}};
    const json detail = parse_json(line("exports.submit", request)["detail"].get<std::string>());
    for (const char* name : {"format", "template", "columns", "filter", "priority", "max_attempts"})
        EXPECT_EQ(detail[name], request[name]) << name;
    EXPECT_EQ(detail["product_keys"], "(4001 bytes)");
    const json quotas = {
        {"unfinished_max", 5}, {"stored_bytes_max", nullptr}, {"requests_per_second_max", 9}};
    EXPECT_EQ(parse_json(line("control.organization_set", quotas)["detail"].get<std::string>()),
              quotas);
}

TEST_F(AuditTest, SaysThatAChangeIsInForceThoughNotWritten) {
    const json params = {{"id", "0123456789abcdef"}};
    const json full = refused("control.key_revoke", params, message::WireCode::kOverloaded,
                              message::Executed::kYes);
    EXPECT_EQ(full["outcome"], "overloaded");
    EXPECT_EQ(full["in_force"], "until_restart");
    EXPECT_EQ(refused("control.key_revoke", params, message::WireCode::kOverloaded)["in_force"],
              "");
    EXPECT_EQ(refused("control.key_create", params, message::WireCode::kTooLarge,
                      message::Executed::kYes)["in_force"],
              "");
}

TEST_F(AuditTest, WorkThatHasBegunIsNoSuccessYet) {
    EXPECT_EQ(line("control.backup_begin", {}, {{"id", "b"}})["outcome"], "started");
    EXPECT_EQ(line("control.plugin_load", {}, {{"report", 3}})["outcome"], "started");
    EXPECT_EQ(line("control.key_revoke", {}, {{"id", "k"}})["outcome"], "ok");
}

TEST_F(AuditTest, RefusalsLeaveALine) {
    const json line = refused("control.member_set", {{"subject", "ann"}, {"active", false}},
                              message::WireCode::kInvalidArgument);
    EXPECT_EQ(line["outcome"], "invalid_argument");
    EXPECT_EQ(line["target"], "ann");
    EXPECT_EQ(line["detail"], R"({"active":false})");
    EXPECT_EQ(dump_json(line).find("secret text"), std::string::npos);
    EXPECT_EQ(refused("no.such", {}, message::WireCode::kUnknownMethod)["outcome"],
              "unknown_method");
}

TEST_F(AuditTest, NoSecretIsWrittenWhereverItWasPut) {
    const std::string key = "mo_0123456789abcdef_" + std::string(64, 'a');
    const std::string token = "mos_" + std::string(43, 'b');
    for (const std::string& secret : {key, token}) {
        for (const json& params : std::initializer_list<json>{{{"id", secret}},
                                                              {{"subject", secret}},
                                                              {{"name", "x " + secret}},
                                                              {{"organization", secret}},
                                                              {{"permissions", {secret}}},
                                                              {{"file", "/tmp/" + secret}}}) {
            const json written =
                refused("control.key_revoke", params, message::WireCode::kNotFound);
            EXPECT_EQ(dump_json(written).find(secret), std::string::npos) << written;
            EXPECT_NE(dump_json(written).find("(hidden)"), std::string::npos) << written;
        }
    }
    for (const char* url :
         {"https://h/exports/a?expires=1&sig=c2ln", "https://h/a?X-Amz-Signature=c2ln",
          "https://h/a%3Fsig%3Dc2ln", "https://h/a?Signature=c2ln&Key-Pair-Id=K"}) {
        for (const char* name : {"job_id", "subject", "id", "plugin", "directory"}) {
            const json written =
                refused("jobs.cancel", {{name, url}}, message::WireCode::kNotFound);
            EXPECT_EQ(dump_json(written).find("c2ln"), std::string::npos) << written;
        }
    }
    EXPECT_EQ(line("jobs.cancel", {{"job_id", "demo_shop"}})["target"], "demo_shop");
    // A token of the time before tokens had a prefix.
    EXPECT_EQ(line("control.session_revoke", {{"id", std::string(43, 'c')}})["target"], "(hidden)");
    // What no list names is not written.
    EXPECT_EQ(dump_json(line("control.x", {{"secret", "hush"}})).find("hush"), std::string::npos);
}

TEST_F(AuditTest, FieldsAreBounded) {
    const json long_name =
        line("control.member_set", {{"subject", std::string(100'000, 'a')},
                                    {"roles", std::vector<std::string>(10'000, "role")}});
    EXPECT_LT(dump_json(long_name).size(), 2'000U);
}

TEST_F(AuditTest, RequestsThatOnlyLookAreForDebugging) {
    for (const char* method : {"control.status", "control.key_list", "jobs.get", "sys.ping"}) {
        EXPECT_TRUE(line(method, json::object()).is_null()) << method;
        EXPECT_EQ(line(method, json::object(), json::object(), "debug")["level"], "debug");
    }
    EXPECT_FALSE(line("control.catalog_import", {{"first_line", 1}}).is_null());
    EXPECT_TRUE(line("control.catalog_import", {{"first_line", 500}}).is_null());
    // An unknown method may do anything.
    EXPECT_FALSE(line("control.new_method", json::object()).is_null());
}

}  // namespace
}  // namespace export_worker::control
