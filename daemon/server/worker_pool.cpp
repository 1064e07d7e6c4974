#include "daemon/server/worker_pool.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "base/assert.hpp"
#include "base/this_thread.hpp"
#include "base/thread_role.hpp"
#include "daemon/server/limits.hpp"
#include "protocol/message/reply.hpp"
#include "protocol/transport/limits.hpp"

namespace export_worker::server {
namespace {

using message::WireCode;

message::WireError retryable(WireCode code, std::string text) {
    message::WireError error = message::make_error(code, std::move(text));
    error.retry_after_ms = limits::kPluginStuckRetryMs;
    return error;
}

// Whether the plugin takes no requests, but for a few that try whether it answers again.
bool is_closed(const PluginAdmission& admission) {
    return admission.state() == PluginAdmission::State::kStuck ||
           admission.state() == PluginAdmission::State::kHung;
}

void join_all(std::vector<std::thread>& threads) {
    for (std::thread& thread : threads) thread.join();
    threads.clear();
}

}  // namespace

WorkerPool::WorkerPool(const WorkerPoolDeps& deps, unsigned workers)
    : deps_(deps), workers_(workers), scratch_(deps.dispatcher.make_scratch("loop")) {
    finished_.reserve(limits::kCallsMax);
    add_group("");
    for (unsigned index = 0; index < limits::kServerCommitWorkers; ++index)
        commit_workers_.emplace_back([this] { run_commit_worker(); });
    for (unsigned index = 0; index < limits::kServerListWorkers; ++index)
        list_workers_.emplace_back([this] { run_list_worker(); });
    list_workers_.emplace_back([this] { run_list_admission(); });
    for (unsigned index = 0; index < limits::kServerSessionLookups; ++index)
        session_lookups_.emplace_back([this] { run_session_lookup(); });
}

WorkerPool::~WorkerPool() {
    EW_ASSERT(commit_workers_.empty() && list_workers_.empty() && session_lookups_.empty());
}

void WorkerPool::add_group(const std::string& plugin) {
    groups_.push_back(std::make_unique<WorkerGroup>(plugin, workers_, [this](WorkerGroup& group) {
        group.plugin.empty() ? run_own_worker(group) : run_worker(group);
    }));
}

WorkerGroup& WorkerPool::group_of(const Call& call) {
    if (call.is_own) return *groups_.front();
    deps_.dispatcher.find_provider(call.request.method, scratch_.slot, provider_);
    for (const auto& group : groups_) {
        if (group->plugin == provider_.plugin) return *group;
    }
    if (groups_.size() <= limits::kPluginWorkerGroupsMax) add_group(provider_.plugin);
    return *groups_.back();
}

std::optional<message::WireError> WorkerPool::submit(Call& call) {
    WorkerGroup& group = group_of(call);
    call.group = &group;
    call.generation.store(0, std::memory_order_relaxed);
    call.is_refused = false;
    const bool has_limit = !group.plugin.empty();
    if (has_limit && !group.admission.try_enter(provider_.generation, call.arrived))
        return why_refused(call);
    call.progress.queue();
    if (!deps_.dispatcher.must_identify(call.request)) {
        queue_of(call).push(call);
        return std::nullopt;
    }
    // Strangers with made-up tokens may fill the queue of the lookups, but no other.
    if (lookups_.try_push(call, limits::kSessionLookupsWaitingMax)) return std::nullopt;
    if (has_limit) group.admission.leave();
    return retryable(WireCode::kOverloaded, "too many sessions are being checked; try again");
}

void WorkerPool::take_finished(std::vector<Call*>& calls) {
    calls.clear();
    {
        const std::lock_guard lock(finished_mutex_);
        calls.swap(finished_);  // So that neither allocates.
    }
    if (calls.empty()) return;
    const SteadyTime now = deps_.clock.steady();
    for (const Call* call : calls) {
        if (call->group->plugin.empty()) continue;
        const bool has_run = call->progress.state() == CallProgress::State::kRunning;
        has_run ? call->group->admission.answer(now) : call->group->admission.leave();
    }
}

// Adds up the calls by group, and those that are stuck by generation.
std::vector<StuckRequests> WorkerPool::count_stalled(std::span<Call* const> stalled,
                                                     SteadyTime now) {
    std::vector<StuckRequests> stuck;
    for (const auto& group : groups_) group->counts = {};
    for (const Call* call : stalled) {
        WorkerGroup& group = *call->group;
        ++group.counts.stalled;
        const std::uint64_t generation = call->generation.load(std::memory_order_relaxed);
        if (generation == 0 || now < call->deadline) continue;
        if (generation == group.admission.generation()) ++group.counts.stuck;
        add_stuck(stuck,
                  {group.plugin, generation, 1, now - call->progress.started(),
                   std::string(call->request.id), call->worker.load(std::memory_order_relaxed)});
    }
    return stuck;
}

void WorkerPool::review(std::span<Call* const> stalled, SteadyTime now) {
    std::vector<StuckRequests> stuck = count_stalled(stalled, now);
    for (const auto& group : groups_) {
        const unsigned count = group->counts.stalled;
        group->threads.replace_stalled(count);
        if (group->plugin.empty()) continue;
        const unsigned threads = workers_ + group->threads.stalled();
        group->admission.review(group->counts, threads - std::min(threads, count), now);
        for (StuckRequests& each : stuck) {
            if (each.plugin != group->plugin) continue;
            each.plugin_is_closed = is_closed(group->admission);
            each.is_replaced = each.generation != group->admission.generation();
        }
    }
    stalled_.store(static_cast<unsigned>(stalled.size()));
    stuck_.set(std::move(stuck));
}

Call* WorkerPool::take_refused() {
    for (const auto& group : groups_) {
        if (!group->admission.has_too_many()) continue;
        Call* const call = group->ready.try_pop();
        if (call == nullptr) continue;
        group->admission.leave();
        return call;
    }
    return nullptr;
}

message::WireError WorkerPool::why_refused(const Call& call) {
    const WorkerGroup& group = *call.group;
    if (!is_closed(group.admission)) {
        return retryable(WireCode::kOverloaded, "plugin " + group.plugin +
                                                    " has answered nothing for a while and " +
                                                    std::to_string(limits::kSilentPluginCallsMax) +
                                                    " requests wait for it; try again");
    }
    return retryable(WireCode::kPluginUnavailable,
                     "plugin " + group.plugin +
                         " does not answer: requests are past their deadline and still inside it; "
                         "try again later (operators: exportctl status names them)");
}

void WorkerPool::close() {
    for (const auto& group : groups_) group->ready.close();
    commits_.close();
    lists_.close();
    admitted_lists_.close();
    lookups_.close();
}

unsigned WorkerPool::join(std::chrono::milliseconds timeout) {
    join_all(session_lookups_);
    join_all(commit_workers_);
    join_all(list_workers_);
    // One time for all groups.
    const SteadyTime end = deps_.clock.steady() + timeout;
    unsigned left = 0;
    for (const auto& group : groups_) {
        const auto time_left = std::chrono::duration_cast<std::chrono::milliseconds>(
            end - std::min(end, deps_.clock.steady()));
        left += group->threads.join(time_left);
    }
    return left;
}

bool WorkerPool::start(Call& call) {
    const SteadyTime now = deps_.clock.steady();
    deps_.hops.queued.observe(now - call.arrived);
    return call.progress.try_start(now);
}

void WorkerPool::finish(std::span<Call* const> calls) {
    const SteadyTime now = deps_.clock.steady();
    for (const Call* call : calls) {
        if (call->progress.state() == CallProgress::State::kRunning)
            deps_.hops.handled.observe(now - call->progress.started());
    }
    bool first = false;
    {
        const std::lock_guard lock(finished_mutex_);
        first = finished_.empty();
        finished_.insert(finished_.end(), calls.begin(), calls.end());
    }
    if (first) deps_.finished.signal();  // Otherwise a signal is on its way already.
}

void WorkerPool::run_worker(WorkerGroup& group) {
    const unsigned number = ++workers_started_;
    const std::string name = "worker " + std::to_string(number);
    name_this_thread(name);
    set_thread_role(ThreadRole::kWorker);
    WorkerScratch scratch = deps_.dispatcher.make_scratch(name);
    while (Call* call = group.ready.pop()) {
        if (start(*call)) {
            call->worker.store(number, std::memory_order_relaxed);
            scratch.entered = &call->generation;
            call->reply_is_result = deps_.dispatcher.dispatch(
                call->request, call->progress.started(), call->deadline.time_since_epoch().count(),
                nullptr, scratch, call->reply);
        }
        finish({&call, 1});
        if (group.threads.leave_if_surplus()) return;
    }
}

// For methods that no plugin answers.
void WorkerPool::run_own_worker(WorkerGroup& group) {
    name_this_thread("own worker");
    set_thread_role(ThreadRole::kWorker);
    while (Call* call = group.ready.pop()) {
        if (start(*call)) {
            call->reply_is_result = deps_.dispatcher.begin_own(call->request, nullptr)(call->reply);
        }
        finish({&call, 1});
        if (group.threads.leave_if_surplus()) return;
    }
}

void WorkerPool::run_commit_worker() {
    name_this_thread("commit worker");
    set_thread_role(ThreadRole::kWorker);
    std::vector<Dispatcher::Finish> begun;
    std::vector<Call*> calls;
    while (Call* call = commits_.pop()) {
        // Those that are there share one sync: all are begun before the first is waited for.
        for (; call != nullptr;
             call = calls.size() < limits::kCallsPerCommitWorker ? commits_.try_pop() : nullptr) {
            calls.push_back(call);
            begun.push_back(start(*call) ? deps_.dispatcher.begin_own(call->request, nullptr)
                                         : nullptr);
        }
        for (std::size_t index = 0; index < calls.size(); ++index) {
            if (begun[index]) calls[index]->reply_is_result = begun[index](calls[index]->reply);
        }
        finish(calls);  // One wake-up of the loop for all.
        begun.clear();
        calls.clear();
    }
}

// A thread of its own, so that refusals wait for no list.
void WorkerPool::run_list_admission() {
    name_this_thread("list admission");
    while (Call* call = lists_.pop()) {
        // It stays queued: if its deadline passes meanwhile, the loop answers it.
        switch (list_admission_.enter(*call, deps_.dispatcher.organization_of(call->request))) {
            case ListAdmission::Entry::kRuns: admitted_lists_.push(*call); break;
            case ListAdmission::Entry::kWaits: break;
            case ListAdmission::Entry::kRefused: refuse_list(*call); break;
        }
    }
}

void WorkerPool::run_list_worker() {
    name_this_thread("list worker");
    set_thread_role(ThreadRole::kWorker);
    give_way_to_other_threads();
    while (Call* call = admitted_lists_.pop()) {
        if (start(*call))
            call->reply_is_result = deps_.dispatcher.begin_own(call->request, nullptr)(call->reply);
        Call* const next = list_admission_.leave(*call);
        finish({&call, 1});
        if (next != nullptr) admitted_lists_.push(*next);
    }
}

void WorkerPool::refuse_list(Call& call) {
    if (start(call)) {
        message::WireError error = message::make_error(
            WireCode::kOverloaded,
            "too many lists of this organization are under way; expected at most " +
                std::to_string(limits::kListsRunningPerOrganization +
                               limits::kListsWaitingPerOrganization) +
                " at a time; try again");
        error.retry_after_ms = limits::kListRetryMs;
        message::encode_error(call.reply, call.request.id, error, nullptr);
        call.reply_is_result = false;
        call.is_refused = true;
    }
    Call* const over = &call;
    finish({&over, 1});
}

void WorkerPool::run_session_lookup() {
    name_this_thread("session lookup");
    while (Call* call = lookups_.pop()) {
        // It stays queued: if its deadline passes meanwhile, the loop answers it.
        deps_.dispatcher.identify(call->request);
        queue_of(*call).push(*call);
    }
}

}  // namespace export_worker::server
