#include "daemon/app/check_plugin.hpp"

#include <stdlib.h>

#include <cstdio>
#include <filesystem>
#include <optional>

#include "base/clock.hpp"
#include "daemon/app/plugin_settings.hpp"
#include "daemon/auth/authenticator.hpp"
#include "daemon/auth/key_store.hpp"
#include "daemon/credentials/credential_store.hpp"
#include "daemon/jobs/sqlite_job_store.hpp"
#include "daemon/plugin_host/generation.hpp"

namespace export_worker::app {
namespace {

using plugin_host::Generation;

// A directory of our own that goes away with everything in it.
class ScratchDirectory {
public:
    ScratchDirectory() {
        std::string name =
            (std::filesystem::temp_directory_path() / "export-worker-check-XXXXXX").string();
        if (::mkdtemp(name.data()) != nullptr) path_ = name;
    }
    ScratchDirectory(const ScratchDirectory&) = delete;
    ScratchDirectory& operator=(const ScratchDirectory&) = delete;
    ~ScratchDirectory() {
        std::error_code ignored;
        if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
    }
    [[nodiscard]] const std::string& path() const { return path_; }

private:
    std::string path_;
};

void step(const char* name, const std::string& what) {
    std::printf("%-11s ok  %s\n", name, what.c_str());
}

Result<void> run_instance(Generation::Setup setup, const std::string& config_path,
                          const std::string& directory) {
    EW_TRY(const config::Config config, config::read_config(config_path));
    EW_TRY(const auto credentials, credentials::CredentialStore::load(config.stores));
    EW_TRY(const auto keys, auth::KeyStore::open(directory + "/auth.db", system_clock()));
    EW_TRY(const auto jobs, jobs::open_sqlite_job_store(directory + "/jobs.db", system_clock()));
    const auth::Authenticator authenticator(*keys);
    setup.parts = {&system_clock(), &authenticator, jobs.get(), &credentials};
    config::PluginConfig plugin;
    plugin.name = setup.manifest.name;
    for (const config::PluginConfig& each : config.plugins) {
        if (each.name == plugin.name) plugin = each;
    }
    setup.config = plugin_settings(plugin, config.stores);
    EW_TRY(const std::unique_ptr<Generation> generation, Generation::load(std::move(setup)));
    std::string methods;
    for (const auto& method : generation->methods())
        methods += (methods.empty() ? "" : ", ") + method.name;
    step("creating", "answers " + methods);
    step("self_test", "passed");
    return {};
}

Result<void> check(const std::string& file, const std::string& config_path) {
    const ScratchDirectory scratch;
    if (scratch.path().empty())
        return fail(ErrorCode::kFailedPrecondition, "no temporary directory could be made");
    Generation::Setup setup;
    EW_TRY(setup.file,
           plugin_host::stage(std::filesystem::absolute(file).string(), scratch.path(), 1));
    step("staging", "sha256 " + setup.file.sha256);
    EW_TRY(setup.manifest, plugin_host::inspect(setup.file.bytes));
    step("inspection", setup.manifest.name + " " + setup.manifest.version + ", ABI " +
                           std::to_string(setup.manifest.abi_major) + "." +
                           std::to_string(setup.manifest.abi_minor) + ", build-id " +
                           setup.manifest.build_id);
    setup.number = 1;
    setup.reason = EW_CREATE_PROBE;
    if (!config_path.empty()) return run_instance(std::move(setup), config_path, scratch.path());
    EW_TRY(const auto generation, Generation::load_without_instance(std::move(setup)));
    step("loading", "the descriptor agrees with the note");
    std::printf("%-11s --  not run: add --config FILE to try create, describe and self_test\n",
                "creating");
    return {};
}

}  // namespace

int check_plugin(const std::string& file, const std::string& config_path) {
    const auto checked = check(file, config_path);
    if (!checked) {
        std::printf("REFUSED: %s\n", checked.error().message.c_str());
        return 1;
    }
    std::printf("ACCEPTED\n");
    return 0;
}

}  // namespace export_worker::app
