// `export-workerd --restore DIRECTORY`: puts a backup in place of the databases and plugin files of
// a daemon that does not run, then compares jobs and files as fsck does.
//
// The state directory's lock is held meanwhile, so a daemon that starts then refuses. What a crash
// leaves: restore_state.hpp.
#pragma once

#include <string>

namespace export_worker::app {

struct RestoreCommand {
    std::string config_path;
    std::string backup;  // The directory.
    bool force = false;  // What the state directory has is moved aside, never deleted.
    bool hashes = true;  // fsck reads the exported files.
    bool as_json = false;
};

// Run by root, it becomes the user and group of the state directory once the backup is open. Prints
// what it did, or on stderr an error. Returns the exit status: 0 done, 1 refused, 65 done and fsck
// has found problems, 78 the configuration cannot be used.
[[nodiscard]] int run_restore(const RestoreCommand& command, const std::string& version);

}  // namespace export_worker::app
