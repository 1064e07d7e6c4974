#include "daemon/server/job_json.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/crypto/uuid.hpp"
#include "base/json.hpp"
#include "base/json_fields.hpp"
#include "base/shared_limits.hpp"
#include "base/text.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/model/limits.hpp"
#include "daemon/server/limits.hpp"

namespace export_worker::server {
namespace {

using model::Job;
using model::JobEntry;
using nlohmann::json;

json time_or_null(const std::optional<std::int64_t>& at_us) {
    return at_us ? json(to_iso8601(*at_us)) : json();
}
json text_or_null(const std::string& text) {
    return text.empty() ? json() : json(text);
}

json to_json(const JobEntry& entry) {
    json out = {{"entity_key", entry.entity_key},       {"entity_type", entry.entity_type},
                {"error_type", entry.error_type},       {"message", entry.message},
                {"timestamp", to_iso8601(entry.at_us)}, {"details", json::object()},
                {"step", text_or_null(entry.step)}};
    if (!entry.details_json.empty()) out["details"] = parse_json(entry.details_json);
    return out;
}

std::size_t text_bytes_of(const JobEntry& entry) {
    return entry.entity_key.size() + entry.entity_type.size() + entry.error_type.size() +
           entry.message.size() + entry.details_json.size() + entry.step.size();
}

json first_entries(const std::vector<JobEntry>& entries) {
    json out = json::array();
    std::size_t bytes = 0;
    for (const JobEntry& entry : entries) {
        bytes += text_bytes_of(entry);
        if (out.size() == limits::kJobEntriesShownMax || bytes > limits::kJobEntriesShownBytesMax)
            break;
        out.push_back(to_json(entry));
    }
    return out;
}

double percentage(const Job& job) {
    if (job.status == model::JobStatus::kCompleted ||
        job.status == model::JobStatus::kCompletedWithWarnings)
        return 100.0;
    if (job.total_items <= 0) return 0.0;
    const double share = static_cast<double>(job.processed_items + job.failed_items) /
                         static_cast<double>(job.total_items);
    return std::min(100.0, 100.0 * share);
}

double success_rate(const Job& job) {
    const std::int64_t seen = job.processed_items + job.failed_items;
    return seen <= 0 ? 0.0
                     : 100.0 * static_cast<double>(job.processed_items) / static_cast<double>(seen);
}

constexpr IntegerBounds kCount{0, std::int64_t{1} << 53};
constexpr IntegerBounds kSeconds{1, limits::kJobTimesMax.count()};

// An object as text; empty when it is absent.
Result<std::string> object_text(JsonFields& fields, const char* name, std::size_t bytes_max) {
    EW_TRY(const json* const value, fields.object(name));
    if (value == nullptr) return std::string();
    std::string out = dump_json(*value);
    if (out.size() > bytes_max)
        return invalid_argument(fields.full_name(name) + ": expected at most " +
                                std::to_string(bytes_max) + " bytes of JSON, found " +
                                std::to_string(out.size()));
    return out;
}

Result<std::optional<std::chrono::seconds>> seconds_of(JsonFields& fields, const char* name) {
    EW_TRY(const std::optional<std::int64_t> count, fields.optional_integer(name, kSeconds));
    return count ? std::optional(std::chrono::seconds(*count)) : std::nullopt;
}

Result<std::optional<JobEntry>> read_entry(JsonFields& fields, const char* name) {
    EW_TRY(const json* const value, fields.object(name));
    if (value == nullptr) return std::nullopt;
    JsonFields inner(*value, std::string(name) + ".");
    JobEntry entry;
    EW_TRY(entry.entity_key, inner.text("entity_key", {1, limits::kProductKeyBytesMax}));
    EW_TRY(entry.entity_type, inner.text_or("entity_type", entry.entity_type, {0, 64}));
    EW_TRY(entry.error_type, inner.text("error_type", {1, 128}));
    EW_TRY(entry.message, inner.text("message", {1, limits::kJobTextBytesMax}));
    EW_TRY(entry.step, inner.text_or("step", entry.step, {0, 128}));
    EW_TRY(entry.details_json, object_text(inner, "details", limits::kJobEntryBytesMax));
    EW_CHECK(inner.refuse_unknown());
    return entry;
}

}  // namespace

json to_json(const Job& job) {
    const auto end_us = job.completed_us;
    const json duration = job.started_us && end_us
                              ? json(static_cast<double>(*end_us - *job.started_us) / 1e6)
                              : json();
    return {{"job_id", job.job_id},
            {"job_type", job.job_type},
            {"status", model::to_string(job.status)},
            {"total_items", job.total_items},
            {"processed_items", job.processed_items},
            {"failed_items", job.failed_items},
            {"warned_items", job.warned_items},
            {"progress_percentage", percentage(job)},
            {"success_rate", success_rate(job)},
            {"created_at", to_iso8601(job.created_us)},
            {"started_at", time_or_null(job.started_us)},
            {"completed_at", time_or_null(job.completed_us)},
            {"duration_seconds", duration},
            {"stage", text_or_null(job.stage)},
            {"message", text_or_null(job.message)},
            {"error_message", text_or_null(job.error_message)},
            {"errors", first_entries(job.errors)},
            {"warnings", first_entries(job.warnings)},
            {"cancel_requested", job.cancel_requested},
            {"priority", model::to_string(job.priority)},
            {"attempt", job.attempt},
            {"max_attempts", job.attempts_max},
            {"held", job.held},
            {"total_is_estimate", job.total_is_estimate},
            {"expired_at", time_or_null(job.expired_us)},
            {"start_at", time_or_null(job.start_us)},
            {"deadline_at", time_or_null(job.deadline_us)},
            {"silence_limit_s", job.silence_us ? json(*job.silence_us / 1'000'000) : json()},
            {"waiting_because",
             job.waiting_because ? json(model::to_string(*job.waiting_because)) : json()},
            {"metadata", parse_json(job.metadata_json)},
            {"triggered_by", text_or_null(job.triggered_by)},
            {"trace_id", text_or_null(job.trace_id)}};
}

json to_status_json(const Job& job) {
    return {{"job_id", job.job_id},
            {"status", model::to_string(job.status)},
            {"total_items", job.total_items},
            {"processed_items", job.processed_items},
            {"failed_items", job.failed_items},
            {"progress_percentage", percentage(job)},
            {"stage", text_or_null(job.stage)},
            {"message", text_or_null(job.message)},
            {"error_message", text_or_null(job.error_message)}};
}

Result<jobs::NewJob> parse_new_job(const json& body) {
    EW_CHECK(check_object(body, "body"));
    jobs::NewJob job;
    job.runner = model::JobRunner::kExternal;
    JsonFields fields(body);
    EW_TRY(job.job_type, fields.text("job_type", {1, 64, false}));
    EW_TRY(job.total_items, fields.integer("total_items", kCount));
    EW_TRY(const std::string metadata,
           object_text(fields, "metadata", limits::kJobMetadataBytesMax));
    if (!metadata.empty()) job.metadata_json = metadata;
    EW_TRY(job.triggered_by, fields.text_or("triggered_by", "", {0, 256}));
    EW_TRY(job.deadline, seconds_of(fields, "deadline_s"));
    EW_TRY(job.silence_limit, seconds_of(fields, "silence_limit_s"));
    EW_TRY(const std::optional<std::string> key,
           fields.optional_text("idempotency_key", {1, limits::kIdempotencyKeyBytesMax, false}));
    EW_CHECK(fields.refuse_unknown());
    if (key && !is_idempotency_key(*key))
        return invalid_argument("idempotency_key: expected UTF-8, found other bytes");
    job.idempotency_key = key.value_or("");
    job.request_sha256 = jobs::hash_of_request(body);
    return job;
}

nlohmann::json to_json(const model::JobEvent& event) {
    return {{"number", event.number},
            {"at", to_iso8601(event.at_us)},
            {"kind", event.kind},
            {"actor", text_or_null(event.actor)},
            {"detail", text_or_null(event.detail)},
            {"count", event.count},
            {"trace_id", text_or_null(event.trace_id)}};
}

Result<std::int64_t> parse_after(const json& params) {
    EW_TRY(const std::optional<std::int64_t> after,
           JsonFields(params).optional_integer("after", {0, INT64_MAX}));
    return after.value_or(0);
}

Result<jobs::ProgressReport> parse_report(const json& body) {
    EW_CHECK(check_object(body, "body"));
    jobs::ProgressReport report;
    JsonFields fields(body);
    EW_TRY(report.mark_started, fields.boolean_or("mark_started", false));
    EW_TRY(report.mark_completed, fields.boolean_or("mark_completed", false));
    EW_TRY(report.mark_failed, fields.optional_text("mark_failed", {1, limits::kJobTextBytesMax}));
    EW_TRY(report.processed_items, fields.optional_integer("processed_items", kCount));
    EW_TRY(report.total_items, fields.optional_integer("total_items", kCount));
    EW_TRY(report.stage, fields.optional_text("stage", {0, limits::kJobTextBytesMax}));
    EW_TRY(report.message, fields.optional_text("message", {0, limits::kJobTextBytesMax}));
    EW_TRY(report.metadata_patch_json,
           object_text(fields, "metadata_patch", limits::kJobMetadataBytesMax));
    EW_TRY(report.error, read_entry(fields, "error"));
    EW_TRY(report.warning, read_entry(fields, "warning"));
    EW_TRY(report.report_id,
           fields.text_or("report_id", "", {1, limits::kIdempotencyKeyBytesMax, false}));
    EW_CHECK(fields.refuse_unknown());
    if (!report.report_id.empty() && !is_idempotency_key(report.report_id))
        return invalid_argument("report_id: expected UTF-8, found other bytes");
    return report;
}

Result<jobs::JobFilter> parse_filter(const json& params) {
    jobs::JobFilter filter;
    JsonFields fields(params);
    EW_TRY(const std::string status, fields.text_or("status", "", {0, 64}));
    EW_TRY(filter.job_type, fields.text_or("job_type", "", {0, 64}));
    EW_TRY(const std::optional<std::int64_t> limit,
           fields.optional_integer("limit", {1, limits::kJobListLimitMax}));
    EW_TRY(const std::optional<std::int64_t> offset,
           fields.optional_integer("offset", {0, INT64_MAX}));
    EW_TRY(filter.after, fields.text_or("after", "", {0, limits::kJobIdBytesMax}));
    EW_CHECK(fields.refuse_unknown());
    if (!filter.after.empty() && !crypto::is_uuid(filter.after))
        return invalid_argument("after: expected the id of a job, as `next` has it, found '" +
                                printable(filter.after) + "'");
    if (offset > limits::kJobListOffsetMax)
        return invalid_argument(
            "offset: expected 0 to " + std::to_string(limits::kJobListOffsetMax) + ", found " +
            std::to_string(*offset) + "; go on with after and the id of the last job instead");
    if (offset && !filter.after.empty())
        return invalid_argument("offset: expected no offset with after; give one of them");
    filter.limit = limit ? static_cast<std::size_t>(*limit) : limits::kJobListLimitDefault;
    filter.offset = static_cast<std::size_t>(offset.value_or(0));
    if (status.empty()) return filter;
    filter.status = model::parse_job_status(status);
    if (!filter.status)
        return invalid_argument("status: expected a job status, found '" + printable(status) + "'");
    return filter;
}

}  // namespace export_worker::server
