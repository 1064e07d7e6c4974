#include "daemon/server/job_methods.hpp"

#include <map>
#include <set>

#include "base/shared_limits.hpp"
#include "daemon/catalog/import_lines.hpp"
#include "daemon/server/limits.hpp"
#include "tests/unit/daemon/server/server_fixture.hpp"

namespace export_worker::server {
namespace {

class JobMethodsTest : public ServerFixture {};

TEST_F(JobMethodsTest, EveryMethodHasAPermission) {
    std::set<std::string_view> names;
    for (const message::WireMethod& method : job_methods()) {
        EXPECT_TRUE(names.insert(method.name).second) << method.name;
        EXPECT_NE(method.permission.find(':'), std::string_view::npos) << method.name;
    }
}

// As docs/wire_protocol.md has them: whoever may only look must not be able to change anything.
TEST_F(JobMethodsTest, ThePermissionsAreTheDocumentedOnes) {
    std::map<std::string_view, std::string_view> permissions;
    for (const message::WireMethod& method : job_methods())
        permissions[method.name] = method.permission;
    const std::map<std::string_view, std::string_view> documented{
        {"exports.submit", "product:read"},
        {"templates.put", "template:write"},
        {"templates.get", "product:read"},
        {"templates.list", "product:read"},
        {"templates.drop", "template:write"},
        {"jobs.create", "job:create"},
        {"jobs.report_progress", "job:create"},
        {"jobs.get", "job:read"},
        {"jobs.status", "job:read"},
        {"jobs.list", "job:read"},
        {"jobs.cancel", "job:create"},
        {"jobs.retry", "job:create"},
        {"jobs.hold", "job:create"},
        {"jobs.release", "job:create"},
        {"jobs.events", "job:read"},
        {"jobs.notices", "job:read"}};
    EXPECT_EQ(permissions, documented);
}

TEST_F(JobMethodsTest, WhoCreatesAJobMaySaySomebodyElseWantedIt) {
    json job = {{"job_type", "export"}, {"total_items", 1}};
    EXPECT_EQ(call("jobs.create", job)["triggered_by"], "key-acme");
    job["triggered_by"] = "operator";
    const json created = call("jobs.create", job);
    EXPECT_EQ(created["triggered_by"], "operator");
    EXPECT_EQ(created["trace_id"], kTraceId);
    // Who did it is who authenticated.
    const json events = call("jobs.events", {{"job_id", created["job_id"]}})["items"];
    EXPECT_EQ(events[0]["trace_id"], kTraceId);
    EXPECT_EQ(events[0]["kind"], "submitted");
    EXPECT_EQ(events[0]["actor"], "key-acme");
}

TEST_F(JobMethodsTest, SubmitQueuesAnExport) {
    ASSERT_TRUE(catalog::import_products(catalog_->imports(), "acme",
                                         R"({"key":"k1","productType":"t","properties":{}})", 1));
    const json accepted = call("exports.submit", {{"format", "csv"}});
    EXPECT_EQ(accepted["message"], "Export queued for 1 products");
    EXPECT_EQ(accepted["total"], 1);
    EXPECT_EQ(wakes_, 1);
    const json job = call("jobs.get", {{"job_id", accepted["job_id"]}});
    EXPECT_EQ(job["triggered_by"], "key-acme");
    EXPECT_EQ(job["trace_id"], kTraceId);
    EXPECT_EQ(call("exports.submit", {{"filter", {{"publish_status", "live"}}}})["message"],
              "Export queued for at most 1 products");
}

TEST_F(JobMethodsTest, TheSameKeyIsTheSameExport) {
    const json request = {{"format", "csv"}, {"idempotency_key", "k"}};
    const json first = call("exports.submit", request);
    const json second = call("exports.submit", request);
    EXPECT_EQ(first["job_id"], second["job_id"]);
    EXPECT_EQ(second["message"], "This request was accepted before");
    EXPECT_TRUE(refusal("exports.submit", {{"format", "jsonl"}, {"idempotency_key", "k"}})
                    .starts_with("conflict: idempotency_key"));
    EXPECT_NE(call("exports.submit", request, "umbrella")["job_id"], first["job_id"]);
}

TEST_F(JobMethodsTest, AnIdempotencyKeyIsText) {
    EXPECT_EQ(refusal("exports.submit", {{"format", "csv"}, {"idempotency_key", "\xff"}}),
              "invalid_argument: idempotency_key: expected UTF-8, found other bytes");
}

TEST_F(JobMethodsTest, CreatingNeedsAnOrganization) {
    const json job = {{"job_type", "export"}, {"total_items", 1}};
    for (const char* organization : {"", "../up", "a b"}) {
        for (const char* method : {"exports.submit", "templates.put", "templates.get",
                                   "templates.list", "templates.drop"})
            EXPECT_TRUE(refusal(method, json::object(), organization)
                            .starts_with("invalid_argument: organization"))
                << method;
        EXPECT_TRUE(refusal("jobs.create", job, organization)
                        .starts_with("invalid_argument: organization"));
    }
}

TEST_F(JobMethodsTest, AJobIdIsShortText) {
    for (const char* method : {"jobs.get", "jobs.status", "jobs.cancel", "jobs.retry", "jobs.hold",
                               "jobs.release", "jobs.events", "jobs.report_progress"}) {
        for (const json& id : std::initializer_list<json>{
                 nullptr, 5, "", "a\nb", std::string("\0", 1), json::array({"x"}), json::object(),
                 std::string(limits::kJobIdBytesMax + 1, 'x')}) {
            EXPECT_TRUE(refusal(method, {{"job_id", id}}).starts_with("invalid_argument: job_id"))
                << method << " " << dump_json(id);
        }
        EXPECT_TRUE(refusal(method, json::object()).starts_with("invalid_argument: job_id"));
        for (const char* unknown : {"x", "' OR 1=1 --", "%", "*", "\xff"})
            EXPECT_EQ(refusal(method, {{"job_id", unknown}}), "not_found: Job not found") << method;
    }
}

TEST_F(JobMethodsTest, AListSaysWhereToGoOn) {
    const json large = {{"job_type", "export"},
                        {"total_items", 1},
                        {"metadata", {{"a", std::string(180'000, 'x')}}}};
    for (int count = 0; count < 8; ++count) call("jobs.create", large);
    std::set<std::string> seen;
    json offset = 0;
    int pages = 0;
    for (; !offset.is_null() && pages < 8; ++pages) {
        const json page = call("jobs.list", {{"limit", 500}, {"offset", offset}});
        EXPECT_EQ(page["total"], 8);
        for (const json& job : page["items"]) seen.insert(job["job_id"].get<std::string>());
        offset = page["next"];
    }
    EXPECT_EQ(seen.size(), 8U);
    EXPECT_EQ(pages, 2);
    EXPECT_EQ(call("jobs.list", {{"limit", 2}, {"offset", 1}})["next"], 3);
    EXPECT_TRUE(call("jobs.list", {{"offset", 9}})["next"].is_null());
    std::set<std::string> again;
    json params = {{"limit", 3}};
    for (pages = 0; pages < 8; ++pages) {
        const json page = call("jobs.list", params);
        for (const json& job : page["items"]) again.insert(job["job_id"].get<std::string>());
        if (page["next"].is_null()) break;
        EXPECT_EQ(page["next"], page["items"].back()["job_id"]);
        params["after"] = page["next"];
        clock_.advance(std::chrono::milliseconds(1));
        call("jobs.create", large);  // A job that comes meanwhile moves no page.
    }
    EXPECT_EQ(again, seen);
    EXPECT_TRUE(call("jobs.events", {{"job_id", *seen.begin()}})["next"].is_null());
    EXPECT_TRUE(call("jobs.notices", json::object())["next"].is_null());
}

TEST_F(JobMethodsTest, AnotherOrganizationsJobIsNotThere) {
    const json id = {{"job_id", submit("umbrella")}};
    for (const char* method : {"jobs.get", "jobs.status", "jobs.cancel", "jobs.retry", "jobs.hold",
                               "jobs.release", "jobs.events", "jobs.report_progress"})
        EXPECT_EQ(refusal(method, id), "not_found: Job not found") << method;
    EXPECT_EQ(call("jobs.status", id, "umbrella")["status"], "pending");
    EXPECT_EQ(call("jobs.list", json::object())["total"], 0);
}

TEST_F(JobMethodsTest, AnOperatorWithoutAnOrganizationSeesAll) {
    submit("acme");
    const std::string id = submit("umbrella");
    model::Principal every_organization{"operator", "", {}, true};
    const JobMethodDeps deps{jobs_->reader(), jobs_->requests(), exports_};
    EXPECT_EQ((*begin_of(message::MethodId::kListJobs)(deps, every_organization, json::object(),
                                                       "")())["total"],
              2);
    EXPECT_TRUE(
        begin_of(message::MethodId::kGetJob)(deps, every_organization, {{"job_id", id}}, "")());
    // The same without being an operator: no organization has no name.
    EXPECT_EQ(call("jobs.list", json::object(), "")["total"], 0);
}

TEST_F(JobMethodsTest, AReportMovesAnExternalJob) {
    const std::string id = create();
    const json job = call("jobs.report_progress",
                          {{"job_id", id}, {"mark_started", true}, {"processed_items", 1}});
    EXPECT_EQ(job["status"], "in_progress");
    EXPECT_EQ(job["processed_items"], 1);
    EXPECT_TRUE(refusal("jobs.report_progress",
                        {{"job_id", id}, {"mark_completed", true}, {"mark_failed", "x"}})
                    .starts_with("invalid_argument: mark_completed and mark_failed"));
    EXPECT_TRUE(refusal("jobs.report_progress", {{"job_id", id}, {"x", 1}})
                    .starts_with("invalid_argument: x: unknown field"));
    call("jobs.report_progress", {{"job_id", id}, {"mark_completed", true}});
    EXPECT_TRUE(refusal("jobs.report_progress", {{"job_id", id}, {"mark_started", true}})
                    .starts_with("conflict: "));
}

TEST_F(JobMethodsTest, AReportCannotMoveTheDaemonsJob) {
    EXPECT_TRUE(refusal("jobs.report_progress", {{"job_id", submit()}, {"mark_completed", true}})
                    .starts_with("conflict: "));
}

TEST_F(JobMethodsTest, AJobIsHeldReleasedCancelledAndRetried) {
    const json id = {{"job_id", submit()}};
    EXPECT_EQ(call("jobs.hold", id)["held"], true);
    EXPECT_EQ(call("jobs.release", id)["held"], false);
    EXPECT_TRUE(refusal("jobs.retry", id).starts_with("conflict: "));
    EXPECT_EQ(call("jobs.cancel", id)["status"], "cancelled");
    EXPECT_TRUE(refusal("jobs.cancel", id).starts_with("conflict: "));
    EXPECT_TRUE(refusal("jobs.hold", id).starts_with("conflict: "));
    EXPECT_EQ(call("jobs.retry", id)["status"], "pending");
    EXPECT_EQ(wakes_, 5);  // One for the submission and one for each change.
}

TEST_F(JobMethodsTest, EventsComeAfterTheLastOneSeen) {
    const std::string id = submit();
    call("jobs.hold", {{"job_id", id}});
    const json all = call("jobs.events", {{"job_id", id}})["items"];
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0]["kind"], "submitted");
    EXPECT_EQ(all[0]["actor"], "key-acme");
    EXPECT_EQ(call("jobs.events", {{"job_id", id}, {"after", 1}})["items"][0]["kind"], "held");
    EXPECT_EQ(call("jobs.events", {{"job_id", id}, {"after", INT64_MAX}})["items"], json::array());
    EXPECT_TRUE(refusal("jobs.events", {{"job_id", id}, {"after", -1}})
                    .starts_with("invalid_argument: after"));
}

TEST_F(JobMethodsTest, NoticesAreTheOrganizationsOwn) {
    call("jobs.cancel", {{"job_id", submit("umbrella")}}, "umbrella");
    EXPECT_EQ(call("jobs.notices", json::object())["items"], json::array());
    const json items = call("jobs.notices", json::object(), "umbrella")["items"];
    ASSERT_EQ(items.size(), 1U);
    EXPECT_EQ(items[0]["type"], "job.cancelled");
    EXPECT_EQ(call("jobs.notices", {{"after", items[0]["sequence"]}}, "umbrella")["items"],
              json::array());
    EXPECT_TRUE(refusal("jobs.notices", {{"after", "1"}}).starts_with("invalid_argument: after"));
}

TEST_F(JobMethodsTest, ListsArePaged) {
    for (int count = 0; count < 3; ++count) create();
    const json page = call("jobs.list", {{"limit", 2}, {"offset", 1}});
    EXPECT_EQ(page["items"].size(), 2U);
    EXPECT_EQ(page["total"], 3);
    EXPECT_EQ(page["limit"], 2);
    EXPECT_EQ(page["offset"], 1);
    EXPECT_EQ(call("jobs.list", {{"offset", limits::kJobListOffsetMax}})["items"], json::array());
    EXPECT_TRUE(refusal("jobs.list", {{"offset", limits::kJobListOffsetMax + 1}})
                    .starts_with("invalid_argument: offset"));
    EXPECT_EQ(call("jobs.list", {{"job_type", "' OR 1=1 --"}})["total"], 0);
    EXPECT_TRUE(refusal("jobs.list", {{"limit", 501}}).starts_with("invalid_argument: limit"));
}

TEST_F(JobMethodsTest, TemplatesAreKeptPerOrganization) {
    const json put = {{"name", "mine"}, {"template", {{"format", "jsonl"}}}};
    EXPECT_EQ(call("templates.put", put)["template"]["format"], "jsonl");
    EXPECT_EQ(call("templates.list", json::object())["items"][0]["name"], "mine");
    EXPECT_EQ(call("templates.list", json::object(), "umbrella")["items"], json::array());
    const json name = {{"name", "mine"}};
    EXPECT_TRUE(refusal("templates.get", name, "umbrella").starts_with("not_found: "));
    EXPECT_TRUE(refusal("templates.drop", name, "umbrella").starts_with("not_found: "));
    EXPECT_EQ(call("templates.drop", name)["dropped"], true);
    EXPECT_TRUE(refusal("templates.get", name).starts_with("not_found: "));
}

TEST_F(JobMethodsTest, ATemplateIsAtMostAQuarterMebibyte) {
    json columns = json::array();
    while (columns.size() < 1'000) columns.push_back(std::string(200, 'c'));  // 203,000 bytes.
    EXPECT_EQ(call("templates.put", {{"name", "n"}, {"template", {{"columns", columns}}}})["name"],
              "n");
    while (columns.size() < 1'400) columns.push_back(std::string(200, 'c'));
    const json large = {{"columns", columns}};
    EXPECT_EQ(refusal("templates.put", {{"name", "n"}, {"template", large}}),
              "invalid_argument: template: expected at most 262144 bytes of JSON, found " +
                  std::to_string(large.dump().size()));
    EXPECT_EQ(refusal("templates.put", {{"name", ""}, {"template", {{"format", "csv"}}}}),
              "invalid_argument: name: expected 1 to 128 bytes without control characters, found "
              "''");
    EXPECT_EQ(refusal("templates.put", {{"name", "n"}, {"template", json::array()}}),
              "invalid_argument: template: expected an object with at least one field, found a "
              "list");
}

TEST_F(JobMethodsTest, TemplatesRefuseWrongValues) {
    for (const json& name : std::initializer_list<json>{nullptr, 5, "", "a\nb", "\xff",
                                                        std::string(129, 'n'), json::array()}) {
        EXPECT_TRUE(refusal("templates.put", {{"name", name}, {"template", json::object()}})
                        .starts_with("invalid_argument: name"))
            << dump_json(name);
        EXPECT_TRUE(refusal("templates.get", {{"name", name}}).starts_with("not_found: "));
    }
    for (const json& body : std::initializer_list<json>{
             nullptr, 5, "x", json::array(), {{"format", "pdf"}}, {{"x", 1}}}) {
        EXPECT_TRUE(refusal("templates.put", {{"name", "n"}, {"template", body}})
                        .starts_with("invalid_argument: "))
            << dump_json(body);
    }
    EXPECT_EQ(call("templates.list", json::object())["items"], json::array());
}

}  // namespace
}  // namespace export_worker::server
