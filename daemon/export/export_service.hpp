// Accepting an export: everything that can be refused is refused here, before a job exists. And the
// saved templates an export may name.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <nlohmann/json_fwd.hpp>

#include "base/result.hpp"
#include "daemon/catalog/catalog_reader.hpp"
#include "daemon/catalog/export_templates.hpp"
#include "daemon/jobs/job_requests.hpp"

namespace export_worker::exports {

// [any-thread]
class ExportService {
public:
    // `wake_workers` is called once per accepted job; null: this daemon runs none, and none is
    // accepted. All outlive this object.
    // `deadline`: of a job that does not say, from its start to its end; zero: none.
    ExportService(jobs::JobRequests& requests, catalog::CatalogReader& catalog,
                  catalog::ExportTemplates& templates, std::chrono::seconds deadline,
                  std::function<void()> wake_workers)
        : requests_(requests),
          catalog_(catalog),
          templates_(templates),
          deadline_(deadline),
          wake_workers_(std::move(wake_workers)) {}

    struct Submitter {
        std::string_view subject;   // Who authenticated.
        std::string_view trace_id;  // Of the request, 32 hex digits; empty: it has none.
    };
    struct Accepted {
        model::Job job;
        std::int64_t total = 0;  // Products queued; with a filter, at most.
        bool existed = false;    // The idempotency key found this job.
    };
    // The fields of model::parse_export_spec(); `template`: what that has, except where the request
    // says otherwise; and those about the job: priority (low, normal, high), start_at, deadline_s,
    // max_attempts, idempotency_key. The job keeps what came of it; a template changed later
    // changes no job. Errors: kInvalidArgument, naming the field or the unknown columns; kConflict:
    // the idempotency key belongs to another request, or this daemon runs no exports.
    [[nodiscard]] Result<jobs::Pending<Accepted>> begin_submit(std::string_view organization_id,
                                                               const nlohmann::json& request,
                                                               const Submitter& by);
    [[nodiscard]] Result<Accepted> submit(std::string_view organization_id,
                                          const nlohmann::json& request,
                                          std::string_view submitted_by) {
        EW_TRY(const auto accepted, begin_submit(organization_id, request, {submitted_by, ""}));
        return accepted();
    }
    // Adds or replaces. Errors: kInvalidArgument, naming the field; kConflict: too many.
    [[nodiscard]] Result<void> put_template(std::string_view organization_id, std::string_view name,
                                            const nlohmann::json& body);
    // kNotFound when there is none of that name.
    [[nodiscard]] Result<catalog::ExportTemplate> find_template(std::string_view organization_id,
                                                                std::string_view name) {
        return templates_.find(organization_id, name);
    }
    [[nodiscard]] Result<std::vector<catalog::ExportTemplate>> templates(
        std::string_view organization_id) {
        return templates_.list(organization_id);
    }
    [[nodiscard]] Result<void> drop_template(std::string_view organization_id,
                                             std::string_view name) {
        return templates_.drop(organization_id, name);
    }
    // Tells the workers that a job may be due.
    void wake() {
        if (wake_workers_) wake_workers_();
    }

private:
    [[nodiscard]] Result<nlohmann::json> with_template(std::string_view organization_id,
                                                       nlohmann::json request);

    jobs::JobRequests& requests_;
    catalog::CatalogReader& catalog_;
    catalog::ExportTemplates& templates_;
    const std::chrono::seconds deadline_;
    std::function<void()> wake_workers_;
};

}  // namespace export_worker::exports
