#include "daemon/server/job_json.hpp"

#include <gtest/gtest.h>

#include "base/json.hpp"
#include "base/shared_limits.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/server/limits.hpp"

namespace export_worker::server {
namespace {

using nlohmann::json;
using Values = std::initializer_list<json>;

// The field that `parse` complains about when `name` has this value; empty: it does not.
template <typename Parse>
std::string complaint(Parse parse, json body, const char* name, const json& value) {
    body[name] = value;
    const auto parsed = parse(body);
    if (parsed) return "";
    EXPECT_EQ(parsed.error().code, ErrorCode::kInvalidArgument);
    return parsed.error().message;
}

template <typename Parse>
void refuses(Parse parse, const json& body, const char* name, Values values) {
    for (const json& value : values) {
        EXPECT_TRUE(complaint(parse, body, name, value).starts_with(std::string(name) + ": "))
            << name << " " << dump_json(value) << ": " << complaint(parse, body, name, value);
    }
}

const json kNewJob = {{"job_type", "export"}, {"total_items", 3}};

TEST(NewJob, ReadsEveryField) {
    json body = kNewJob;
    body.update({{"metadata", {{"a", 1}}},
                 {"triggered_by", "ann"},
                 {"deadline_s", 60},
                 {"silence_limit_s", 5},
                 {"idempotency_key", "k"}});
    const auto job = parse_new_job(body);
    ASSERT_TRUE(job) << job.error().message;
    EXPECT_EQ(job->runner, model::JobRunner::kExternal);
    EXPECT_EQ(job->job_type, "export");
    EXPECT_EQ(job->total_items, 3);
    EXPECT_EQ(job->metadata_json, R"({"a":1})");
    EXPECT_EQ(job->triggered_by, "ann");
    EXPECT_EQ(job->deadline, std::chrono::seconds(60));
    EXPECT_EQ(job->silence_limit, std::chrono::seconds(5));
    EXPECT_EQ(job->idempotency_key, "k");
    EXPECT_EQ(job->request_sha256.size(), 64U);
}

TEST(NewJob, AnOrganizationCannotBeChosen) {
    const auto refused =
        parse_new_job({{"job_type", "x"}, {"total_items", 1}, {"organization_id", "other"}});
    EXPECT_TRUE(refused.error().message.starts_with(
        "organization_id: unknown field; expected only job_type, "));
}

TEST(NewJob, RefusesWrongValues) {
    const auto parse = [](const json& body) { return parse_new_job(body); };
    refuses(parse, kNewJob, "job_type",
            {nullptr, 5, "", std::string(65, 'x'), "a\nb", json::array({"x"})});
    refuses(
        parse, kNewJob, "total_items",
        {nullptr, -1, "3", 1.5, true, UINT64_MAX, (std::int64_t{1} << 53) + 1, json::array({1})});
    refuses(parse, kNewJob, "metadata", {5, "x", json::array(), true});
    refuses(parse, kNewJob, "metadata", {{{"a", std::string(limits::kJobMetadataBytesMax, 'x')}}});
    refuses(parse, kNewJob, "triggered_by", {5, std::string(257, 'x'), json::object()});
    refuses(parse, kNewJob, "deadline_s", {0, -1, "60", 1.5, 366 * 86'400 + 1, UINT64_MAX});
    refuses(parse, kNewJob, "silence_limit_s", {0, -1, "60", 366 * 86'400 + 1});
    refuses(parse, kNewJob, "idempotency_key", {5, "", "a\nb", "\xff", std::string(256, 'k')});
}

TEST(NewJob, RefusesUnknownFieldsAndWhatIsNoObject) {
    EXPECT_FALSE(parse_new_job({{"job_type", "x"}, {"total_items", 1}, {"totl", 2}}));
    EXPECT_FALSE(parse_new_job({{"job_type", "x"}, {"total_items", 1}, {"", 2}}));
    for (const json& body : Values{nullptr, "x", 5, json::array(), json(json::value_t::discarded)})
        EXPECT_EQ(parse_new_job(body).error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(parse_new_job(json::object()).error().message, "job_type: missing");
}

TEST(NewJob, TheKeyIsNoPartOfWhatIsAskedFor) {
    json first = kNewJob;
    first["idempotency_key"] = "one";
    json second = kNewJob;
    second["idempotency_key"] = "two";
    EXPECT_EQ(parse_new_job(first)->request_sha256, parse_new_job(second)->request_sha256);
    second["total_items"] = 4;
    EXPECT_NE(parse_new_job(first)->request_sha256, parse_new_job(second)->request_sha256);
}

TEST(Report, ReadsEveryField) {
    const json entry = {{"entity_key", "k1"},       {"error_type", "bad"}, {"message", "m"},
                        {"entity_type", "product"}, {"step", "s"},         {"details", {{"a", 1}}}};
    const auto report = parse_report({{"mark_started", true},
                                      {"mark_completed", false},
                                      {"mark_failed", "why"},
                                      {"processed_items", 1},
                                      {"total_items", 2},
                                      {"stage", ""},
                                      {"message", "m"},
                                      {"metadata_patch", {{"a", nullptr}}},
                                      {"error", entry},
                                      {"warning", entry}});
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_TRUE(report->mark_started);
    EXPECT_EQ(report->mark_failed, "why");
    EXPECT_EQ(report->processed_items, 1);
    EXPECT_EQ(report->stage, "");  // There, and empty: it is cleared.
    EXPECT_EQ(report->metadata_patch_json, R"({"a":null})");
    EXPECT_EQ(report->error->details_json, R"({"a":1})");
    EXPECT_EQ(report->warning->entity_key, "k1");
}

TEST(Report, AbsentAndNullChangeNothing) {
    for (const json& body : Values{json::object(),
                                   {{"stage", nullptr},
                                    {"mark_failed", nullptr},
                                    {"processed_items", nullptr},
                                    {"error", nullptr}}}) {
        const auto report = parse_report(body);
        ASSERT_TRUE(report) << report.error().message;
        EXPECT_FALSE(report->stage);
        EXPECT_FALSE(report->mark_failed);
        EXPECT_FALSE(report->processed_items);
        EXPECT_FALSE(report->error);
        EXPECT_TRUE(report->metadata_patch_json.empty());
    }
}

TEST(Report, RefusesWrongValues) {
    const auto parse = [](const json& body) { return parse_report(body); };
    const std::string long_text(limits::kJobTextBytesMax + 1, 'x');
    for (const char* flag : {"mark_started", "mark_completed"})
        refuses(parse, json::object(), flag, {1, "true", json::array()});
    for (const char* text : {"mark_failed", "stage", "message"})
        refuses(parse, json::object(), text, {1, true, json::array({"x"}), long_text});
    refuses(parse, json::object(), "mark_failed", {""});
    for (const char* count : {"processed_items", "total_items"})
        refuses(parse, json::object(), count, {-1, "1", 0.5, UINT64_MAX, true});
    for (const char* object : {"metadata_patch", "error", "warning"})
        refuses(parse, json::object(), object, {1, "x", json::array()});
    EXPECT_TRUE(
        parse({{"markfailed", "x"}})
            .error()
            .message.starts_with("markfailed: unknown field; expected only mark_started, "));
    EXPECT_FALSE(parse(json::array()));
}

TEST(Report, EntriesAreChecked) {
    const json entry = {{"entity_key", "k1"}, {"error_type", "bad"}, {"message", "m"}};
    const auto parse = [](const json& inner) { return parse_report({{"error", inner}}); };
    ASSERT_TRUE(parse(entry));
    const auto refuses_inner = [&](const char* name, Values values) {
        for (const json& value : values) {
            const std::string found = complaint(parse, entry, name, value);
            EXPECT_TRUE(found.starts_with("error." + std::string(name) + ": ")) << found;
        }
    };
    for (const char* field : {"entity_key", "error_type", "message"}) {
        refuses_inner(field, {nullptr, "", 5, json::array()});
        json without = entry;
        without.erase(field);
        EXPECT_EQ(parse(without).error().message, "error." + std::string(field) + ": missing");
    }
    refuses_inner("entity_key", {std::string(513, 'x')});
    refuses_inner("entity_type", {5, std::string(65, 'x')});
    refuses_inner("step", {5, std::string(129, 'x')});
    refuses_inner("details", {5, "x", json::array()});
    refuses_inner("details", {{{"a", std::string(limits::kJobEntryBytesMax, 'x')}}});
    refuses_inner("x", {1});
    EXPECT_TRUE(parse_report({{"warning", json::object()}})
                    .error()
                    .message.starts_with("warning.entity_key: missing"));
}

TEST(Filter, HasDefaultsAndBounds) {
    const auto parse = [](const json& params) { return parse_filter(params); };
    EXPECT_EQ(parse(json::object())->limit, limits::kJobListLimitDefault);
    EXPECT_EQ(parse({{"limit", 500}, {"offset", 7}})->offset, 7U);
    EXPECT_EQ(parse({{"status", "failed"}})->status, model::JobStatus::kFailed);
    refuses(parse, json::object(), "limit", {0, -1, 501, "50", 1.5, UINT64_MAX});
    refuses(parse, json::object(), "offset",
            {-1, "0", 1.5, limits::kJobListOffsetMax + 1, UINT64_MAX});
    const std::string id = "0198c0de-0000-7000-8000-00000000000a";
    EXPECT_EQ(parse({{"after", id}})->after, id);
    refuses(parse, json::object(), "after",
            {5, "zzz", "a\nb", std::string(129, 'x'), id + " ", id.substr(0, 35),
             "0198C0DE-0000-7000-8000-00000000000A", "0198c0de-0000-7000-8000_00000000000a"});
    EXPECT_FALSE(parse({{"after", id}, {"offset", 0}}));
    refuses(parse, json::object(), "status", {"done", "FAILED", 5, std::string(65, 'x'), "\xff"});
    refuses(parse, json::object(), "job_type", {5, std::string(65, 'x')});
    EXPECT_FALSE(parse({{"organization_id", "other"}}));
}

TEST(After, IsANumberOrNothing) {
    EXPECT_EQ(parse_after(json::object()), 0);
    EXPECT_EQ(parse_after({{"after", nullptr}}), 0);
    EXPECT_EQ(parse_after({{"after", 7}}), 7);
    EXPECT_EQ(parse_after({{"after", INT64_MAX}}), INT64_MAX);
    refuses([](const json& params) { return parse_after(params); }, json::object(), "after",
            {-1, "7", 1.5, true, json::array({1})});
}

// A number no event has must not begin the list anew.
TEST(After, IsNeverNegative) {
    EXPECT_FALSE(parse_after({{"after", UINT64_MAX}}));
    EXPECT_FALSE(parse_after({{"after", std::uint64_t{INT64_MAX} + 1}}));
}

TEST(JobJson, ShowsTheWholeJob) {
    model::Job job;
    job.job_id = "j";
    job.total_items = 8;
    job.processed_items = 3;
    job.failed_items = 1;
    job.created_us = 1'700'000'000'000'000;
    job.started_us = job.created_us;
    job.completed_us = job.created_us + 1'500'000;
    job.errors.push_back({"k1", "product", "bad", "m", R"({"a":1})", "", job.created_us});
    const json out = to_json(job);
    EXPECT_EQ(out["progress_percentage"], 50.0);
    EXPECT_EQ(out["success_rate"], 75.0);
    EXPECT_EQ(out["duration_seconds"], 1.5);
    EXPECT_EQ(out["created_at"], "2023-11-14T22:13:20Z");
    EXPECT_TRUE(out["stage"].is_null());
    EXPECT_EQ(out["metadata"], json::object());
    EXPECT_EQ(out["errors"][0]["details"]["a"], 1);
    EXPECT_TRUE(out["errors"][0]["step"].is_null());
    EXPECT_FALSE(out.contains("organization_id"));
    EXPECT_FALSE(out.contains("spec"));
}

TEST(JobJson, ShowsTheFirstEntries) {
    model::Job job;
    job.failed_items = 200;
    job.errors.resize(limits::kJobEntriesShownMax + 1);
    job.warnings.assign(limits::kJobEntriesShownMax, {"k", "product", "bad", "", "", "", 0});
    for (model::JobEntry& entry : job.warnings)
        entry.message.assign(limits::kJobEntriesShownBytesMax / 4, 'm');
    job.errors.front().entity_key = "first";
    const json out = to_json(job);
    EXPECT_EQ(out["errors"].size(), limits::kJobEntriesShownMax);
    EXPECT_EQ(out["errors"][0]["entity_key"], "first");
    EXPECT_EQ(out["warnings"].size(), 3U);
    EXPECT_EQ(out["failed_items"], 200);
}

TEST(JobJson, PercentagesStayInTheirRange) {
    model::Job job;
    EXPECT_EQ(to_json(job)["progress_percentage"], 0.0);
    EXPECT_EQ(to_json(job)["success_rate"], 0.0);
    job.total_items = 1;
    job.processed_items = std::int64_t{1} << 53;
    EXPECT_EQ(to_json(job)["progress_percentage"], 100.0);
    job = {};
    job.status = model::JobStatus::kCompletedWithWarnings;
    EXPECT_EQ(to_json(job)["progress_percentage"], 100.0);
}

TEST(JobJson, AStatusIsWhatAPollerNeeds) {
    model::Job job;
    job.job_id = "j";
    job.message = "\xff";
    const json out = to_status_json(job);
    EXPECT_EQ(out.size(), 9U);
    EXPECT_EQ(out["status"], "pending");
    EXPECT_TRUE(parse_json(dump_json(out)).is_object());
}

}  // namespace
}  // namespace export_worker::server
