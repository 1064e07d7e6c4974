#include "daemon/export/export_service.hpp"

#include "base/clock.hpp"
#include "base/fault_point.hpp"
#include "base/json.hpp"
#include "base/shared_limits.hpp"
#include "base/text.hpp"
#include "daemon/export/limits.hpp"
#include "daemon/format/columns.hpp"
#include "daemon/model/export_spec.hpp"
#include "daemon/model/limits.hpp"

namespace export_worker::exports {
namespace {

using nlohmann::json;

bool is_template_name(std::string_view name) {
    return !name.empty() && name.size() <= limits::kTemplateNameBytesMax && is_valid_utf8(name) &&
           !has_control_characters(name);
}

tl::unexpected<Error> refuse(const char* field, const std::string& expected) {
    return fail(ErrorCode::kInvalidArgument, std::string(field) + ": expected " + expected);
}

Result<std::int64_t> whole_number(const json& value, const char* field, std::int64_t max) {
    if (!value.is_number_integer() || value < 1 || value > max)
        return refuse(field, "a whole number from 1 to " + std::to_string(max));
    return value.get<std::int64_t>();
}

// The fields about the job and not about its file. True: `name` was one of them.
Result<bool> read_job_field(const std::string& name, const json& value, jobs::NewJob& job) {
    if (name == "priority") {
        const auto priority =
            value.is_string() ? model::parse_job_priority(value.get<std::string>()) : std::nullopt;
        if (!priority) return refuse("priority", "low, normal or high");
        job.priority = *priority;
    } else if (name == "start_at") {
        const auto seconds = value.is_string() ? parse_iso8601_seconds(value.get<std::string>())
                                               : Result<std::int64_t>(refuse("start_at", "text"));
        if (!seconds) return refuse("start_at", "YYYY-MM-DDThh:mm:ssZ");
        job.start_unix_us = *seconds * 1'000'000;
    } else if (name == "deadline_s") {
        EW_TRY(const std::int64_t seconds,
               whole_number(value, "deadline_s", limits::kJobTimesMax.count()));
        job.deadline = std::chrono::seconds(seconds);
    } else if (name == "max_attempts") {
        EW_TRY(const std::int64_t attempts,
               whole_number(value, "max_attempts", limits::kJobAttemptsMax));
        job.attempts_max = static_cast<int>(attempts);
    } else if (name == "idempotency_key") {
        if (!value.is_string() || !is_idempotency_key(value.get_ref<const std::string&>()))
            return refuse("idempotency_key", "1 to " +
                                                 std::to_string(limits::kIdempotencyKeyBytesMax) +
                                                 " bytes without control characters");
        job.idempotency_key = value.get<std::string>();
    } else {
        return false;
    }
    return true;
}

// Takes the fields about the job out of `request`.
Result<void> take_job_fields(json& request, jobs::NewJob& job) {
    if (!request.is_object()) return {};
    if (request.contains("idempotency_key")) job.request_sha256 = jobs::hash_of_request(request);
    for (auto field = request.begin(); field != request.end();) {
        EW_TRY(const bool taken, read_job_field(field.key(), field.value(), job));
        field = taken ? request.erase(field) : std::next(field);
    }
    return {};
}

}  // namespace

Result<json> ExportService::with_template(std::string_view organization_id, json request) {
    if (!request.is_object() || !request.contains("template")) return request;
    const json name = request["template"];
    if (!name.is_string() || !is_template_name(name.get_ref<const std::string&>()))
        return fail(ErrorCode::kInvalidArgument, "template: expected the name of a template");
    const auto found = catalog_.find_template(organization_id, name.get_ref<const std::string&>());
    if (!found && found.error().code == ErrorCode::kNotFound)
        return fail(ErrorCode::kInvalidArgument, "template: there is none named '" +
                                                     printable(name.get<std::string>()) +
                                                     "'; templates.list shows what there is");
    if (!found) return fail(found.error());
    json merged = parse_json(found->body_json);
    request.erase("template");
    merged.update(request);
    return merged;
}

Result<void> ExportService::put_template(std::string_view organization_id, std::string_view name,
                                         const json& body) {
    if (!is_template_name(name))
        return fail(ErrorCode::kInvalidArgument, "name: expected 1 to " +
                                                     std::to_string(limits::kTemplateNameBytesMax) +
                                                     " bytes without control characters");
    EW_CHECK(model::check_export_template(body));
    const std::string text = dump_json(body);
    if (text.size() > limits::kExportTemplateBytesMax)
        return fail(ErrorCode::kInvalidArgument,
                    "template: expected at most " +
                        std::to_string(limits::kExportTemplateBytesMax) + " bytes of JSON");
    return catalog_.put_template(organization_id, {std::string(name), text, 0});
}

Result<jobs::Pending<ExportService::Accepted>> ExportService::begin_submit(
    std::string_view organization_id, const json& request, std::string_view triggered_by) {
    jobs::NewJob job;
    if (deadline_.count() > 0) job.deadline = deadline_;
    json asked = request;
    EW_CHECK(take_job_fields(asked, job));
    EW_TRY(const json merged, with_template(organization_id, std::move(asked)));
    EW_TRY(const model::ExportSpec spec, model::parse_export_spec(merged));
    if (!spec.columns.empty()) {
        EW_TRY(const std::vector<std::string> paths, catalog_.property_paths(organization_id));
        EW_CHECK(format::resolve_columns(spec, paths));
    }
    EW_TRY(job.total_items, catalog_.count(organization_id));
    if (!spec.product_keys.empty())
        job.total_items = static_cast<std::int64_t>(spec.product_keys.size());
    job.total_is_estimate = !spec.filter.empty();
    job.organization_id = organization_id;
    job.job_type = model::kExportJobType;
    job.spec_json = dump_json(model::to_json(spec));
    job.triggered_by = triggered_by;
    EW_TRY(auto created, jobs_.begin_create(std::move(job)));
    return [this, wait = std::move(created)]() -> Result<Accepted> {
        EW_TRY(jobs::CreatedJob done, wait());
        fault_point("submit.created");
        wake_workers_();
        const std::int64_t total = done.job.total_items;
        return Accepted{std::move(done.job), total, done.existed};
    };
}

}  // namespace export_worker::exports
