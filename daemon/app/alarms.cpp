#include "daemon/app/alarms.hpp"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <set>

#include "base/clock.hpp"
#include "base/descriptor_use.hpp"
#include "base/disk_space.hpp"
#include "daemon/app/limits.hpp"

namespace export_worker::app {
namespace {

using model::Alarm;

// Nothing when `cause` is empty.
void add(std::vector<Alarm>& out, std::string name, std::string subject, std::string cause,
         std::string remedy) {
    if (cause.empty()) return;
    out.push_back({std::move(name), std::move(subject), std::move(cause), std::move(remedy), 0});
}

std::string mib(std::uint64_t bytes) {
    return std::to_string(bytes / (1024 * 1024)) + " MiB";
}

// Once a file system, by the first of its directories.
void add_disks(const std::vector<std::string>& directories, std::vector<Alarm>& out) {
    std::set<unsigned long> seen;
    for (const std::string& directory : directories) {
        const auto disk = read_disk_space(directory);
        if (!disk || !seen.insert(disk->file_system).second) continue;
        add(out, "disk", directory, disk->problem(),
            disk->has_inodes() ? "make room; jobs wait and are tried again, links go on"
                               : "delete files that are not needed");
    }
}

// Before they run out: then nothing is accepted, an operator's connection neither.
void add_descriptors(std::vector<Alarm>& out) {
    const auto use = read_descriptor_use();
    if (!use || use->open < use->limit - use->limit / 10) return;
    add(out, "descriptors", "",
        std::to_string(use->open) + " of " + std::to_string(use->limit) +
            " are open; at the limit no connection is accepted and no plugin is probed",
        "raise the limit of open files (LimitNOFILE of the unit), or end clients that hold "
        "connections");
}

void add_databases(const MonitoredDeps& deps, std::vector<Alarm>& out) {
    for (const Problem& problem : {deps.jobs.problem(), deps.catalog.problem(), deps.auth.problem(),
                                   deps.plugins.history().problem()}) {
        add(out, "database", problem.cause.substr(0, problem.cause.find(':')), problem.cause,
            problem.remedy);
    }
}

void add_cluster(const MonitoredDeps& deps, std::vector<Alarm>& out) {
    if (deps.cluster == nullptr) return;
    for (const cluster::ClusterProblem& problem : deps.cluster->problems())
        add(out, "cluster", problem.subject, problem.cause, problem.remedy);
    const auto differing = deps.cluster->differing_files();
    if (!differing) return;  // The lease says why.
    for (const std::string& name : *differing)
        add(out, "cluster", name, "the daemons of this database do not have it alike",
            "give each the same file (exportctl cluster status shows the hashes with --json), then "
            "restart those that had another one");
}

// It is emptied before it gets so large, unless a backup is under way.
void add_logs(const std::string& state_dir, std::vector<Alarm>& out) {
    for (const char* name : {"jobs.db", "catalog.db", "auth.db", "plugins.db"}) {
        std::error_code error;
        const auto bytes = std::filesystem::file_size(state_dir + "/" + name + "-wal", error);
        if (error || bytes < limits::kLogAlarmBytes) continue;
        add(out, "database_log", name,
            "its write-ahead log has " + mib(bytes) + ", expected less than " +
                mib(limits::kLogAlarmBytes),
            "wait for the end of a backup, or end programs other than the daemon that have the "
            "file open; the log is emptied once nothing reads it");
    }
}

void add_credentials(const MonitoredDeps& deps, std::vector<Alarm>& out) {
    for (const credentials::CredentialState& state : deps.credential_states()) {
        std::string cause = state.error;
        if (!state.usable)
            cause = "links cannot be signed" + (cause.empty() ? "" : ": " + cause);
        else if (!cause.empty() && state.expires_unix_us != 0)
            cause += "; those in use end at " + to_iso8601(state.expires_unix_us);
        add(out, "store_credentials", state.store, cause,
            "look at credentials = " + state.source + " of [store." + state.store + "]");
    }
}

void add_identity(const MonitoredDeps& deps, std::vector<Alarm>& out) {
    add(out, "session_keys", "", deps.sessions.keys_problem(),
        "sessions signed with newer keys are refused until it can be read again");
    add(out, "session_provider", "", deps.sessions.provider_problem(),
        "sessions it has not vouched for lately are refused; API keys go on");
}

void add_work(const MonitoredDeps& deps, std::vector<Alarm>& out) {
    if (deps.export_workers != nullptr)
        add(out, "exports", "", deps.export_workers->problem(),
            "look at the store of [export] and at the disk under state_dir; jobs that are pending "
            "are tried again by themselves, failed ones with exportctl job retry");
    if (deps.files != nullptr)
        add(out, "store", deps.export_store, deps.files->problem(),
            "until then exports wait, and neither fsck nor the sweep says or deletes anything");
    const auto pause = deps.jobs.retention().retention_pause();
    if (!pause)
        add(out, "database", "jobs", pause.error().message, "look at the disk under state_dir");
    if (pause && *pause)
        add(out, "retention", "",
            "retention is paused: the clock says " + to_iso8601((*pause)->now_us) +
                ", and the daemon last ran at " + to_iso8601((*pause)->last_run_us),
            "set the clock if it is wrong, otherwise exportctl retention resume");
    for (const auto& [organization_id, answer] : deps.notifier.failing())
        add(out, "webhook", organization_id, "it does not take notices, last answer: " + answer,
            "each is sent 15 times within 14 hours; inform the operator of the receiver");
}

void add_backlog(const MonitoredDeps& deps, std::vector<Alarm>& out) {
    add(out, "retention_backlog", "registry", deps.housekeeper.problem(),
        "exportctl prune shows how it goes; look at the disk under state_dir, or let "
        "file_retention_s and job_retention_s be longer");
    if (deps.sweeper != nullptr)
        add(out, "retention_backlog", "files", deps.sweeper->problem(),
            "look at the store of [export]; no link to these files is made any more");
}

void add_plugins(const MonitoredDeps& deps, std::vector<Alarm>& out) {
    for (Alarm& alarm : deps.plugins.alarms()) out.push_back(std::move(alarm));
    for (const server::StuckRequests& stuck : deps.data_server.stuck_requests())
        out.push_back(to_alarm(stuck));
}

}  // namespace

std::vector<Alarm> collect_alarms(const MonitoredDeps& deps) {
    std::vector<Alarm> out;
    add_disks(deps.directories, out);
    add_descriptors(out);
    add_databases(deps, out);
    add_cluster(deps, out);
    add_logs(deps.state_dir, out);
    add_credentials(deps, out);
    add_identity(deps, out);
    add_work(deps, out);
    add_backlog(deps, out);
    add_plugins(deps, out);
    add(out, "configuration", "", deps.refused_configuration(),
        "correct it and send SIGHUP again; until then the one before is in use");
    return out;
}

}  // namespace export_worker::app
