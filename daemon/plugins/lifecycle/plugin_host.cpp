#include "daemon/plugins/lifecycle/plugin_host.hpp"

#include <poll.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/assert.hpp"
#include "base/fault_point.hpp"
#include "base/log.hpp"
#include "base/this_thread.hpp"
#include "base/thread_role.hpp"
#include "daemon/plugins/lifecycle/limits.hpp"
#include "daemon/plugins/lifecycle/operators.hpp"
#include "daemon/plugins/lifecycle/reload.hpp"
#include "daemon/plugins/lifecycle/start.hpp"
#include "daemon/plugins/probing/process_guard.hpp"
#include "daemon/plugins/running/limits.hpp"

namespace export_worker::plugins {
namespace {

using std::chrono::milliseconds;

// Whether `method` is one of "a.b, a.c".
bool names_method(const std::string& methods, std::string_view method) {
    return (", " + methods + ", ").find(", " + std::string(method) + ", ") != std::string::npos;
}

// A damaged file, with its path and the way out.
template <typename T>
Result<T> named(Result<T> result, const std::string& path) {
    if (result || result.error().code != ErrorCode::kDataLoss) return result;
    return fail(ErrorCode::kDataLoss,
                path + ": " + result.error().message +
                    "; restore it from a backup (exportctl backup), or move it and its -wal and "
                    "-shm away: the daemon then starts with the configured files and knows nothing "
                    "of what was committed, pinned or quarantined");
}

}  // namespace

Result<std::unique_ptr<PluginHost>> PluginHost::open(const HostOptions& options) {
    EW_TRY(ArtifactStore artifacts, ArtifactStore::open(options.state_directory + "/plugins"));
    const std::string history_path = options.state_directory + "/plugins.db";
    const std::string crashes_path = options.state_directory + "/plugins/crashes";
    EW_TRY(
        std::unique_ptr<History> history,
        named(History::open(history_path, *options.deps.clock, options.durability), history_path));
    EW_TRY(LastEnd last_end,
           named(judge_last_end(*history, artifacts, crashes_path), history_path));
    if (!last_end.history_lost.empty()) log_error("{}", last_end.history_lost);
    EW_TRY(std::unique_ptr<CrashRecorder> crash_recorder, CrashRecorder::open(crashes_path));
    return std::unique_ptr<PluginHost>(new PluginHost(options, std::move(artifacts),
                                                      std::move(history), std::move(last_end),
                                                      std::move(crash_recorder)));
}

PluginHost::PluginHost(const HostOptions& options, ArtifactStore artifacts,
                       std::unique_ptr<History> history, LastEnd last_end,
                       std::unique_ptr<CrashRecorder> crash_recorder)
    : options_(options),
      artifacts_(std::move(artifacts)),
      history_(std::move(history)),
      died_in_(std::move(last_end.died_in)),
      history_lost_(std::move(last_end.history_lost)),
      crash_recorder_(std::move(crash_recorder)),
      roster_(*options_.deps.clock, std::move(last_end.notices)),
      reports_(*history_, *options_.deps.clock),
      transitions_(roster_, *history_, *options_.deps.clock),
      bake_watch_(roster_, transitions_, reports_, *options_.deps.clock),
      deps_{roster_,    transitions_,         reports_,        *history_,
            artifacts_, *options_.deps.clock, options_.ledger, died_in_},
      calls_(*history_, *options_.deps.clock),
      loads_(wake_),
      retirement_(roster_, loader_, calls_, artifacts_, *options_.deps.clock, wake_) {
    HostConfig config;
    config.credentials = options.deps.credentials;
    configure(config);
    supervisor_ = std::thread([this] { run_supervisor(); });
}

PluginHost::~PluginHost() {
    (void)stop();
}

unsigned PluginHost::stop() {
    if (supervisor_.joinable()) {
        stopping_.store(true);
        calls_.hurry(limits::kPluginStopTimeout - limits::kPluginThreadEndTimeout);
        wake_.signal();
        supervisor_.join();
        loader_.stop();
        const Policy policy = config()->policy;
        for (LoadEnd& end : loads_.take()) {
            if (end && end->loaded) retirement_.end_now(*end->loaded, policy);
        }
        retirement_.end_all(*history_, policy);
        record_stop();
        calls_.stop();
    }
    const std::vector<HungCall> hung = calls_.hung();
    for (const HungCall& each : hung)
        log_error("plugin {}: {} does not return", each.call.plugin, each.call.what);
    return static_cast<unsigned>(hung.size());
}

void PluginHost::record_stop() {
    if (auto ended = history_->end_run(); !ended)
        log_error("plugins.db: {}", ended.error().message);
}

void PluginHost::configure(const HostConfig& config) {
    auto changed = std::make_shared<const HostConfig>(config);
    {
        const std::lock_guard lock(config_mutex_);
        config_ = std::move(changed);
    }
    config_changed_.store(true);
    wake_.signal();
}

std::shared_ptr<const HostConfig> PluginHost::config() const {
    const std::lock_guard lock(config_mutex_);
    return config_;
}

// --- What is asked for. [any-thread] ---

Result<void> PluginHost::start(const HostConfig& config,
                               const std::function<bool()>& is_cancelled) {
    configure(config);
    const ReportBook::Patience patience{
        options_.deps.clock->steady() + limits::kPluginStartPatience, is_cancelled};
    std::vector<std::uint64_t> ids;
    for (const PluginSetup& setup : config.plugins) {
        ReloadRequest request;
        request.action = Action::kStart;
        request.trigger = "start";
        request.plugin = setup.name;
        ids.push_back(enqueue(request));
    }
    for (const std::uint64_t id : ids) {
        const ReloadReport report = reports_.wait_for(id, patience);
        if (is_cancelled()) return fail(ErrorCode::kCancelled, "the start was cancelled");
        if (report.outcome == "running") {
            log_warn("plugin {}: serves what was committed; the configured file is still tried",
                     report.plugin);
        }
        if (!report.refusal || costs_the_daemon(*report.refusal)) continue;
        const Error error = to_error(*report.refusal);
        return fail(error.code, "[plugin." + report.plugin + "] " + error.message);
    }
    return {};
}

Result<PluginStatus> PluginHost::load(const std::string& name, const std::string& file,
                                      const std::map<std::string, std::string>& settings) {
    ReloadRequest request;
    request.action = Action::kLoad;
    request.plugin = name;
    request.file = file;
    request.settings = settings;
    const ReloadReport report = reports_.wait_for(enqueue(request), {});
    if (report.refusal) return fail(to_error(*report.refusal));
    std::vector<PluginStatus> loaded = list();
    const auto found = std::ranges::find(loaded, report.plugin, &PluginStatus::name);
    EW_ASSERT(found != loaded.end());  // No action unloads a plugin.
    return std::move(*found);
}

void PluginHost::reconfigure(const HostConfig& config, const std::string& trigger) {
    configure(config);
    for (const PluginSetup& setup : config.plugins) {
        const bool serves =
            roster_.read([&](const RosterState& roster) { return roster.serves(setup.name); });
        ReloadRequest request;
        request.action = serves ? Action::kReload : Action::kStart;
        request.trigger = trigger;
        request.plugin = setup.name;
        (void)enqueue(request);
    }
    for (const PluginStatus& plugin : list()) {
        if (find_setup(config, plugin.name) == nullptr)
            log_warn("plugin {}: no longer configured; it serves until the next start",
                     plugin.name);
    }
}

Result<std::uint64_t> PluginHost::submit(ReloadRequest request) {
    const auto config = this->config();
    const auto other = reports_.by_operator(request.plugin);
    EW_CHECK(roster_.read([&](const RosterState& roster) -> Result<void> {
        EW_CHECK(check_request(request, *config, roster));
        return check_busy(request, roster, other);
    }));
    return enqueue(request);
}

std::uint64_t PluginHost::enqueue(const ReloadRequest& request) {
    const bool waits =
        roster_.read([&](const RosterState& roster) { return waits_for_bake(request, roster); });
    const std::uint64_t id = reports_.add(request, waits);
    if (waits) {
        log_info("plugin {}: the reload for {} waits for the end of the bake (report {})",
                 request.plugin, request.trigger, id);
    }
    wake_.signal();
    return id;
}

std::optional<ReloadReport> PluginHost::report(std::uint64_t id) const {
    return reports_.find(id);
}

bool PluginHost::knows(const std::string& plugin) const {
    return find_setup(*config(), plugin) != nullptr ||
           roster_.read([&](const RosterState& roster) { return roster.plugins.contains(plugin); });
}

std::map<std::string, std::uint64_t> PluginHost::reload_counts() const {
    return reports_.counts();
}

std::vector<PluginStatus> PluginHost::list() const {
    const auto config = this->config();
    return roster_.read([&](const RosterState& roster) {
        return list_plugins(roster, roster_.routing(), config->policy,
                            options_.deps.clock->steady());
    });
}

std::map<std::string, std::string> PluginHost::methods() const {
    return roster_.read(methods_of);
}

std::optional<std::string> PluginHost::left_out(std::string_view method) const {
    return roster_.read([&](const RosterState& roster) -> std::optional<std::string> {
        for (const auto& [name, plugin] : roster.left_out) {
            if (method.empty() ? plugin.methods.empty() : names_method(plugin.methods, method))
                return name;
        }
        return std::nullopt;
    });
}

std::vector<model::Alarm> PluginHost::alarms() const {
    std::vector<model::Alarm> out = alarms_of(list());
    const auto add = [&](const std::vector<model::Alarm>& more) {
        out.insert(out.end(), more.begin(), more.end());
    };
    add(alarms_of(calls_.hung()));
    for (const std::string& change : lasting_changes())
        out.push_back(plugin_alarm("", change, "restart the daemon"));
    if (const auto loading = reports_.load_under_way()) {
        const auto late = late_load_alarm(loading->report.plugin, loading->report.id,
                                          options_.deps.clock->steady() - loading->since,
                                          config()->policy.probe_timeout);
        if (late) out.push_back(*late);
    }
    add(roster_.read([](const RosterState& roster) { return alarms_of(roster); }));
    if (!history_lost_.empty())
        out.push_back(plugin_alarm(
            "", history_lost_, "stop the daemon and restore plugins.db from a backup, or go on"));
    return out;
}

// --- The supervisor ---

void PluginHost::run_supervisor() {
    name_this_thread("supervisor");
    set_thread_role(ThreadRole::kSupervisor);
    while (!stopping_.load()) {
        std::array<pollfd, 2> wanted{{{wake_.fd(), POLLIN, 0}, {watch_.fd(), POLLIN, 0}}};
        const milliseconds wait = options_.deps.clock->block_for(poll_timeout());
        (void)::poll(wanted.data(), wanted.size(), static_cast<int>(wait.count()));
        wake_.clear();
        if (stopping_.load()) return;
        tick();
        retirement_.take_ended();
        take_loads();
        begin_work();
    }
}

milliseconds PluginHost::poll_timeout() const {
    milliseconds out{1000};
    for (const auto& [name, entry] : roster_.state().plugins) {
        if (entry.bake) out = std::min(out, milliseconds(50));
        const bool drains = std::ranges::find(entry.retired, RetiredState::kDraining,
                                              &RetiredGeneration::state) != entry.retired.end();
        if (drains) out = std::min(out, milliseconds(2));
    }
    if (reports_.has_open_window()) out = std::min(out, milliseconds(2));
    if (watch_.unsettled()) out = std::min(out, milliseconds(50));
    return out;
}

void PluginHost::tick() {
    const auto config = this->config();
    follow_config(*config);
    bake_watch_.look(config->policy);
    transitions_.write_again();
    reports_.write_again();
    retirement_.advance(config->policy);
    close_windows(config->policy.drain);
    roster_.routing().reclaim();
}

void PluginHost::follow_config(const HostConfig& config) {
    if (config_changed_.exchange(false)) {
        roster_.change([&](RosterState& roster) {
            std::erase_if(roster.left_out, [&](const auto& left_out) {
                return find_setup(config, left_out.first) == nullptr;
            });
        });
        std::vector<std::string> files;
        for (const PluginSetup& setup : config.plugins) {
            if (config.policy.watch) files.push_back(setup.file);
        }
        watch_.set_files(files);
    }
    for (const std::string& file : watch_.changed(options_.deps.clock->steady())) {
        for (const PluginSetup& setup : config.plugins) {
            if (setup.file != file) continue;
            ReloadRequest request;
            request.trigger = "watch";
            request.plugin = setup.name;
            (void)enqueue(request);
        }
    }
}

// A window is open as long as requests are in the generation that answered before, and not stuck.
void PluginHost::close_windows(milliseconds drain) {
    const RosterState& roster = roster_.state();
    const SteadyTime now = options_.deps.clock->steady();
    reports_.visit_windows([&](const ReloadReport& report, SwapWindow& window) {
        const Generation* const old = find_replaced(roster, report.plugin, report.from_generation);
        window.took = std::chrono::duration_cast<std::chrono::microseconds>(now - window.opened);
        const bool too_long = window.took > drain;
        const bool is_running = old != nullptr && roster_.routing().is_running(*old);
        const std::vector<Holder> holders =
            is_running ? roster_.routing().holders(*old, now) : std::vector<Holder>();
        const bool all_stuck =
            !holders.empty() && std::ranges::all_of(holders, [](const Holder& holder) {
                return holder.running > limits::kPluginStuckAfter;
            });
        if (is_running && !all_stuck && !too_long) return;
        window.stuck = holders.size();
        window.after = options_.ledger->read();
        window.closed = true;
    });
}

void PluginHost::take_loads() {
    for (LoadEnd& end : loads_.take()) {
        const auto config = this->config();
        Load load = *loading_;
        const std::uint64_t report = load.report;
        proceed(report, end ? on_loaded(deps_, *config, std::move(load), std::move(*end))
                            : on_load_refused(deps_, *config, std::move(load), end.error()));
    }
}

void PluginHost::begin_work() {
    const auto needs = [this](const ReloadRequest& request) {
        return needs_load(request, roster_.state());
    };
    const auto may = [this](const ReloadRequest& request) { return may_begin(request); };
    while (auto report = reports_.take(may, needs)) {
        const std::uint64_t id = report->id;
        proceed(id, begin(std::move(*report)));
    }
    while (!loading_ && !put_off_.empty()) {
        Load load = std::move(put_off_.front());
        put_off_.pop_front();
        const std::uint64_t id = load.report;
        reports_.resume_load(id);
        proceed(id, try_next_of_start(deps_, *config(), std::move(load)));
    }
}

// One load at a time; what needs none waits only for a load of its own plugin.
bool PluginHost::may_begin(const ReloadRequest& request) const {
    if (waits_for_bake(request, roster_.state())) return false;
    return !loading_ || (!needs_load(request, roster_.state()) &&
                         (loading_->request.plugin != request.plugin || loading_->request.dry_run));
}

Next PluginHost::begin(ReloadReport report) {
    const auto serving = [this](ReloadReport& changed) { set_serving(changed, roster_.state()); };
    serving(report);
    reports_.update(report.id, serving);
    const auto config = this->config();
    const ReloadRequest& request = report.request;
    // A start that a SIGHUP has asked for finds the plugin serving if the daemon's own start was
    // still under way then.
    const bool starts = (request.action == Action::kStart || request.action == Action::kReload) &&
                        request.file.empty() && !roster_.state().serves(request.plugin);
    if (starts) return begin_start(deps_, *config, report);
    switch (request.action) {
        case Action::kRollback: return roll_back(deps_, *config, report);
        case Action::kCommit: return commit_now(deps_, report);
        case Action::kUnpin: return unpin(deps_, report);
        case Action::kStart:
        case Action::kLoad:
        case Action::kReload: return begin_reload(deps_, *config, report);
    }
    return "unchanged";
}

void PluginHost::proceed(std::uint64_t report, Next next) {
    if (next) {
        if (auto* const load = std::get_if<Load>(&*next)) return post_or_put_off(std::move(*load));
    }
    if (loading_ && loading_->report == report) {
        loading_.reset();
        forget_old_artifacts();
    }
    reports_.complete(
        report, next ? Verdict<std::string>(std::get<std::string>(*next)) : refuse(next.error()));
}

// All committed files serve before a configured one is tried, which may take its time.
void PluginHost::post_or_put_off(Load load) {
    const bool can_wait =
        load.start && load.start->takes_configured && roster_.state().serves(load.request.plugin);
    if (!can_wait || !reports_.is_start_waiting()) return post(std::move(load));
    reports_.pause_load();
    loading_.reset();
    put_off_.push_back(std::move(load));
}

void PluginHost::post(Load load) {
    LoadOrder order = load.order;
    if (load.bake) order.shadow_requests = order.policy.bake_shadow;
    order.on_fault = [this] {
        if (roster_.any_bakes()) wake_.signal();
    };
    const std::uint64_t report = load.report;
    loading_ = std::move(load);
    loader_.post([this, order = std::move(order), report] {
        const Progress progress = [this, report](const auto& change) {
            reports_.update(report, change);
        };
        loads_.put(run_stages(
            order,
            {artifacts_, *history_, calls_, options_.deps, options_.probe_program, stopping_},
            progress));
    });
}

// Only while no load is under way: the file that is being loaded is worth keeping, too.
void PluginHost::forget_old_artifacts() {
    auto wanted = history_->worth_keeping();
    if (!wanted) return;
    for (const auto& [name, entry] : roster_.state().plugins) {
        if (entry.active) wanted->insert(entry.active->generation->sha256());
        if (entry.previous) wanted->insert(entry.previous->generation->sha256());
    }
    artifacts_.keep_only(*wanted);
    fault_point("plugin.artifacts_forgotten");
}

}  // namespace export_worker::plugins
