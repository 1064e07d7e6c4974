// One claimed job: catalog -> encoder -> file -> published, in that order
// (docs/life_of_an_export.md).
//
// Memory is bounded by one batch of products and one write buffer, whatever the catalog holds.
#pragma once

#include <atomic>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "daemon/catalog/catalog_store.hpp"
#include "daemon/files/local_file_store.hpp"
#include "daemon/jobs/job_store.hpp"
#include "daemon/model/export_spec.hpp"

namespace export_worker::exports {

// What a run needs; all outlive it.
struct ExportParts {
    const Clock* clock = nullptr;
    jobs::JobStore* jobs = nullptr;
    catalog::CatalogStore* catalog = nullptr;
    const files::LocalFileStore* files = nullptr;
};

// Runs `job` to its end and records that end: completed, put back, failed or cancelled. Returns
// early, with the attempt given back, once `stopping` is true. [worker-thread of export]
void run_export(const ExportParts& parts, const jobs::ClaimedJob& job,
                const std::atomic<bool>& stopping);

// At start, before any worker: jobs of the dead process become pending again, their unpublished
// files are deleted. Errors: those of the stores.
[[nodiscard]] Result<void> recover(const ExportParts& parts);

}  // namespace export_worker::exports
