// Plugins for tests, where a plugin host takes them from: in a directory nobody else may write.
#pragma once

#include <filesystem>
#include <string>

#include "daemon/plugins/lifecycle/plugin_host.hpp"
#include "tests/unit/support/paths.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::testing {

// Copies tests/fixtures/plugins' `name` into `dir` and returns its path.
inline std::string install_plugin(const TempDir& dir, const std::string& name) {
    std::string file = name;
    file += ".so";
    const std::string path = dir / file;
    std::filesystem::copy_file(std::filesystem::path(fixtures_directory()) / file, path,
                               std::filesystem::copy_options::overwrite_existing);
    std::filesystem::permissions(path, std::filesystem::perms(0755));
    return path;
}

inline plugins::HostOptions host_options(const TempDir& dir, const plugins::HostDeps& deps) {
    plugins::HostOptions out;
    out.state_directory = dir.path();
    out.probe_program = probe_program();
    out.deps = deps;
    out.durability = sqlite::Durability::kUnsyncedForTest;
    return out;
}

}  // namespace export_worker::testing
