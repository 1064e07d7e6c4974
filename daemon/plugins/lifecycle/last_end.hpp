// What the end of the process before says about its plugins.
//
// A call outside handle() in which the daemon died twice in a row quarantines the file. Once is not
// enough: an operator's kill -9 or a power cut can fall into any call. A file that dies only when
// it ends stays if no other committed one is left. A file in whose probes the daemon died twice in
// a row is not quarantined, but only an operator's reload probes it again. Crashes inside handle()
// and on threads of a plugin's own are known from crash_record.hpp; two within kPluginCrashWindow
// quarantine the file if there is a committed one to go back to, and calls of other files that were
// under way meanwhile count for nothing. Each death that counts is an entry "crashed" of the
// history.
#pragma once

#include <map>
#include <set>
#include <string>

#include "base/result.hpp"
#include "daemon/plugins/lifecycle/history.hpp"
#include "daemon/plugins/staging/artifact_store.hpp"

namespace export_worker::plugins {

struct LastEnd {
    // Hashes of the files in which the process before ended. Empty: unknown, or in none.
    std::set<std::string> died_in;
    std::map<std::string, std::string> notices;  // By plugin; for alarms.
    std::string history_lost;                    // For an alarm; empty: plugins.db is as it was.
};

// Counts, logs and quarantines. Once per process, before any plugin is loaded. `crashes_path` is
// what CrashRecorder wrote. Errors: those of the history and of the file system.
[[nodiscard]] Result<LastEnd> judge_last_end(History& history, const ArtifactStore& artifacts,
                                             const std::string& crashes_path);

// Committed files of the plugin that can be loaded, the newest first: kept, not quarantined, not
// `but_sha256`.
[[nodiscard]] Result<std::vector<std::string>> usable_committed(History& history,
                                                                const ArtifactStore& artifacts,
                                                                const std::string& plugin,
                                                                const std::string& but_sha256);

}  // namespace export_worker::plugins
