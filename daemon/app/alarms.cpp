#include "daemon/app/alarms.hpp"

#include <sys/statvfs.h>

#include <algorithm>
#include <cstdint>
#include <set>

#include "base/clock.hpp"
#include "base/descriptor_use.hpp"
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
        struct statvfs disk {};
        if (::statvfs(directory.c_str(), &disk) != 0 || !seen.insert(disk.f_fsid).second) continue;
        const std::uint64_t free_bytes = std::uint64_t{disk.f_bavail} * disk.f_frsize;
        const std::uint64_t wanted =
            std::min(limits::kDiskFreeBytesMin, std::uint64_t{disk.f_blocks} * disk.f_frsize / 20);
        if (free_bytes < wanted)
            add(out, "disk", directory, mib(free_bytes) + " are free, expected " + mib(wanted),
                "make room; jobs wait and are tried again, links go on");
        if (disk.f_files > 0 && disk.f_favail == 0)
            add(out, "disk", directory, "no inode is free", "delete files that are not needed");
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

void add_databases(const MonitoredParts& parts, std::vector<Alarm>& out) {
    for (const std::string& problem :
         {parts.jobs.problem(), parts.catalog.problem(), parts.auth_database.problem(),
          parts.plugins.history().problem()}) {
        add(out, "database", problem.substr(0, problem.find(':')), problem,
            "look at the disk under state_dir; the next write that succeeds ends this alarm");
    }
}

void add_credentials(const MonitoredParts& parts, std::vector<Alarm>& out) {
    for (const credentials::CredentialState& state : parts.credential_states()) {
        std::string cause = state.error;
        if (!state.usable)
            cause = "links cannot be signed" + (cause.empty() ? "" : ": " + cause);
        else if (!cause.empty() && state.expires_unix_us != 0)
            cause += "; those in use end at " + to_iso8601(state.expires_unix_us);
        add(out, "store_credentials", state.store, cause,
            "look at credentials = " + state.source + " of [store." + state.store + "]");
    }
}

void add_identity(const MonitoredParts& parts, std::vector<Alarm>& out) {
    add(out, "session_keys", "", parts.sessions.keys_problem(),
        "sessions signed with newer keys are refused until it can be read again");
    add(out, "session_provider", "", parts.sessions.provider_problem(),
        "sessions it has not vouched for lately are refused; API keys go on");
}

void add_work(const MonitoredParts& parts, std::vector<Alarm>& out) {
    if (parts.export_workers != nullptr)
        add(out, "exports", "", parts.export_workers->problem(),
            "look at the store of [export] and at the disk under state_dir; jobs are tried again "
            "by themselves");
    const auto pause = parts.jobs.retention_pause();
    if (!pause)
        add(out, "database", "jobs", pause.error().message, "look at the disk under state_dir");
    if (pause && *pause)
        add(out, "retention", "",
            "retention is paused: the clock says " + to_iso8601((*pause)->found_us) +
                ", and the daemon last ran at " + to_iso8601((*pause)->last_run_us),
            "set the clock if it is wrong, otherwise exportctl retention resume");
    for (const auto& [organization_id, answer] : parts.notifier.failing())
        add(out, "webhook", organization_id, "it does not take notices, last answer: " + answer,
            "they are sent again for about a day; inform the operator of the receiver");
}

// "plugin NAME: what; what to do", or "plugin NAME generation 3: what". The last part says what to
// do.
void add_plugin_text(std::vector<Alarm>& out, const char* name, const std::string& text) {
    constexpr std::string_view kBegin = "plugin ";
    const std::size_t colon = text.find(": ");
    const bool named = text.starts_with(kBegin) && colon != std::string::npos;
    const std::string subject =
        named ? text.substr(kBegin.size(), colon - kBegin.size()) : std::string();
    std::string cause = named ? text.substr(colon + 2) : text;
    std::string remedy = "exportctl plugin history tells what happened; load a better file";
    if (const std::size_t last = cause.rfind("; "); last != std::string::npos) {
        remedy = cause.substr(last + 2);
        cause.erase(last);
    }
    add(out, name, subject, std::move(cause), std::move(remedy));
}

void add_plugins(const MonitoredParts& parts, std::vector<Alarm>& out) {
    for (const std::string& text : parts.plugins.alarms()) add_plugin_text(out, "plugin", text);
    for (const server::StuckRequests& stuck : parts.data_server.stuck_requests())
        add_plugin_text(out, "plugin_stuck", to_alarm(stuck));
}

}  // namespace

std::vector<Alarm> collect_alarms(const MonitoredParts& parts) {
    std::vector<Alarm> out;
    add_disks(parts.directories, out);
    add_descriptors(out);
    add_databases(parts, out);
    add_credentials(parts, out);
    add_identity(parts, out);
    add_work(parts, out);
    add_plugins(parts, out);
    add(out, "configuration", "", parts.refused_configuration(),
        "correct it and send SIGHUP again; until then the one before is in use");
    return out;
}

}  // namespace export_worker::app
