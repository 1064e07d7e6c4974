// `export-workerd --quarantine-list` and `--quarantine-lift HASH`: the quarantine of a daemon that
// does not run.
//
// The state directory's lock is held meanwhile, so a daemon that starts then refuses. A crash
// leaves the file quarantined or lifted, and nothing else.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/file_lock.hpp"
#include "base/result.hpp"
#include "daemon/plugins/lifecycle/history.hpp"

namespace export_worker::app {

struct OfflineHistory {
    FileLock lock;
    std::unique_ptr<plugins::History> history;
};

// Creates and migrates nothing but the lock file. Errors: kNotFound (no state directory, no
// plugins.db), kFailedPrecondition (a daemon runs, another user's plugins.db, another schema
// version), kDataLoss (damaged or foreign), and those of the file system.
[[nodiscard]] Result<OfflineHistory> open_offline_history(const std::string& state_dir);

struct QuarantineCommand {
    std::string state_dir;            // Empty: that of the configuration.
    std::string config_path;          // Not read when state_dir is set.
    std::optional<std::string> lift;  // The first digits of a SHA-256; nullopt: list.
    bool as_json = false;
};

// Prints the quarantined files, or the one that was lifted, on stdout, and on stderr an error or
// the audit line that a daemon would write. Returns the exit status: 0 done, 1 refused, 78 the
// configuration cannot be used.
[[nodiscard]] int run_quarantine(const QuarantineCommand& command);

}  // namespace export_worker::app
