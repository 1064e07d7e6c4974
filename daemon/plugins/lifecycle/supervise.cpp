// PluginHost, what goes on between reloads: bakes are judged, old generations drain and retire.

#include <algorithm>

#include "base/log.hpp"
#include "base/thread_role.hpp"
#include "daemon/plugins/lifecycle/plugin_host.hpp"

namespace export_worker::plugins {
namespace {

std::string retired_name(bool draining, bool stuck, bool parked) {
    return draining ? "draining" : stuck ? "stuck" : parked ? "parked" : "lingering";
}

std::chrono::microseconds as_us(std::chrono::nanoseconds time) {
    return std::chrono::duration_cast<std::chrono::microseconds>(time);
}

void add_counters(std::map<std::string, CounterValue>& sums,
                  const std::vector<CounterValue>& counters) {
    for (const CounterValue& counter : counters) {
        CounterValue& sum = sums[counter.name];
        sum.name = counter.name;
        sum.help = counter.help;
        sum.value += counter.value;
    }
}

}  // namespace

void PluginHost::tick() {
    EW_ASSERT_ROLE(kLoader);
    if (watching_changed_.exchange(false)) {
        std::vector<std::string> files;
        {
            const std::lock_guard lock(mutex_);
            for (const PluginSetup& setup : config_.plugins) {
                if (config_.policy.watch) files.push_back(setup.file);
            }
        }
        watch_.set_files(files);
    }
    for (const std::string& file : watch_.changed(now())) {
        std::vector<std::string> names;
        {
            const std::lock_guard lock(mutex_);
            for (const PluginSetup& setup : config_.plugins) {
                if (setup.file == file) names.push_back(setup.name);
            }
        }
        for (const std::string& name : names) {
            ReloadRequest request;
            request.trigger = "watch";
            request.plugin = name;
            (void)enqueue(request);
        }
    }
    for (auto& [name, plugin] : plugins_) {
        if (plugin.bake) watch_bake(name, plugin);
        advance_retired(name, plugin);
    }
    close_windows();
    routing_.reclaim();
}

void PluginHost::watch_bake(const std::string& name, Plugin& plugin) {
    const Generation& generation = *plugin.active->generation;
    std::chrono::nanoseconds longest{0};
    for (const Holder& holder : routing_.holders(generation, now()))
        longest = std::max(longest, holder.running);
    BakeBounds bounds;
    {
        const std::lock_guard lock(mutex_);
        bounds = config_.policy.bounds;
    }
    const auto why =
        reason_to_roll_back(plugin.bake->baseline, generation.traffic(), longest, bounds);
    if (why) return take_back(name, plugin, *why, true);
    if (now() >= plugin.bake->end) finish_bake(name, plugin);
}

void PluginHost::finish_bake(const std::string& name, Plugin& plugin) {
    if (auto committed = commit(name, plugin); !committed) {
        // Not written down, so it bakes on: a crash now must still find the mark.
        log_error("plugin {}: {}", name, committed.error().message);
        const std::lock_guard lock(mutex_);
        plugin.bake->end = now() + std::chrono::seconds(1);
    }
}

Result<void> PluginHost::commit(const std::string& name, Plugin& plugin) {
    const std::string sha256 = plugin.active->generation->sha256();
    const std::uint64_t id = plugin.bake->report;
    EW_CHECK(history_->commit(name, sha256, plugin.bake->configured_sha256));
    std::optional<Loaded> old;
    ReloadReport* report = nullptr;
    {
        const std::lock_guard lock(mutex_);
        plugin.committed_sha256 = sha256;
        plugin.notice.clear();
        plugin.bake.reset();
        old = std::move(plugin.previous);
        plugin.previous.reset();
        const auto found = std::ranges::find(reports_, id, &ReloadReport::id);
        if (found != reports_.end()) report = found->get();
    }
    publish_routes();
    if (old) retire(plugin, std::move(*old));
    log_info("plugin {} {} generation {}: committed", name,
             plugin.active->generation->manifest().version, plugin.active->generation->number());
    if (report != nullptr) end_report(*report, "committed", "");
    return {};
}

void PluginHost::take_back(const std::string& name, Plugin& plugin, const std::string& why,
                           bool quarantine) {
    if (!plugin.previous) return take_back_a_start(name, plugin, why);
    Loaded bad;
    ReloadReport* report = nullptr;
    const std::string sha256 = plugin.active->generation->sha256();
    {
        const std::lock_guard lock(mutex_);
        bad = std::move(*plugin.active);
        plugin.active = std::move(plugin.previous);
        plugin.previous.reset();
        const auto found = std::ranges::find(reports_, plugin.bake->report, &ReloadReport::id);
        plugin.bake.reset();
        if (quarantine) {
            plugin.notice = "the file " + bad.file + " was taken back and quarantined: " + why;
        }
        if (found != reports_.end()) {
            report = found->get();
            report->rolled_back_because = why;
        }
    }
    // Traffic first; the disk can wait.
    publish_routes();
    log_error("plugin {} generation {}: taken back: {}; generation {} answers again", name,
              bad.generation->number(), why, plugin.active->generation->number());
    if (quarantine) {
        if (auto kept = history_->quarantine(name, sha256, why); !kept)
            log_error("plugin {}: {}", name, kept.error().message);
    }
    if (auto cleared = history_->clear_baking(name); !cleared)
        log_error("plugin {}: {}", name, cleared.error().message);
    retire(plugin, std::move(bad));
    if (report != nullptr) end_report(*report, "rolled_back", why);
}

// A bake is over.
void PluginHost::end_report(ReloadReport& report, const std::string& outcome,
                            const std::string& detail) {
    record(report, outcome, detail);
    {
        const std::lock_guard lock(mutex_);
        report.outcome = outcome;
        ++reload_counts_[outcome];
    }
    reports_changed_.notify_all();
}

// Nothing is warm after a start: the committed file has to be loaded first.
void PluginHost::take_back_a_start(const std::string& name, Plugin& plugin,
                                   const std::string& why) {
    const std::string sha256 = plugin.active->generation->sha256();
    if (auto kept = history_->quarantine(name, sha256, why); !kept)
        log_error("plugin {}: {}", name, kept.error().message);
    ReloadRequest request;
    request.action = Action::kRollback;
    request.trigger = "bake";
    request.plugin = name;
    request.to_sha256 = plugin.committed_sha256;
    end_start_bake(name, plugin, why);
    {
        const std::lock_guard lock(mutex_);
        plugin.notice = "the configured file was taken back and quarantined: " + why;
    }
    (void)enqueue(request);
}

void PluginHost::end_start_bake(const std::string& name, Plugin& plugin, const std::string& why) {
    log_error("plugin {}: taken back: {}; loading the committed file", name, why);
    if (auto cleared = history_->clear_baking(name); !cleared)
        log_error("plugin {}: {}", name, cleared.error().message);
    ReloadReport* report = nullptr;
    {
        const std::lock_guard lock(mutex_);
        const auto found = std::ranges::find(reports_, plugin.bake->report, &ReloadReport::id);
        if (found != reports_.end()) {
            report = found->get();
            report->rolled_back_because = why;
        }
        plugin.bake.reset();
    }
    if (report != nullptr) end_report(*report, "rolled_back", why);
}

void PluginHost::publish_routes() {
    auto routes = std::make_unique<Routes>();
    bool baking = false;
    for (const auto& [name, plugin] : plugins_) {
        if (!plugin.active) continue;
        baking = baking || plugin.bake.has_value();
        for (const PluginMethod& method : plugin.active->generation->methods()) {
            Route route{plugin.active->generation.get(), nullptr, method.idempotent};
            if (plugin.bake && plugin.previous) {
                const auto& before = plugin.previous->generation->methods();
                const bool same =
                    std::ranges::find(before, method.name, &PluginMethod::name) != before.end();
                if (same) route.fallback = plugin.previous->generation.get();
            }
            routes->emplace(method.name, route);
        }
    }
    baking_.store(baking);
    routing_.publish(std::move(routes));
}

void PluginHost::retire(Plugin& plugin, Loaded loaded) {
    const std::lock_guard lock(mutex_);
    plugin.retired.push_back({std::move(loaded), RetiredState::kDraining, now()});
}

// What one loader turn can do for every generation that no longer serves.
void PluginHost::advance_retired(const std::string& name, Plugin& plugin) {
    Policy policy;
    {
        const std::lock_guard lock(mutex_);
        policy = config_.policy;
    }
    for (std::size_t index = 0; index < plugin.retired.size();) {
        Retired& retired = plugin.retired[index];
        Generation& generation = *retired.loaded.generation;
        ++index;
        if (retired.state != RetiredState::kDraining) continue;
        if (routing_.is_pinned(generation)) {
            if (now() - retired.since < policy.drain) continue;
            for (const Holder& holder : routing_.holders(generation, now())) {
                log_error(
                    "plugin {} generation {}: {} is stuck in request {} for {} s; the "
                    "generation stays for ever",
                    name, generation.number(), holder.who, holder.request_id,
                    std::chrono::duration_cast<std::chrono::seconds>(holder.running).count());
            }
            const std::lock_guard lock(mutex_);
            retired.state = RetiredState::kStuck;
            continue;
        }
        const bool may_unmap = policy.unmap && retired.loaded.pinned_by.empty();
        const bool ended = end_generation(generation, may_unmap);
        const bool gone = ended && may_unmap && !generation.is_mapped();
        const std::lock_guard lock(mutex_);
        if (!ended) {
            retired.state = RetiredState::kStuck;
            continue;
        }
        retired.state = may_unmap ? RetiredState::kLingering : RetiredState::kParked;
        if (!gone) continue;
        artefacts_.drop_live_copy(generation.path());
        plugin.past_handled += generation.handled();
        plugin.past_faults += generation.faults();
        add_counters(plugin.past_counters, generation.services().counters());
        ++plugin.unmapped;
        plugin.retired.erase(plugin.retired.begin() + static_cast<std::ptrdiff_t>(--index));
    }
}

bool PluginHost::end_generation(Generation& generation, bool unmap) {
    const PluginCallMark mark{generation.manifest().name, generation.sha256(), kEndingPhase};
    if (auto marked = history_->begin_call(mark); !marked)
        log_error("plugin {}: {}", mark.plugin, marked.error().message);
    return run_marked(mark, [&generation, unmap] {
        generation.end_instance();
        if (unmap) generation.unmap();
    });
}

// The mark of a call that does not return stays: it may still end the daemon.
bool PluginHost::run_marked(const PluginCallMark& mark, std::function<void()> work) {
    std::chrono::milliseconds timeout{};
    {
        const std::lock_guard lock(mutex_);
        timeout = config_.policy.probe_timeout;
    }
    const std::string what =
        "plugin " + mark.plugin + ": " + mark.phase + " of " + mark.sha256.substr(0, 16);
    if (!calls_.run(what, std::move(work), timeout)) {
        log_error("{} does not return; its thread is left behind", what);
        hung_marks_.push_back(mark);
        return false;
    }
    if (auto ended = history_->end_call(mark); !ended)
        log_error("plugin {}: {}", mark.plugin, ended.error().message);
    return true;
}

// A window is open as long as requests are in the generation that answered before.
void PluginHost::close_windows() {
    const std::lock_guard lock(mutex_);
    for (const auto& report : reports_) {
        if (!report->window || report->window->closed) continue;
        const auto plugin = plugins_.find(report->plugin);
        const Generation* old = nullptr;
        if (plugin != plugins_.end()) {
            const auto look = [&](const Loaded& loaded) {
                if (loaded.generation->number() == report->from_generation)
                    old = loaded.generation.get();
            };
            if (plugin->second.previous) look(*plugin->second.previous);
            for (const Retired& retired : plugin->second.retired) look(retired.loaded);
        }
        SwapWindow& window = *report->window;
        window.took = std::chrono::duration_cast<std::chrono::microseconds>(now() - window.opened);
        const bool too_long = window.took > config_.policy.drain;
        if (old != nullptr && routing_.is_running(*old) && !too_long) continue;
        window.after = options_.ledger->read();
        window.closed = true;
    }
}

void PluginHost::forget_old_artefacts() {
    auto wanted = history_->worth_keeping();
    if (!wanted) return;
    for (const auto& [name, plugin] : plugins_) {
        if (plugin.active) wanted->insert(plugin.active->generation->sha256());
        if (plugin.previous) wanted->insert(plugin.previous->generation->sha256());
    }
    artefacts_.keep_only(*wanted);
}

GenerationStatus PluginHost::status_of(const Loaded& loaded, std::string state) {
    const Generation& generation = *loaded.generation;
    const TrafficStats traffic = generation.traffic();
    GenerationStatus out;
    out.number = generation.number();
    out.state = std::move(state);
    out.version = generation.manifest().version;
    out.build_id = generation.manifest().build_id;
    out.sha256 = generation.sha256();
    out.file = loaded.file;
    out.handled = traffic.handled;
    out.faults = generation.faults();
    out.p50 = as_us(traffic.quantile(0.5));
    out.p99 = as_us(traffic.quantile(0.99));
    out.pinned_by = loaded.pinned_by;
    return out;
}

std::vector<PluginStatus> PluginHost::list() const {
    const std::lock_guard lock(mutex_);
    std::vector<PluginStatus> out;
    for (const auto& [name, plugin] : plugins_) {
        if (!plugin.active) continue;
        const Generation& generation = *plugin.active->generation;
        PluginStatus status{name,
                            generation.manifest().version,
                            generation.number(),
                            generation.manifest().build_id,
                            generation.sha256(),
                            plugin.active->file,
                            generation.methods(),
                            plugin.past_handled,
                            plugin.past_faults,
                            {},
                            plugin.committed_sha256,
                            {},
                            {},
                            plugin.unmapped};
        std::map<std::string, CounterValue> counters = plugin.past_counters;
        const auto add = [&](const Loaded& loaded, const std::string& state) -> GenerationStatus& {
            status.generations.push_back(status_of(loaded, state));
            GenerationStatus& added = status.generations.back();
            added.holders = routing_.holders(*loaded.generation, now());
            status.handled += added.handled;
            status.faults += added.faults;
            add_counters(counters, loaded.generation->services().counters());
            return added;
        };
        add(*plugin.active, plugin.bake ? "baking" : "active");
        if (plugin.previous) add(*plugin.previous, "warm");
        for (auto retired = plugin.retired.rbegin(); retired != plugin.retired.rend(); ++retired) {
            const std::string state = retired_name(retired->state == RetiredState::kDraining,
                                                   retired->state == RetiredState::kStuck,
                                                   retired->state == RetiredState::kParked);
            add(retired->loaded, state).in_state =
                std::chrono::duration_cast<std::chrono::milliseconds>(now() - retired->since);
        }
        for (auto& [counter, value] : counters) status.counters.push_back(value);
        if (plugin.bake) {
            status.bake_left = std::chrono::duration_cast<std::chrono::milliseconds>(
                std::max(plugin.bake->end - now(), SteadyTime::duration::zero()));
        }
        out.push_back(std::move(status));
    }
    return out;
}

std::vector<std::string> PluginHost::alarms() const {
    std::vector<std::string> out;
    for (const PluginStatus& plugin : list()) {
        for (const GenerationStatus& generation : plugin.generations) {
            const std::string which =
                "plugin " + plugin.name + " generation " + std::to_string(generation.number);
            for (const Holder& holder : generation.holders) {
                if (generation.state != "stuck") continue;
                out.push_back(
                    which + ": " + holder.who + " is stuck in request " + holder.request_id +
                    " for " +
                    std::to_string(
                        std::chrono::duration_cast<std::chrono::seconds>(holder.running).count()) +
                    " s; restart the daemon when convenient");
            }
            if (generation.state == "lingering")
                out.push_back(which + ": still mapped after it was unloaded");
        }
    }
    for (const HungCall& call : calls_.hung()) {
        out.push_back(
            call.what + " does not return for " +
            std::to_string(std::chrono::duration_cast<std::chrono::seconds>(call.running).count()) +
            " s; restart the daemon when convenient");
    }
    const std::lock_guard lock(mutex_);
    for (const auto& [name, plugin] : plugins_) {
        if (!plugin.notice.empty()) out.push_back("plugin " + name + ": " + plugin.notice);
    }
    for (const auto& [name, why] : crash_notices_) out.push_back("plugin " + name + ": " + why);
    for (const auto& [name, left_out] : left_out_)
        out.push_back("plugin " + name + ": " + left_out.why);
    return out;
}

}  // namespace export_worker::plugins
