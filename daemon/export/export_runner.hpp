// One claimed job: catalog -> encoder -> file -> published, in that order
// (docs/life_of_an_export.md).
//
// Memory is bounded by one batch of products and one write buffer, whatever the catalog holds.
#pragma once

#include <atomic>
#include <chrono>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "daemon/catalog/catalog_reader.hpp"
#include "daemon/files/file_store.hpp"
#include "daemon/jobs/job_store.hpp"
#include "daemon/jobs/standing.hpp"
#include "daemon/model/export_spec.hpp"
#include "daemon/model/limits.hpp"

namespace export_worker::exports {

// When an attempt is given up, and when the next one begins.
struct RunPolicy {
    std::chrono::milliseconds retry_base = limits::kJobRetryBaseDefault;
    std::chrono::seconds retry_max = limits::kJobRetryMaxDefault;
    std::chrono::seconds attempt_limit = limits::kJobAttemptLimitDefault;
};

// What a run needs; all outlive it.
struct ExportDeps {
    const Clock* clock = nullptr;
    jobs::JobStore* jobs = nullptr;
    catalog::CatalogReader* catalog = nullptr;
    files::FileStore* files = nullptr;
    std::string temporary_directory;  // Workbooks while they are written; emptied by recover().
    std::string version;              // Of this program, for the manifest.
    RunPolicy policy;
    jobs::Standing standing = {};
};

// A run as the thread that watches it sees it.
struct RunWatch {
    explicit RunWatch(const std::atomic<bool>& stop) : stopping(stop) {}
    const std::atomic<bool>& stopping;        // The process stops.
    std::atomic<SteadyTime> progressed_at{};  // The last sign of progress.
    // Why the last run ended: the store was away, or this daemon counted for dead. Then its attempt
    // does not count. Of the thread that runs.
    bool was_hindered = false;
};

// Runs `job` to its end and records that end: completed, put back, failed or cancelled. Returns
// early, with the attempt given back, once `watch.stopping` is true; it is given back, too, when
// the store is away afterwards (FileStore::problem()), or this daemon no longer counts (Standing).
// Errors: why the attempt did not complete; it
// is recorded already. [worker-thread of export]
[[nodiscard]] Result<void> run_export(const ExportDeps& deps, const jobs::ClaimedJob& job,
                                      RunWatch& watch);

// Before the next attempt: full jitter between retry_base and retry_max (base/backoff.hpp).
[[nodiscard]] std::chrono::microseconds retry_delay(const RunPolicy& policy, int attempt);

// At start, before any worker: jobs of the dead process become pending again, and their unpublished
// files are deleted. Those in a remote store, and what cannot be deleted now, are left to
// drop_unpublished(): a start does not wait for a store. Errors: those of the registry.
[[nodiscard]] Result<void> recover(const ExportDeps& deps);

// The part of it that needs no store. Errors: those of the registry.
[[nodiscard]] Result<void> rescue_jobs(jobs::JobQueue& jobs);

// Deletes the files of attempts that have ended without publishing them; how many. Errors: the
// first of registry or store, after which the rest is left for the next time. [worker-thread of
// export]
[[nodiscard]] Result<std::size_t> drop_unpublished(const ExportDeps& deps);

// Deletes withdrawn files whose links have ended, at most kHousekeepingBatch. `deleted`: how many,
// also with an error. Ends early once `stopping`. Errors: the first of registry or store; a file
// that cannot be deleted keeps none of the others. [worker-thread of export]
[[nodiscard]] Result<void> drop_withdrawn(const ExportDeps& deps, const std::atomic<bool>& stopping,
                                          std::size_t& deleted);

struct Swept {
    std::size_t unpublished = 0;  // Files of attempts that ended without publishing them.
    std::size_t orphans = 0;      // Files no job points to.
    std::size_t kept = 0;         // The rest: published, too young, or not of this registry.
};
// Deletes what attempts have left in the store: at once what the registry knows to be unpublished;
// after `grace` a file that is named like one of a known job and was never published. A file of a
// job this registry does not know is left alone: another daemon may share the place. `out` says
// what was deleted, also before an error. Errors: those of registry and store; kUnavailable once
// `stopping`. [worker-thread of export]
[[nodiscard]] Result<void> sweep(const ExportDeps& deps, std::chrono::seconds grace,
                                 const std::atomic<bool>& stopping, Swept& out);

}  // namespace export_worker::exports
