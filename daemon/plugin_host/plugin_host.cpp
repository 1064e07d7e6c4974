#include "daemon/plugin_host/plugin_host.hpp"

#include <spdlog/spdlog.h>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "daemon/plugin_host/refusal.hpp"

namespace export_worker::plugin_host {

Result<std::unique_ptr<PluginHost>> PluginHost::open(const std::string& staging_directory,
                                                     const HostParts& parts) {
    EW_CHECK(prepare_staging(staging_directory));
    return std::unique_ptr<PluginHost>(new PluginHost(staging_directory, parts));
}

PluginHost::PluginHost(std::string staging_directory, const HostParts& parts)
    : staging_directory_(std::move(staging_directory)), parts_(parts) {
    snapshots_.push_back(std::make_unique<const Routes>());
    routes_.store(snapshots_.back().get());
}

Result<PluginStatus> PluginHost::load(const std::string& name, const std::string& file,
                                      const std::map<std::string, std::string>& config) {
    const std::lock_guard lock(load_mutex_);
    const std::uint64_t number = loaded_.size() + 1;
    if (number > limits::kPluginGenerationsMax) {
        return fail(ErrorCode::kResourceExhausted,
                    "plugins: this process has loaded its limit of images; restart the daemon");
    }
    Generation::Setup setup;
    EW_TRY(setup.file, stage(file, staging_directory_, number));
    EW_TRY(setup.manifest, inspect(setup.file.bytes));
    if (!name.empty() && setup.manifest.name != name) {
        return refuse({"inspection", "the plugin " + name,
                       "one that calls itself " + setup.manifest.name,
                       "correct the section name or the file"});
    }
    for (const Loaded& other : loaded_) {
        if (other.generation->manifest().name == setup.manifest.name) {
            return fail(ErrorCode::kConflict, "plugin " + setup.manifest.name +
                                                  ": already loaded as generation " +
                                                  std::to_string(other.generation->number()) +
                                                  "; restart the daemon to replace it");
        }
    }
    setup.file.bytes.clear();
    setup.number = number;
    setup.config = config;
    setup.parts = parts_;
    EW_TRY(std::unique_ptr<Generation> generation, Generation::load(std::move(setup)));

    auto routes = std::make_unique<Routes>(*snapshots_.back());
    for (const PluginMethod& method : generation->methods()) {
        if (!routes->emplace(method.name, generation.get()).second) {
            return fail(ErrorCode::kConflict, "plugin " + generation->manifest().name +
                                                  ": another plugin already answers " +
                                                  method.name);
        }
    }
    loaded_.push_back({std::move(generation), file});
    snapshots_.push_back(std::move(routes));
    routes_.store(snapshots_.back().get(), std::memory_order_release);
    const PluginStatus status = status_of(loaded_.back());
    spdlog::info("plugin {} {} loaded: generation {}, build-id {}", status.name, status.version,
                 status.generation, status.build_id);
    return status;
}

Generation* PluginHost::find(std::string_view method) const {
    const Routes& routes = *routes_.load(std::memory_order_acquire);
    const auto found = routes.find(method);
    return found == routes.end() ? nullptr : found->second;
}

PluginStatus PluginHost::status_of(const Loaded& loaded) {
    const Generation& generation = *loaded.generation;
    return {generation.manifest().name, generation.manifest().version,
            generation.number(),        generation.manifest().build_id,
            generation.sha256(),        loaded.file,
            generation.methods(),       generation.handled(),
            generation.faults(),        generation.services().counters()};
}

std::vector<PluginStatus> PluginHost::list() const {
    const std::lock_guard lock(load_mutex_);
    std::vector<PluginStatus> out;
    for (const Loaded& loaded : loaded_) out.push_back(status_of(loaded));
    return out;
}

}  // namespace export_worker::plugin_host
