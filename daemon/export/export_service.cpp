#include "daemon/export/export_service.hpp"

#include "base/fault_point.hpp"
#include "base/json.hpp"
#include "base/json_fields.hpp"
#include "base/log.hpp"
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

// The fields about the job and not about its file.
Result<void> read_job_fields(JsonFields& fields, jobs::NewJob& job) {
    EW_TRY(job.priority, fields.word_or("priority", model::kJobPriorities, job.priority));
    EW_TRY(job.start_unix_us, fields.optional_time_us("start_at"));
    EW_TRY(const std::optional<std::int64_t> seconds,
           fields.optional_integer("deadline_s", {1, limits::kJobTimesMax.count()}));
    if (seconds) job.deadline = std::chrono::seconds(*seconds);
    EW_TRY(const std::optional<std::int64_t> attempts,
           fields.optional_integer("max_attempts", {1, limits::kJobAttemptsMax}));
    if (attempts) job.attempts_max = static_cast<int>(*attempts);
    EW_TRY(job.idempotency_key,
           fields.text_or("idempotency_key", "", {1, limits::kIdempotencyKeyBytesMax, false}));
    if (!job.idempotency_key.empty() && !is_idempotency_key(job.idempotency_key))
        return fail(ErrorCode::kInvalidArgument,
                    "idempotency_key: expected UTF-8, found other bytes");
    return {};
}

// Takes the fields about the job out of `request`.
Result<void> take_job_fields(json& request, jobs::NewJob& job) {
    if (!request.is_object()) return {};
    JsonFields fields(request, "", JsonFields::Null::kRefused);
    EW_CHECK(read_job_fields(fields, job));
    if (!job.idempotency_key.empty()) job.request_sha256 = jobs::hash_of_request(request);
    for (const std::string_view name : fields.names()) request.erase(std::string(name));
    return {};
}

}  // namespace

Result<json> ExportService::with_template(std::string_view organization_id, json request) {
    EW_TRY(const std::optional<std::string> name,
           JsonFields(request, "", JsonFields::Null::kRefused).optional_text("template"));
    if (!name) return request;
    if (!is_template_name(*name))
        return fail(ErrorCode::kInvalidArgument,
                    "template: expected the name of a template, found '" + printable(*name) + "'");
    const auto found = templates_.find(organization_id, *name);
    if (!found && found.error().code == ErrorCode::kNotFound)
        return fail(ErrorCode::kInvalidArgument, "template: there is none named '" +
                                                     printable(*name) +
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
        return fail(ErrorCode::kInvalidArgument,
                    "name: expected 1 to " + std::to_string(limits::kTemplateNameBytesMax) +
                        " bytes without control characters, found '" + printable(name) + "'");
    EW_CHECK(model::check_export_template(body));
    const std::string text = dump_json(body);
    if (text.size() > limits::kExportTemplateBytesMax)
        return fail(ErrorCode::kInvalidArgument,
                    "template: expected at most " +
                        std::to_string(limits::kExportTemplateBytesMax) + " bytes of JSON, found " +
                        std::to_string(text.size()));
    return templates_.put(organization_id, {std::string(name), text, 0});
}

Result<jobs::Pending<ExportService::Accepted>> ExportService::begin_submit(
    std::string_view organization_id, const json& request, const Submitter& by) {
    if (!wake_workers_)
        return fail(ErrorCode::kConflict,
                    "this daemon runs no exports ([export] workers = 0); ask one that does");
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
    job.submitted_by = by.subject;
    job.trace_id = by.trace_id;
    EW_TRY(auto created, requests_.begin_create(std::move(job)));
    return [this, wait = std::move(created)]() -> Result<Accepted> {
        EW_TRY(jobs::CreatedJob done, wait());
        const LogScope scope("", done.job.trace_id);
        if (!done.existed) log_info("job {}: submitted", done.job.job_id);
        fault_point("submit.created");
        wake_workers_();
        const std::int64_t total = done.job.total_items;
        return Accepted{std::move(done.job), total, done.existed};
    };
}

}  // namespace export_worker::exports
