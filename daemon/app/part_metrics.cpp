#include "daemon/app/part_metrics.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <string>

#include "base/disk_space.hpp"
#include "daemon/app/limits.hpp"

namespace export_worker::app {
namespace {

using metrics::Kind;
using metrics::Page;

constexpr std::array<const char*, 4> kDatabases{"jobs", "catalog", "auth", "plugins"};

void add_one(Page& page, const char* name, const char* help, Kind kind, double value) {
    page.family(name, help, kind);
    page.sample({}, value);
}

double file_bytes(const std::string& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 ? static_cast<double>(status.st_size) : 0;
}

void add_disks(Page& page, const MonitoredDeps& deps) {
    page.family("export_worker_free_bytes", "Free on the file system of a directory", Kind::kGauge);
    for (const std::string& directory : deps.directories) {
        if (const auto disk = read_disk_space(directory))
            page.sample({{"directory", directory}}, static_cast<double>(disk->free_bytes));
    }
    page.family("export_worker_database_bytes", "Of a database's file, and of its log",
                Kind::kGauge);
    for (const char* name : kDatabases) {
        if (deps.cluster != nullptr && name != std::string_view("plugins")) continue;
        const std::string path = deps.state_dir + "/" + name + ".db";
        page.sample({{"database", name}, {"file", "data"}}, file_bytes(path));
        page.sample({{"database", name}, {"file", "log"}}, file_bytes(path + "-wal"));
    }
    page.family("export_worker_database_write_errors_total", "Commits that failed", Kind::kCounter);
    const std::array<std::uint64_t, kDatabases.size()> errors{
        deps.jobs.write_errors(), deps.catalog.write_errors(), deps.auth.write_errors(),
        deps.plugins.history().write_errors()};
    for (std::size_t index = 0; index < kDatabases.size(); ++index)
        page.sample({{"database", kDatabases[index]}}, static_cast<double>(errors[index]));
}

void add_exports(Page& page, const exports::ExportWorkers& workers) {
    const exports::ExportStats& stats = workers.stats();
    page.family("export_worker_export_attempts_total",
                "Attempts of exports that ended; put_back: the daemon stopped, the store was away, "
                "or the job was "
                "taken away",
                Kind::kCounter);
    for (const auto& [outcome, count] :
         {std::pair("completed", &stats.completed), std::pair("failed", &stats.failed),
          std::pair("cancelled", &stats.cancelled), std::pair("put_back", &stats.put_back)})
        page.sample({{"outcome", outcome}}, static_cast<double>(count->load()));
    add_one(page, "export_worker_export_seconds_total", "Time that attempts of exports took",
            Kind::kCounter, static_cast<double>(stats.busy_us.load()) / 1e6);
    page.family("export_worker_export_attempts_failed_total",
                "The failed attempts by the code of their error; stalled: taken from a worker that "
                "made no progress, and counted as put_back when its attempt ends",
                Kind::kCounter);
    for (std::size_t index = 0; index < kErrorCodes; ++index) {
        const auto code = static_cast<ErrorCode>(index);
        if (code == ErrorCode::kConflict || code == ErrorCode::kCancelled) continue;
        page.sample({{"reason", std::string(to_string(code))}},
                    static_cast<double>(stats.failed_by.at(index).load()));
    }
    page.sample({{"reason", "stalled"}}, static_cast<double>(stats.stalled.load()));
    page.family("export_worker_export_attempt_seconds", "How long attempts of exports took",
                Kind::kHistogram);
    page.sample({}, stats.seconds);
    add_one(page, "export_worker_export_workers", "Workers that run exports", Kind::kGauge,
            static_cast<double>(workers.workers()));
    add_one(page, "export_worker_export_workers_busy", "Workers that run an export now",
            Kind::kGauge, static_cast<double>(stats.running.load()));
}

// Nothing when the registry cannot be read; the alarm `database` says so.
void add_waiting(Page& page, jobs::JobReader& jobs) {
    page.family(
        "export_worker_jobs_waiting",
        "Jobs that wait, of the organizations with the longest queues; (other): of the rest",
        Kind::kGauge);
    const auto waiting = jobs.waiting(limits::kQueuesShownMax);
    if (!waiting) return;
    for (const jobs::WaitingJobs::Queue& queue : waiting->longest)
        page.sample({{"organization", queue.organization_id}}, static_cast<double>(queue.pending));
    // Parentheses: no organization is called that.
    page.sample({{"organization", "(other)"}}, static_cast<double>(waiting->others));
}

void add_retention(Page& page, const MonitoredDeps& deps) {
    page.family("export_worker_retention_lag_seconds",
                "For how long the oldest file should be gone already; left out where files are "
                "kept for ever",
                Kind::kGauge);
    const std::chrono::seconds retention = deps.housekeeper.retention().file_age;
    if (retention.count() == 0) return;
    const auto age = deps.jobs.files().oldest_file_age();
    if (!age) return;
    const auto late = age->value_or(std::chrono::microseconds(0)) - retention;
    page.sample({}, std::max(0.0, std::chrono::duration<double>(late).count()));
}

template <typename Counts>
void add_by_kind(Page& page, const char* name, const char* help, Kind kind, const Counts& counts) {
    page.family(name, help, kind);
    for (const auto& [label, count] : counts)
        page.sample({{"kind", label}}, static_cast<double>(count->load()));
}

void add_housekeeping(Page& page, const MonitoredDeps& deps) {
    const jobs::HousekeepingStats& stats = deps.housekeeper.stats();
    add_by_kind(page, "export_worker_retention_backlog",
                "What is too old and still there, of each kind at most 100000; 0 while retention "
                "keeps up",
                Kind::kGauge,
                std::array{std::pair("files", &stats.files_due), std::pair("jobs", &stats.jobs_due),
                           std::pair("notices", &stats.notices_due)});
    add_by_kind(
        page, "export_worker_retention_removed_total",
        "Files that expired, jobs and notices that were forgotten, because of their age",
        Kind::kCounter,
        std::array{std::pair("files", &stats.files_expired), std::pair("jobs", &stats.jobs_pruned),
                   std::pair("notices", &stats.notices_pruned)});
    if (deps.sweeper == nullptr) return;
    const exports::SweepStats& swept = deps.sweeper->stats();
    add_by_kind(page, "export_worker_files_deleted_total",
                "Files deleted from the store: withdrawn ones (expired, too) once their links had "
                "ended, unpublished ones, and orphans",
                Kind::kCounter,
                std::array{std::pair("withdrawn", &swept.withdrawn),
                           std::pair("unpublished", &swept.unpublished),
                           std::pair("orphan", &swept.orphans)});
}

void add_ends(Page& page, const notices::EndStats& ends) {
    page.family("export_worker_jobs_ended_total",
                "Jobs that ended, by how; on each daemon those of all that share its database",
                Kind::kCounter);
    for (std::size_t index = 0; index < model::kJobStatuses; ++index) {
        const auto status = static_cast<model::JobStatus>(index);
        if (model::is_final(status))
            page.sample({{"outcome", std::string(model::to_string(status))}},
                        static_cast<double>(ends.jobs.at(index).load()));
    }
    add_one(page, "export_worker_files_withdrawn_total",
            "Published files that went: expired, or found missing or damaged by fsck",
            Kind::kCounter, static_cast<double>(ends.files_withdrawn.load()));
}

void add_identity(Page& page, const MonitoredDeps& deps) {
    const auth::RefusalCounts& refused = deps.authenticator.refused();
    page.family("export_worker_credentials_refused_total", "Requests refused before any work",
                Kind::kCounter);
    for (const auto& [reason, count] :
         {std::pair("missing", &refused.missing), std::pair("invalid", &refused.invalid),
          std::pair("organization", &refused.organization),
          std::pair("unavailable", &refused.unavailable),
          std::pair("rate_limited", &refused.rate_limited)})
        page.sample({{"reason", reason}}, static_cast<double>(count->load()));
    page.family("export_worker_session_keys_fetched_timestamp_seconds",
                "When the set of session keys was last seen to be current, in seconds since 1970; "
                "left out without such sessions",
                Kind::kGauge);
    if (const std::int64_t at_us = deps.sessions.keys_seen_us(); at_us != 0)
        page.sample({}, static_cast<double>(at_us) / 1e6);
}

void add_notices(Page& page, const notices::Notifier& notifier) {
    const notices::DeliveryStats& stats = notifier.stats();
    page.family("export_worker_webhook_attempts_total", "Notices sent to webhooks, by answer",
                Kind::kCounter);
    for (const auto& [outcome, count] :
         {std::pair("taken", &stats.taken), std::pair("retry", &stats.retry),
          std::pair("given_up", &stats.given_up)})
        page.sample({{"outcome", outcome}}, static_cast<double>(count->load()));
}

void add_cluster(Page& page, const cluster::Membership& cluster) {
    add_one(page, "export_worker_cluster_lease_good",
            "1: the daemons of this database take this one for alive", Kind::kGauge,
            cluster.is_current() ? 1 : 0);
    add_one(page, "export_worker_cluster_leads",
            "1: this daemon does the work that one of all does", Kind::kGauge,
            cluster.is_leader() ? 1 : 0);
    add_one(page, "export_worker_cluster_clock_offset_seconds",
            "This daemon's clock minus the database's", Kind::kGauge,
            std::chrono::duration<double>(cluster.clock_offset()).count());
}

}  // namespace

void add_part_metrics(Page& page, const MonitoredDeps& deps) {
    add_disks(page, deps);
    if (deps.export_workers != nullptr) add_exports(page, *deps.export_workers);
    add_identity(page, deps);
    add_notices(page, deps.notifier);
    add_waiting(page, deps.jobs.reader());
    add_retention(page, deps);
    add_housekeeping(page, deps);
    add_ends(page, deps.notifier.ends());
    if (deps.cluster != nullptr) add_cluster(page, *deps.cluster);
    add_one(page, "export_worker_configuration_good",
            "1: the configuration in use is the one that was read last", Kind::kGauge,
            deps.refused_configuration().empty() ? 1 : 0);
    add_one(page, "export_worker_configured_timestamp_seconds",
            "When the configuration in use was taken over, in seconds since 1970", Kind::kGauge,
            static_cast<double>(deps.configured_us()) / 1e6);
}

}  // namespace export_worker::app
