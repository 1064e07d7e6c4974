#include "daemon/plugins/lifecycle/plugin_host.hpp"

#include <poll.h>

#include <algorithm>
#include <array>

#include "base/assert.hpp"
#include "base/log.hpp"
#include "base/this_thread.hpp"
#include "base/thread_role.hpp"
#include "daemon/plugins/lifecycle/limits.hpp"

namespace export_worker::plugins {
namespace {

using std::chrono::milliseconds;

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
      calls_(*options.parts.clock),
      crash_notices_(std::move(last_end.notices)) {
    config_.credentials = options.parts.credentials;
    loader_ = std::thread([this] { run_loader(); });
}

PluginHost::~PluginHost() {
    (void)stop();
}

unsigned PluginHost::stop() {
    if (loader_.joinable()) {
        stopping_.store(true);
        calls_.hurry(limits::kPluginStopTimeout);
        wake();
        loader_.join();
        end_all();
    }
    const std::vector<HungCall> hung = calls_.hung();
    for (const HungCall& call : hung) log_error("{} does not return", call.what);
    return static_cast<unsigned>(hung.size());
}

void PluginHost::end_all() {
    for (auto& [name, plugin] : plugins_) {
        if (plugin.bake) {
            if (auto cleared = history_->clear_baking(name); !cleared)
                log_error("plugin {}: {}", name, cleared.error().message);
        }
        for (auto* loaded : {&plugin.active, &plugin.previous}) {
            if (!*loaded || end_generation(*(*loaded)->generation, false)) continue;
            leave_alone(std::move((*loaded)->generation));
            loaded->reset();
        }
        for (Retired& retired : plugin.retired) {
            const bool ended = retired.state != RetiredState::kStuck &&
                               (retired.state != RetiredState::kDraining ||
                                end_generation(*retired.loaded.generation, false));
            if (!ended) leave_alone(std::move(retired.loaded.generation));
        }
        plugin.retired.clear();
    }
    // This is no death: the daemon stops in good order.
    for (const PluginCallMark& mark : hung_marks_) {
        if (auto ended = history_->end_call(mark); !ended)
            log_error("plugin {}: {}", mark.plugin, ended.error().message);
    }
}

// Code that somebody is still inside cannot be freed.
void PluginHost::leave_alone(std::unique_ptr<Generation> generation) {
    static std::vector<std::unique_ptr<Generation>> left_alone;
    left_alone.push_back(std::move(generation));
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
            request.action = plugins_.contains(setup.name) ? Action::kReload : Action::kStart;
            request.trigger = trigger;
            request.plugin = setup.name;
            requests.push_back(std::move(request));
        }
        for (const auto& [name, plugin] : plugins_) {
            if (std::ranges::find(config.plugins, name, &PluginSetup::name) == config.plugins.end())
                log_warn("plugin {}: no longer configured; it serves until the next start", name);
        }
    }
    watching_changed_.store(true);
    for (const ReloadRequest& request : requests) (void)enqueue(request);
}

Result<std::uint64_t> PluginHost::submit(ReloadRequest request) {
    {
        const std::lock_guard lock(mutex_);
        const auto plugin = plugins_.find(request.plugin);
        const bool bakes = plugin != plugins_.end() && plugin->second.bake;
        const bool ends_bake =
            bakes && (request.action == Action::kRollback || request.action == Action::kCommit);
        const ReloadReport* const other = ends_bake ? nullptr : job_under_way();
        if (other != nullptr) {
            const std::string what =
                other->plugin.empty() ? other->request.file : "plugin " + other->plugin;
            return fail(ErrorCode::kConflict,
                        "busy: " + what + " is being worked on (report " +
                            std::to_string(other->id) + ", asked for by " + other->request.trigger +
                            "); wait for it, then look at: exportctl plugin history");
        }
        const bool configured = std::ranges::find(config_.plugins, request.plugin,
                                                  &PluginSetup::name) != config_.plugins.end();
        const bool can_begin =
            request.action == Action::kLoad || (request.action == Action::kReload && configured);
        if (plugin == plugins_.end() && !can_begin) {
            return fail(ErrorCode::kNotFound,
                        "no plugin '" + request.plugin + "'; exportctl plugin list names them");
        }
        if (bakes && !ends_bake && !request.dry_run) {
            return fail(ErrorCode::kConflict,
                        "busy: plugin " + request.plugin + " bakes generation " +
                            std::to_string(plugin->second.active->generation->number()) +
                            "; wait, or end it with: exportctl plugin commit " + request.plugin +
                            " | exportctl plugin rollback " + request.plugin);
        }
        if (ends_bake && request.action == Action::kRollback)
            request.baking_generation = plugin->second.active->generation->number();
    }
    return enqueue(request);
}

bool PluginHost::waits_for_bake(const ReloadRequest& request) const {
    const auto plugin = plugins_.find(request.plugin);
    const bool reloads = request.action == Action::kReload || request.action == Action::kStart;
    return reloads && !request.dry_run && plugin != plugins_.end() && plugin->second.bake;
}

const ReloadReport* PluginHost::job_under_way() const {
    if (running_ != nullptr) return running_;
    const auto ready = std::ranges::find_if(
        queue_, [this](const ReloadReport* job) { return !waits_for_bake(job->request); });
    return ready == queue_.end() ? nullptr : *ready;
}

std::uint64_t PluginHost::enqueue(const ReloadRequest& request) {
    std::uint64_t id = 0;
    {
        const std::lock_guard lock(mutex_);
        for (const ReloadReport* queued : queue_) {
            // The same again, not begun yet: once is enough.
            if (!request.plugin.empty() && queued->request == request) return queued->id;
        }
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
        const bool goes_first =
            request.action == Action::kRollback || request.action == Action::kCommit;
        queue_.insert(goes_first ? queue_.begin() : queue_.end(), report.get());
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

std::map<std::string, std::string> PluginHost::methods() const {
    const std::lock_guard lock(mutex_);
    std::map<std::string, std::string> out;
    for (const auto& [name, plugin] : plugins_) {
        if (!plugin.active) continue;
        for (const PluginMethod& method : plugin.active->generation->methods())
            out.emplace(method.name, name);
    }
    return out;
}

std::optional<std::string> PluginHost::left_out(std::string_view method) const {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, plugin] : left_out_) {
        if (method.empty() ? plugin.methods.empty() : names_method(plugin.methods, method))
            return name;
    }
    return std::nullopt;
}

std::map<std::string, std::uint64_t> PluginHost::reload_counts() const {
    const std::lock_guard lock(mutex_);
    return reload_counts_;
}

milliseconds PluginHost::patience() const {
    const std::lock_guard lock(mutex_);
    milliseconds out{1000};
    for (const auto& [name, plugin] : plugins_) {
        if (plugin.bake) out = std::min(out, milliseconds(50));
        for (const Retired& retired : plugin.retired) {
            if (retired.state == RetiredState::kDraining) out = std::min(out, milliseconds(2));
        }
    }
    const bool window_open = std::ranges::any_of(
        reports_, [](const auto& report) { return report->window && !report->window->closed; });
    if (window_open) out = std::min(out, milliseconds(2));
    if (watch_.unsettled()) out = std::min(out, milliseconds(50));
    return out;
}

ReloadReport* PluginHost::next_job() {
    const std::lock_guard lock(mutex_);
    for (auto job = queue_.begin(); job != queue_.end(); ++job) {
        if (waits_for_bake((*job)->request)) continue;
        ReloadReport* const report = *job;
        queue_.erase(job);
        running_ = report;
        return report;
    }
    return nullptr;
}

void PluginHost::run_loader() {
    name_this_thread("loader");
    set_thread_role(ThreadRole::kLoader);
    while (!stopping_.load()) {
        std::array<pollfd, 2> wanted{{{wake_.fd(), POLLIN, 0}, {watch_.fd(), POLLIN, 0}}};
        const milliseconds wait = options_.parts.clock->block_for(patience());
        (void)::poll(wanted.data(), wanted.size(), static_cast<int>(wait.count()));
        wake_.clear();
        tick();
        while (ReloadReport* const job = stopping_.load() ? nullptr : next_job()) {
            run(*job);
            tick();
        }
    }
}

}  // namespace export_worker::plugins
