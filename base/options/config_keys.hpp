// Every key of the configuration in one table: which program uses it, and whether SIGHUP is enough
// to change it. scripts/config_keys makes docs/configuration_keys.md from it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/options/config_file.hpp"
#include "base/result.hpp"

namespace export_worker::options {

enum class Change {
    kUnused,          // The program does not use it.
    kLive,            // A SIGHUP takes it over.
    kLiveButExports,  // The same; for the store of [export], all of it takes a restart.
    kRestart,         // Takes a restart.
};

struct ConfigKey {
    std::string_view section;  // "store" stands for [store.NAME].
    std::string_view name;     // "*": any other, for the plugin.
    Change daemon;
    Change shim;
    std::string_view kinds = {};  // Stores that have it, separated by blanks; empty: all.
};

[[nodiscard]] std::span<const ConfigKey> config_keys();

// Reads `kind` of a [store.NAME]: local, s3, gcs, azure or cloudfront. Empty: it is missing or
// unknown. The section's finish() says so, and nothing of its other keys, which are taken: what
// they mean depends on the kind.
[[nodiscard]] std::string read_store_kind(Section& section);

// Every program refuses the same sections and keys, whichever of them it uses. Errors:
// kInvalidArgument, a section or key that is not in the table, with the closest one that is; those
// that `file` collects are no errors.
[[nodiscard]] Result<void> check_known_keys(const ConfigFile& file);

enum class Program { kDaemon, kShim };

// The name of the store that exports go to; empty: this daemon runs none.
[[nodiscard]] std::string export_store_of(const ConfigValues& values);
// Whether [store.`store`] has another place. Then exports would go on to the old one while links
// lead to the new one, so a running program leaves the whole section as it was.
[[nodiscard]] bool has_moved(const ConfigValues& running, const ConfigValues& read,
                             std::string_view store);

// The keys that differ between the configuration a program runs with and the one it has just read,
// and that it cannot take over: "[http] listen". `export_store`: the store of [export]; empty:
// none.
[[nodiscard]] std::vector<std::string> waiting_for_restart(Program program,
                                                           const ConfigValues& running,
                                                           const ConfigValues& read,
                                                           std::string_view export_store);

}  // namespace export_worker::options
