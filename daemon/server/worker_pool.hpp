// The threads that run calls, and the way there and back:
//
//   submit() -> [session lookup] -> queue -> [worker, commit or list worker] -> take_finished()
//
// Workers run what answers from memory or a plugin; each plugin has workers of its own, and so has
// the daemon. Commit workers run the methods that return only once something is durable, so that no
// link waits for a disk. List workers run those that read many rows, with a low priority. Session
// lookup threads ask the identity provider first where only it knows who is calling. Nothing here
// survives a crash.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.hpp"
#include "base/wake_event.hpp"
#include "daemon/model/ledger.hpp"
#include "daemon/server/call.hpp"
#include "daemon/server/dispatcher.hpp"
#include "daemon/server/fair_queue.hpp"
#include "daemon/server/list_admission.hpp"
#include "daemon/server/stuck_requests.hpp"
#include "daemon/server/worker_group.hpp"
#include "protocol/message/wire_error.hpp"

namespace export_worker::server {

struct WorkerPoolDeps {
    const Dispatcher& dispatcher;
    const Clock& clock;
    model::Hops& hops;          // Times of the queue and of the work.
    const WakeEvent& finished;  // Signalled when take_finished() has something to take.
};

// Used by the loop, but for stalled() and stuck(). Calls outlive the pool; each is the pool's from
// submit() until take_finished() hands it back.
class WorkerPool {
public:
    // All of `deps` outlive the pool. Starts the threads, but for the `workers` of each plugin:
    // they start with its first call.
    WorkerPool(const WorkerPoolDeps& deps, unsigned workers);
    ~WorkerPool();  // Only after a join() that returned 0.
    WorkerPool(const WorkerPool&) = delete;
    WorkerPool& operator=(const WorkerPool&) = delete;

    // Queues the call. An error: it cannot be run now, and stays the caller's. kOverloaded:
    // kSessionLookupsWaitingMax sessions wait for their lookup already, or as many requests as may
    // for a plugin that is silent. kPluginUnavailable: requests are stuck in the plugin.
    [[nodiscard]] std::optional<message::WireError> submit(Call& call);
    // Replaces `calls` with those that are over, in their order: with a reply when they were
    // running, without one when they had expired.
    void take_finished(std::vector<Call*>& calls);

    // To be called regularly with CallTable::stalled(): replaces the workers of these calls, and
    // decides which plugins take how many more.
    void review(std::span<Call* const> stalled, SteadyTime now);
    // After review(), until it is null: a queued call that its plugin cannot take after all. It is
    // the caller's again, to be answered with why_refused() if it has no answer.
    [[nodiscard]] Call* take_refused();
    [[nodiscard]] static message::WireError why_refused(const Call& call);
    // Of the last review. [any-thread]
    [[nodiscard]] unsigned stalled() const { return stalled_.load(); }
    [[nodiscard]] std::vector<StuckRequests> stuck() const { return stuck_.read(); }

    // From now on no queued call is started.
    void close();
    // After close(): waits for the threads, for workers at most `timeout`. Returns how many workers
    // have not come back from a plugin; they go on to use the pool, their calls and `deps`.
    // May be called again. [one-owner]
    [[nodiscard]] unsigned join(std::chrono::milliseconds timeout);

private:
    // [loop-thread]
    void add_group(const std::string& plugin);
    [[nodiscard]] WorkerGroup& group_of(const Call& call);
    [[nodiscard]] std::vector<StuckRequests> count_stalled(std::span<Call* const> stalled,
                                                           SteadyTime now);

    void run_worker(WorkerGroup& group);
    void run_own_worker(WorkerGroup& group);
    void run_commit_worker();
    void run_list_admission();
    void run_list_worker();
    void refuse_list(Call& call);
    void run_session_lookup();
    // False: the loop has answered it, because its deadline has passed.
    [[nodiscard]] bool start(Call& call);
    void finish(std::span<Call* const> calls);
    [[nodiscard]] FairQueue& queue_of(const Call& call) {
        if (call.lists) return lists_;
        return call.commits ? commits_ : call.group->ready;
    }

    const WorkerPoolDeps deps_;
    const unsigned workers_;    // Of each group.
    FairQueue commits_;         // For the commit workers.
    FairQueue lists_;           // To be admitted.
    FairQueue admitted_lists_;  // For the list workers.
    ListAdmission list_admission_;
    FairQueue lookups_;  // For the session lookup threads, which move them on to one of the others.

    std::mutex finished_mutex_;
    std::vector<Call*> finished_;  // Guarded by finished_mutex_.

    std::vector<std::thread> commit_workers_;
    std::vector<std::thread> list_workers_;  // And the one that admits.
    std::vector<std::thread> session_lookups_;

    // Of the loop, to see which plugin a call is for.
    WorkerScratch scratch_;
    Provider provider_;
    std::atomic<unsigned> stalled_{0};
    StuckRequestList stuck_;
    std::atomic<unsigned> workers_started_{0};
    // The first is the daemon's own. They stay until the end. Last: their threads use everything
    // above.
    std::vector<std::unique_ptr<WorkerGroup>> groups_;
};

}  // namespace export_worker::server
