#include "daemon/export/export_service.hpp"

#include <nlohmann/json.hpp>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "daemon/format/columns.hpp"
#include "daemon/model/export_spec.hpp"

namespace export_worker::exports {
namespace {

using nlohmann::json;

bool is_template_name(std::string_view name) {
    return !name.empty() && name.size() <= limits::kTemplateNameBytesMax && is_valid_utf8(name) &&
           !has_control_characters(name);
}

}  // namespace

Result<json> ExportService::with_template(std::string_view organization_id, const json& request) {
    if (!request.is_object() || !request.contains("template")) return request;
    const json& name = request["template"];
    if (!name.is_string() || !is_template_name(name.get_ref<const std::string&>()))
        return fail(ErrorCode::kInvalidArgument, "template: expected the name of a template");
    const auto found = catalog_.find_template(organization_id, name.get_ref<const std::string&>());
    if (!found && found.error().code == ErrorCode::kNotFound)
        return fail(ErrorCode::kInvalidArgument, "template: there is none named '" +
                                                     printable(name.get<std::string>()) +
                                                     "'; templates.list shows what there is");
    if (!found) return fail(found.error());
    json merged = json::parse(found->body_json, nullptr, false);
    for (const auto& item : request.items()) {
        if (item.key() != "template") merged[item.key()] = item.value();
    }
    return merged;
}

Result<void> ExportService::put_template(std::string_view organization_id, std::string_view name,
                                         const json& body) {
    if (!is_template_name(name))
        return fail(ErrorCode::kInvalidArgument, "name: expected 1 to " +
                                                     std::to_string(limits::kTemplateNameBytesMax) +
                                                     " bytes without control characters");
    EW_CHECK(model::check_export_template(body));
    const std::string text = body.dump();
    if (text.size() > limits::kExportTemplateBytesMax)
        return fail(ErrorCode::kInvalidArgument,
                    "template: expected at most " +
                        std::to_string(limits::kExportTemplateBytesMax) + " bytes of JSON");
    return catalog_.put_template(organization_id, {std::string(name), text, 0});
}

Result<ExportService::Accepted> ExportService::submit(std::string_view organization_id,
                                                      const json& request,
                                                      std::string_view triggered_by) {
    EW_TRY(const json merged, with_template(organization_id, request));
    EW_TRY(const model::ExportSpec spec, model::parse_export_spec(merged));
    if (!spec.columns.empty()) {
        EW_TRY(const std::vector<std::string> paths, catalog_.property_paths(organization_id));
        EW_CHECK(format::resolve_columns(spec, paths));
    }
    EW_TRY(std::int64_t total, catalog_.count(organization_id));
    if (!spec.product_keys.empty()) total = static_cast<std::int64_t>(spec.product_keys.size());

    jobs::NewJob job;
    job.organization_id = organization_id;
    job.job_type = model::kExportJobType;
    job.spec_json = model::to_json(spec).dump();
    job.total_items = total;
    job.triggered_by = triggered_by;
    EW_TRY(model::Job created, jobs_.create(job));
    wake_workers_();
    return Accepted{std::move(created), total};
}

}  // namespace export_worker::exports
