// The threads that run calls, and the way there and back:
//
//   submit() -> [session lookup] -> queue -> [worker or commit worker] -> take_finished()
//
// Workers run what answers from memory or a plugin. Commit workers run the methods that return only
// once something is durable, so that no link waits for a disk. Session lookup threads ask the
// identity provider first where only it knows who is calling. Nothing here survives a crash.
#pragma once

#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "base/clock.hpp"
#include "daemon/model/ledger.hpp"
#include "daemon/server/call.hpp"
#include "daemon/server/dispatcher.hpp"
#include "daemon/server/fair_queue.hpp"
#include "daemon/server/wake_event.hpp"
#include "daemon/server/worker_threads.hpp"

namespace export_worker::server {

struct WorkerPoolDeps {
    const Dispatcher& dispatcher;
    const Clock& clock;
    model::Hops& hops;          // Times of the queue and of the work.
    const WakeEvent& finished;  // Signalled when take_finished() has something to take.
};

// Used by the loop, but for stalled(). Calls outlive the pool; each is the pool's from submit()
// until take_finished() hands it back.
class WorkerPool {
public:
    // All of `deps` outlive the pool. Starts the threads; `workers` of them are workers.
    WorkerPool(const WorkerPoolDeps& deps, unsigned workers);
    ~WorkerPool();  // Only after a join() that returned 0.
    WorkerPool(const WorkerPool&) = delete;
    WorkerPool& operator=(const WorkerPool&) = delete;

    // Queues the call. False: kSessionLookupsWaitingMax sessions are waiting for their lookup
    // already, and the call stays the caller's.
    [[nodiscard]] bool submit(Call& call);
    // Replaces `calls` with those that are over, in their order: with a reply when they were
    // running, without one when they had expired.
    void take_finished(std::vector<Call*>& calls);

    // See WorkerThreads.
    void replace_stalled(unsigned stalled) { workers_.replace_stalled(stalled); }
    [[nodiscard]] unsigned stalled() const { return workers_.stalled(); }  // [any-thread]

    // From now on no queued call is started.
    void close();
    // After close(): waits for the threads, for workers at most kSocketLinger. Returns how many
    // workers have not come back from a plugin; they go on to use the pool, their calls and `deps`.
    // May be called again. [one-owner]
    [[nodiscard]] unsigned join();

private:
    void run_worker(unsigned number);
    void run_commit_worker();
    void run_session_lookup();
    // False: the loop has answered it, because its deadline has passed.
    [[nodiscard]] bool start(Call& call);
    void finish(std::span<Call* const> calls);
    [[nodiscard]] FairQueue& queue_of(const Call& call) { return call.commits ? commits_ : ready_; }

    const WorkerPoolDeps deps_;
    FairQueue ready_;    // For the workers.
    FairQueue commits_;  // For the commit workers.
    FairQueue lookups_;  // For the session lookup threads, which move them on to one of the others.

    std::mutex finished_mutex_;
    std::vector<Call*> finished_;  // Guarded by finished_mutex_.

    std::vector<std::thread> commit_workers_;
    std::vector<std::thread> session_lookups_;
    WorkerThreads workers_;
};

}  // namespace export_worker::server
