#include "daemon/server/job_json.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/json.hpp"
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

tl::unexpected<Error> refuse(std::string what) {
    return fail(ErrorCode::kInvalidArgument, std::move(what));
}

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

// Reads the fields of one object; what is left over at the end is unknown.
class Fields {
public:
    // `prefix` stands in front of names in messages: "error.".
    explicit Fields(const json& object, std::string prefix = "")
        : object_(object), prefix_(std::move(prefix)) {}

    const json* take(const char* name) {
        known_.emplace_back(name);
        const auto found = object_.find(name);
        return found == object_.end() || found->is_null() ? nullptr : &*found;
    }
    Result<void> text(const char* name, std::string& target, std::size_t bytes_max,
                      bool required = false) {
        const json* value = take(name);
        if (value == nullptr)
            return required ? Result<void>(problem(name, "missing")) : Result<void>();
        if (!value->is_string()) return problem(name, "expected text");
        target = value->get<std::string>();
        if (target.size() > bytes_max || (required && target.empty()))
            return problem(name, bytes_expected(bytes_max));
        return {};
    }
    Result<void> optional_text(const char* name, std::optional<std::string>& target,
                               std::size_t bytes_max) {
        std::string out;
        const bool there = object_.contains(name) && !object_[name].is_null();
        EW_CHECK(text(name, out, bytes_max));
        if (there) target = std::move(out);
        return {};
    }
    // Absent, or 1 to `bytes_max` bytes.
    Result<void> filled_text(const char* name, std::optional<std::string>& target,
                             std::size_t bytes_max) {
        EW_CHECK(optional_text(name, target, bytes_max));
        return target && target->empty() ? Result<void>(problem(name, bytes_expected(bytes_max)))
                                         : Result<void>();
    }
    Result<void> count(const char* name, std::optional<std::int64_t>& target) {
        const json* value = take(name);
        if (value == nullptr) return {};
        if (!value->is_number_integer() || *value < 0 || *value > (std::int64_t{1} << 53)) {
            return problem(name, "expected a whole number of at least 0");
        }
        target = value->get<std::int64_t>();
        return {};
    }
    Result<void> boolean(const char* name, bool& target) {
        const json* value = take(name);
        if (value == nullptr) return {};
        if (!value->is_boolean()) return problem(name, "expected true or false");
        target = value->get<bool>();
        return {};
    }
    Result<void> object(const char* name, std::string& target, std::size_t bytes_max) {
        const json* value = take(name);
        if (value == nullptr) return {};
        if (!value->is_object()) return problem(name, "expected an object");
        target = dump_json(*value);
        if (target.size() > bytes_max) {
            return problem(name,
                           "expected at most " + std::to_string(bytes_max) + " bytes of JSON");
        }
        return {};
    }
    // After every known field was asked for.
    Result<void> finish() {
        for (const auto& item : object_.items()) {
            if (std::ranges::find(known_, item.key()) == known_.end())
                return problem(printable(item.key()), "unknown field; expected only " + known());
        }
        return {};
    }

private:
    tl::unexpected<Error> problem(std::string_view name, std::string_view what) const {
        return refuse(prefix_ + std::string(name) + ": " + std::string(what));
    }
    static std::string bytes_expected(std::size_t bytes_max) {
        return "expected 1 to " + std::to_string(bytes_max) + " bytes";
    }
    std::string known() const {
        std::string out;
        for (const std::string_view name : known_)
            out += (out.empty() ? "" : ", ") + std::string(name);
        return out;
    }

    const json& object_;
    std::string prefix_;
    std::vector<std::string_view> known_;  // Names asked for.
};

Result<void> read_entry(Fields& fields, const char* name, std::optional<JobEntry>& target) {
    const json* value = fields.take(name);
    if (value == nullptr) return {};
    if (!value->is_object()) return refuse(std::string(name) + ": expected an object");
    Fields inner(*value, std::string(name) + ".");
    JobEntry entry;
    EW_CHECK(inner.text("entity_key", entry.entity_key, limits::kProductKeyBytesMax, true));
    EW_CHECK(inner.text("entity_type", entry.entity_type, 64));
    EW_CHECK(inner.text("error_type", entry.error_type, 128, true));
    EW_CHECK(inner.text("message", entry.message, limits::kJobTextBytesMax, true));
    EW_CHECK(inner.text("step", entry.step, 128));
    EW_CHECK(inner.object("details", entry.details_json, limits::kJobEntryBytesMax));
    EW_CHECK(inner.finish());
    target = std::move(entry);
    return {};
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
            {"metadata", parse_json(job.metadata_json)},
            {"triggered_by", text_or_null(job.triggered_by)}};
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

namespace {

Result<std::optional<std::chrono::seconds>> seconds_of(const char* name,
                                                       const std::optional<std::int64_t>& value) {
    if (!value) return std::optional<std::chrono::seconds>();
    if (*value < 1 || *value > limits::kJobTimesMax.count())
        return refuse(std::string(name) + ": expected 1 to " +
                      std::to_string(limits::kJobTimesMax.count()) + " seconds");
    return std::optional(std::chrono::seconds(*value));
}

}  // namespace

Result<jobs::NewJob> parse_new_job(const json& body) {
    if (!body.is_object()) return refuse("body: expected an object");
    jobs::NewJob job;
    job.runner = model::JobRunner::kExternal;
    Fields fields(body);
    std::optional<std::int64_t> total;
    EW_CHECK(fields.text("job_type", job.job_type, 64, true));
    EW_CHECK(fields.count("total_items", total));
    if (!total) return refuse("total_items: missing");
    job.total_items = *total;
    EW_CHECK(fields.object("metadata", job.metadata_json, limits::kJobMetadataBytesMax));
    EW_CHECK(fields.text("triggered_by", job.triggered_by, 256));
    std::optional<std::int64_t> deadline_s;
    std::optional<std::int64_t> silence_s;
    EW_CHECK(fields.count("deadline_s", deadline_s));
    EW_CHECK(fields.count("silence_limit_s", silence_s));
    std::optional<std::string> key;
    EW_CHECK(fields.filled_text("idempotency_key", key, limits::kIdempotencyKeyBytesMax));
    EW_CHECK(fields.finish());
    EW_TRY(job.deadline, seconds_of("deadline_s", deadline_s));
    EW_TRY(job.silence_limit, seconds_of("silence_limit_s", silence_s));
    if (key && !is_idempotency_key(*key))
        return refuse("idempotency_key: expected no control characters");
    job.idempotency_key = std::move(key).value_or("");
    job.request_sha256 = jobs::hash_of_request(body);
    if (has_control_characters(job.job_type))
        return refuse("job_type: expected no control characters");
    return job;
}

nlohmann::json to_json(const model::JobEvent& event) {
    return {{"number", event.number},
            {"at", to_iso8601(event.at_us)},
            {"kind", event.kind},
            {"actor", text_or_null(event.actor)},
            {"detail", text_or_null(event.detail)},
            {"count", event.count}};
}

Result<std::int64_t> parse_after(const json& params) {
    const auto found = params.find("after");
    if (found == params.end() || found->is_null()) return 0;
    if (!found->is_number_integer() || *found < 0)
        return refuse("after: expected the number of the last one seen, 0 for all");
    return found->get<std::int64_t>();
}

Result<jobs::ProgressReport> parse_report(const json& body) {
    if (!body.is_object()) return refuse("body: expected an object");
    jobs::ProgressReport report;
    Fields fields(body);
    EW_CHECK(fields.boolean("mark_started", report.mark_started));
    EW_CHECK(fields.boolean("mark_completed", report.mark_completed));
    EW_CHECK(fields.filled_text("mark_failed", report.mark_failed, limits::kJobTextBytesMax));
    EW_CHECK(fields.count("processed_items", report.processed_items));
    EW_CHECK(fields.count("total_items", report.total_items));
    EW_CHECK(fields.optional_text("stage", report.stage, limits::kJobTextBytesMax));
    EW_CHECK(fields.optional_text("message", report.message, limits::kJobTextBytesMax));
    EW_CHECK(
        fields.object("metadata_patch", report.metadata_patch_json, limits::kJobMetadataBytesMax));
    EW_CHECK(read_entry(fields, "error", report.error));
    EW_CHECK(read_entry(fields, "warning", report.warning));
    EW_CHECK(fields.finish());
    return report;
}

Result<jobs::JobFilter> parse_filter(const json& params) {
    jobs::JobFilter filter;
    filter.limit = limits::kJobListLimitDefault;
    Fields fields(params);
    std::string status;
    std::optional<std::int64_t> limit;
    std::optional<std::int64_t> offset;
    EW_CHECK(fields.text("status", status, 64));
    EW_CHECK(fields.text("job_type", filter.job_type, 64));
    EW_CHECK(fields.count("limit", limit));
    EW_CHECK(fields.count("offset", offset));
    EW_CHECK(fields.finish());
    if (limit && (*limit < 1 || *limit > static_cast<std::int64_t>(limits::kJobListLimitMax))) {
        return refuse("limit: expected 1 to " + std::to_string(limits::kJobListLimitMax));
    }
    if (limit) filter.limit = static_cast<std::size_t>(*limit);
    if (offset) filter.offset = static_cast<std::size_t>(*offset);
    if (!status.empty()) {
        filter.status = model::parse_job_status(status);
        if (!filter.status)
            return refuse("status: expected a job status, found '" + printable(status) + "'");
    }
    return filter;
}

}  // namespace export_worker::server
