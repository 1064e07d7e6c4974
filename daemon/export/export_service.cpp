#include "daemon/export/export_service.hpp"

#include <nlohmann/json.hpp>

#include "daemon/format/product_encoder.hpp"
#include "daemon/model/export_spec.hpp"

namespace export_worker::exports {

Result<ExportService::Accepted> ExportService::submit(std::string_view organization_id,
                                                      const nlohmann::json& request,
                                                      std::string_view triggered_by) {
    EW_TRY(const model::ExportSpec spec, model::parse_export_spec(request));
    if (!spec.columns.empty()) {
        EW_TRY(const std::vector<std::string> paths, catalog_.property_paths(organization_id));
        EW_CHECK(format::resolve_columns(spec.columns, paths));
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
