#include "daemon/server/worker_pool.hpp"

#include <string>

#include "base/assert.hpp"
#include "base/this_thread.hpp"
#include "base/thread_role.hpp"
#include "daemon/server/limits.hpp"
#include "protocol/transport/limits.hpp"

namespace export_worker::server {
namespace {

void join_all(std::vector<std::thread>& threads) {
    for (std::thread& thread : threads) thread.join();
    threads.clear();
}

}  // namespace

WorkerPool::WorkerPool(const WorkerPoolDeps& deps, unsigned workers)
    : deps_(deps), workers_(workers, [this](unsigned number) { run_worker(number); }) {
    finished_.reserve(limits::kCallsMax);
    for (unsigned index = 0; index < limits::kServerCommitWorkers; ++index)
        commit_workers_.emplace_back([this] { run_commit_worker(); });
    for (unsigned index = 0; index < limits::kServerSessionLookups; ++index)
        session_lookups_.emplace_back([this] { run_session_lookup(); });
}

WorkerPool::~WorkerPool() {
    EW_ASSERT(commit_workers_.empty() && session_lookups_.empty());
}

bool WorkerPool::submit(Call& call) {
    call.progress.queue();
    // Strangers with made-up tokens may fill the queue of the lookups, but no other.
    if (deps_.dispatcher.must_identify(call.request))
        return lookups_.try_push(call, limits::kSessionLookupsWaitingMax);
    queue_of(call).push(call);
    return true;
}

void WorkerPool::take_finished(std::vector<Call*>& calls) {
    calls.clear();
    const std::lock_guard lock(finished_mutex_);
    calls.swap(finished_);  // So that neither allocates.
}

void WorkerPool::close() {
    for (FairQueue* queue : {&ready_, &commits_, &lookups_}) queue->close();
}

unsigned WorkerPool::join() {
    join_all(session_lookups_);
    join_all(commit_workers_);
    return workers_.join(limits::kSocketLinger);
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

void WorkerPool::run_worker(unsigned number) {
    const std::string name = "worker " + std::to_string(number);
    name_this_thread(name);
    set_thread_role(ThreadRole::kWorker);
    WorkerScratch scratch = deps_.dispatcher.make_scratch(name);
    while (Call* call = ready_.pop()) {
        if (start(*call)) {
            call->reply_is_result = deps_.dispatcher.dispatch(
                call->request, call->progress.started(), call->deadline.time_since_epoch().count(),
                nullptr, scratch, call->reply);
        }
        finish({&call, 1});
        if (workers_.leave_if_surplus()) return;
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

void WorkerPool::run_session_lookup() {
    name_this_thread("session lookup");
    while (Call* call = lookups_.pop()) {
        // It stays queued: if its deadline passes meanwhile, the loop answers it.
        deps_.dispatcher.identify(call->request);
        queue_of(*call).push(*call);
    }
}

}  // namespace export_worker::server
