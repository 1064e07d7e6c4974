#include "daemon/plugins/lifecycle/plugin_host.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "base/fault_point.hpp"
#include "base/log.hpp"
#include "daemon/plugins/lifecycle/limits.hpp"
#include "daemon/plugins/running/limits.hpp"

namespace export_worker::plugins {
namespace {

// "1.0.0, 0123456789abcdef", without what is not known.
std::string code_of(const std::string& version, const std::string& sha256) {
    return version + (version.empty() || sha256.empty() ? "" : ", ") + sha256.substr(0, 16);
}

// Whether `method` is one of "a.b, a.c".
bool names_method(const std::string& methods, std::string_view method) {
    return (", " + methods + ", ").find(", " + std::string(method) + ", ") != std::string::npos;
}

}  // namespace

Result<std::unique_ptr<PluginHost>> PluginHost::open(const HostOptions& options) {
    EW_TRY(ArtefactStore artefacts, ArtefactStore::open(options.state_directory + "/plugins"));
    EW_TRY(std::unique_ptr<History> history,
           History::open(options.state_directory + "/plugins.db", *options.parts.clock,
                         options.durability));
    const std::string crashes_path = options.state_directory + "/plugins/crashes";
    EW_TRY(LastEnd last_end, judge_last_end(*history, artefacts, crashes_path));
    EW_TRY(std::unique_ptr<CrashRecorder> crash_recorder, CrashRecorder::open(crashes_path));
    return std::unique_ptr<PluginHost>(new PluginHost(options, std::move(artefacts),
                                                      std::move(history), std::move(last_end),
                                                      std::move(crash_recorder)));
}

PluginHost::PluginHost(const HostOptions& options, ArtefactStore artefacts,
                       std::unique_ptr<History> history, LastEnd last_end,
                       std::unique_ptr<CrashRecorder> crash_recorder)
    : options_(options),
      artefacts_(std::move(artefacts)),
      history_(std::move(history)),
      died_in_(std::move(last_end.died_in)),
      crash_recorder_(std::move(crash_recorder)),
      calls_(*history_, *options.parts.clock),
      crash_notices_(std::move(last_end.notices)) {
    config_.credentials = options.parts.credentials;
    supervisor_ = std::thread([this] { run_supervisor(); });
}

PluginHost::~PluginHost() {
    (void)stop();
}

unsigned PluginHost::stop() {
    if (supervisor_.joinable()) {
        stopping_.store(true);
        calls_.hurry(limits::kPluginStopTimeout - limits::kPluginThreadEndTimeout);
        wake();
        supervisor_.join();
        loader_.stop();
        end_all();
        calls_.stop();
    }
    const std::vector<HungCall> hung = calls_.hung();
    for (const HungCall& call : hung) log_error("{} does not return", call.what);
    return static_cast<unsigned>(hung.size());
}

void PluginHost::end_all() {
    const auto end = [this](Loaded& loaded) {
        if (!calls_.end(*loaded.generation, policy().probe_timeout, false))
            leave_alone(std::move(loaded.generation));
    };
    take_end_results();
    for (LoadDone& done : loads_done_) {
        if (done.result && done.result->loaded) end(*done.result->loaded);
    }
    loads_done_.clear();
    for (auto& [name, plugin] : plugins_) {
        if (plugin.bake) {
            if (auto cleared = history_->clear_baking(name); !cleared)
                log_error("plugin {}: {}", name, cleared.error().message);
            fault_point("plugin.bake_forgotten");
        }
        for (auto* loaded : {&plugin.active, &plugin.previous}) {
            if (*loaded) end(**loaded);
            loaded->reset();
        }
        for (Retired& retired : plugin.retired) {
            const bool runs =
                retired.state == RetiredState::kDraining || retired.state == RetiredState::kEnding;
            if (runs) end(retired.loaded);
            if (retired.state == RetiredState::kStuck)
                leave_alone(std::move(retired.loaded.generation));
        }
        plugin.retired.clear();
    }
    calls_.forgive();
}

Result<void> PluginHost::start(const HostConfig& config) {
    {
        const std::lock_guard lock(mutex_);
        config_ = config;
    }
    watching_changed_.store(true);
    for (const PluginSetup& setup : config.plugins) {
        ReloadRequest request;
        request.action = Action::kStart;
        request.trigger = "start";
        request.plugin = setup.name;
        const ReloadReport report = wait_for(enqueue(request));
        if (!report.refusal) continue;
        if (costs_the_daemon(*report.refusal)) {
            leave_out(setup.name, *report.refusal);
            continue;
        }
        const Error error = to_error(*report.refusal);
        return fail(error.code, "[plugin." + setup.name + "] " + error.message);
    }
    return {};
}

// The rest of the daemon is worth more than a plugin that takes it down.
void PluginHost::leave_out(const std::string& plugin, const Refusal& refusal) {
    const auto methods = history_->methods(plugin);
    const std::string known = methods ? *methods : "";
    const std::string why =
        "not loaded; unavailable methods: " + (known.empty() ? "all of this plugin" : known) +
        "; " + to_text(refusal);
    log_error("plugin {}: {}", plugin, why);
    const std::lock_guard lock(mutex_);
    left_out_[plugin] = {why, known};
}

Result<PluginStatus> PluginHost::load(const std::string& name, const std::string& file,
                                      const std::map<std::string, std::string>& settings) {
    ReloadRequest request;
    request.action = Action::kLoad;
    request.plugin = name;
    request.file = file;
    request.settings = settings;
    const ReloadReport report = wait_for(enqueue(request));
    if (report.refusal) return fail(to_error(*report.refusal));
    std::vector<PluginStatus> loaded = list();
    const auto found = std::ranges::find(loaded, report.plugin, &PluginStatus::name);
    EW_ASSERT(found != loaded.end());  // No action unloads a plugin.
    return std::move(*found);
}

void PluginHost::reconfigure(const HostConfig& config, const std::string& trigger) {
    std::vector<ReloadRequest> requests;
    {
        const std::lock_guard lock(mutex_);
        config_ = config;
        for (const PluginSetup& setup : config.plugins) {
            ReloadRequest request;
            request.action = serves(setup.name) ? Action::kReload : Action::kStart;
            request.trigger = trigger;
            request.plugin = setup.name;
            requests.push_back(std::move(request));
        }
        for (const auto& [name, plugin] : plugins_) {
            if (plugin.active &&
                std::ranges::find(config.plugins, name, &PluginSetup::name) == config.plugins.end())
                log_warn("plugin {}: no longer configured; it serves until the next start", name);
        }
    }
    watching_changed_.store(true);
    for (const ReloadRequest& request : requests) (void)enqueue(request);
}

Result<std::uint64_t> PluginHost::submit(ReloadRequest request) {
    {
        const std::lock_guard lock(mutex_);
        EW_CHECK(check_request(request));
        EW_CHECK(check_busy(request));
    }
    return enqueue(request);
}

bool PluginHost::serves(const std::string& plugin) const {
    const auto found = plugins_.find(plugin);
    return found != plugins_.end() && found->second.active;
}

bool PluginHost::bakes(const std::string& plugin) const {
    const auto found = plugins_.find(plugin);
    return found != plugins_.end() && found->second.bake;
}

bool PluginHost::waits_for_bake(const ReloadRequest& request) const {
    return request.loads() && !request.dry_run && bakes(request.plugin);
}

Result<void> PluginHost::check_request(ReloadRequest& request) const {
    const bool configured = std::ranges::find(config_.plugins, request.plugin,
                                              &PluginSetup::name) != config_.plugins.end();
    const bool can_begin =
        request.action == Action::kLoad || (request.action == Action::kReload && configured);
    if (!serves(request.plugin) && !can_begin) {
        return fail(ErrorCode::kNotFound,
                    "no plugin '" + request.plugin + "'; exportctl plugin list names them");
    }
    if (request.action == Action::kRollback && bakes(request.plugin))
        request.baking_generation = plugins_.at(request.plugin).active->generation->number();
    return {};
}

Result<void> PluginHost::check_busy(const ReloadRequest& request) const {
    if (waits_for_bake(request)) {
        const Generation& active = *plugins_.at(request.plugin).active->generation;
        return fail(ErrorCode::kConflict, "busy: plugin " + request.plugin + " bakes generation " +
                                              std::to_string(active.number()) + " (" +
                                              code_of(active.manifest().version, active.sha256()) +
                                              "); wait, or end it with: exportctl plugin commit " +
                                              request.plugin + " | exportctl plugin rollback " +
                                              request.plugin);
    }
    const bool ends_bake = !request.loads() && bakes(request.plugin);
    const ReloadReport* other = ends_bake ? nullptr : queue_.operators(request.plugin);
    const bool runs = !ends_bake && loading_ && !loading_->report->request.dry_run &&
                      loading_->report->request.origin() == Origin::kOperator &&
                      loading_->report->plugin == request.plugin;
    if (runs) other = loading_->report;
    if (other == nullptr || request.dry_run) return {};
    const std::string what =
        other->plugin.empty() ? other->request.file : "plugin " + other->plugin;
    const std::string code = code_of(other->version, other->sha256);
    return fail(ErrorCode::kConflict, "busy: " + what + " is being worked on (report " +
                                          std::to_string(other->id) + ", asked for by " +
                                          other->request.trigger + ")" +
                                          (code.empty() ? "" : " with " + code) +
                                          "; wait for it, then look at: exportctl plugin history");
}

// One load at a time; what needs none waits only for a load of its own plugin.
bool PluginHost::may_begin(const ReloadRequest& request) const {
    if (waits_for_bake(request)) return false;
    const bool needs_loader =
        request.loads() || (request.action == Action::kRollback && !bakes(request.plugin));
    if (needs_loader) return !loading_;
    return !loading_ || loading_->report->plugin != request.plugin ||
           loading_->report->request.dry_run;
}

std::uint64_t PluginHost::enqueue(const ReloadRequest& request) {
    std::uint64_t id = 0;
    {
        const std::lock_guard lock(mutex_);
        // The same again, not begun yet: once is enough.
        const ReloadReport* const same = request.plugin.empty() ? nullptr : queue_.same_as(request);
        if (same != nullptr) return same->id;
        auto report = std::make_unique<ReloadReport>();
        report->id = id = ++last_report_;
        report->request = request;
        report->plugin = request.plugin;
        report->started_us = options_.parts.clock->unix_us();
        if (waits_for_bake(request)) {
            report->steps.push_back({"queued", "waits for the end of the bake", 0});
            log_info("plugin {}: the reload for {} waits for the end of the bake (report {})",
                     request.plugin, request.trigger, id);
        }
        queue_.add(*report);
        reports_.push_back(std::move(report));
        const auto oldest =
            std::ranges::find_if(reports_, [](const auto& each) { return each->ended(); });
        if (reports_.size() > limits::kPluginReportsMax && oldest != reports_.end())
            reports_.erase(oldest);
    }
    wake();
    return id;
}

ReloadReport PluginHost::wait_for(std::uint64_t id) const {
    std::unique_lock lock(mutex_);
    for (;;) {
        const auto found = std::ranges::find(reports_, id, &ReloadReport::id);
        EW_ASSERT(found != reports_.end());
        if ((*found)->outcome != "running") return **found;
        reports_changed_.wait(lock);
    }
}

std::optional<ReloadReport> PluginHost::report(std::uint64_t id) const {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find(reports_, id, &ReloadReport::id);
    if (found == reports_.end()) return std::nullopt;
    return **found;
}

std::optional<std::string> PluginHost::left_out(std::string_view method) const {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, plugin] : left_out_) {
        if (method.empty() ? plugin.methods.empty() : names_method(plugin.methods, method))
            return name;
    }
    return std::nullopt;
}

}  // namespace export_worker::plugins
