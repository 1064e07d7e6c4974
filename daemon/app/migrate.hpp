// `export-workerd --migrate STATE_DIR`: moves the databases of a daemon that does not run into the
// PostgreSQL of a configuration, takes that back, and moves exported files into its store.
//
// The state directory's lock is held meanwhile, so a daemon that starts then refuses. What a crash
// leaves: daemon/migration/move.hpp and move_files.hpp.
#pragma once

#include <string>

namespace export_worker::app {

struct MigrateCommand {
    std::string config_path;  // With [database] kind = postgres.
    std::string state_dir;    // Where the SQLite files are.
    bool undo = false;
    bool files = false;  // Then move the exported files. Not with `undo`.
    bool as_json = false;
};

// Run by root, it becomes the user and group of the state directory. Prints what it did, and on
// stderr how far it is, or an error. Returns the exit status: 0 done, 1 refused, 65 damaged data or
// files that were left, 78 the configuration cannot be used.
[[nodiscard]] int run_migrate(const MigrateCommand& command);

}  // namespace export_worker::app
