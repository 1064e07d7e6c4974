// Accepting an export: everything that can be refused is refused here, before a job exists.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <nlohmann/json_fwd.hpp>

#include "base/result.hpp"
#include "daemon/catalog/catalog_store.hpp"
#include "daemon/jobs/job_store.hpp"

namespace export_worker::exports {

// [any-thread]
class ExportService {
public:
    // `wake_workers` is called once per accepted job. All outlive this object.
    ExportService(jobs::JobStore& jobs, catalog::CatalogStore& catalog,
                  std::function<void()> wake_workers)
        : jobs_(jobs), catalog_(catalog), wake_workers_(std::move(wake_workers)) {}

    struct Accepted {
        model::Job job;
        std::int64_t total = 0;  // Products queued.
    };
    // Errors: kInvalidArgument, naming the field or the unknown columns.
    [[nodiscard]] Result<Accepted> submit(std::string_view organization_id,
                                          const nlohmann::json& request,
                                          std::string_view triggered_by);
    // Tells the workers that a job may be due.
    void wake() { wake_workers_(); }

private:
    jobs::JobStore& jobs_;
    catalog::CatalogStore& catalog_;
    std::function<void()> wake_workers_;
};

}  // namespace export_worker::exports
