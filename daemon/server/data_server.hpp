// The data socket: one loop thread that owns it, workers that run the methods, and writers that
// run those which wait for a disk, so that nobody's link waits for one.
//
//   peer -> [loop] -> queue -> [worker or writer] -> finished list -> [loop] -> peer
//
// A request occupies one of kCallsMax slots from arrival to reply; without a free slot it is
// answered "overloaded" on the spot. Slots and their buffers are reused, so a steady load allocates
// nothing here. Every accepted request gets exactly one reply: its worker's, or the loop's when its
// deadline passes first; the later one is dropped.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/clock.hpp"
#include "base/unique_fd.hpp"
#include "daemon/model/ledger.hpp"
#include "daemon/server/dispatcher.hpp"
#include "daemon/server/limits.hpp"
#include "protocol/transport/server_socket.hpp"

namespace export_worker::server {

class DataServer {
public:
    // Everything outlives the server. Starts the threads. The loop counts in `ledger`.
    DataServer(transport::ServerSocket socket, const Dispatcher& dispatcher, const Clock& clock,
               unsigned workers, model::Ledger& ledger);
    ~DataServer();  // stop() without a drain.
    DataServer(const DataServer&) = delete;
    DataServer& operator=(const DataServer&) = delete;

    // From now on new requests are answered "draining". [any-thread]
    void drain();
    // drain(), waits for what is in flight (at most kDrainTimeout), then ends the threads. A worker
    // stuck in a plugin is left behind and ends with the process.
    void stop();

    // Requests that occupy a slot: not answered yet, or answered while their worker goes on.
    [[nodiscard]] std::size_t occupied() const { return occupied_.load(); }
    // Workers inside one request for longer than kWorkerStall; as many were started in their place.
    [[nodiscard]] unsigned stalled_workers() const { return stalled_.load(); }
    [[nodiscard]] bool draining() const { return draining_.load(); }

private:
    enum class CallState : std::uint8_t {
        kFree,     // In free_.
        kQueued,   // In a queue, or popped by a worker that has not started it.
        kRunning,  // A worker or writer has it.
        kExpired,  // Its deadline passed while it was queued: the worker that pops it hands it
                   // back.
    };
    struct Call {
        transport::Envelope envelope;
        std::string body;
        message::Request request;  // Views into body, but for an id that was made here.
        std::string own_id;
        SteadyTime arrived;
        SteadyTime deadline;
        bool writes = false;                      // For the writers.
        std::size_t peer_class = 0;               // Below kPeerClasses.
        std::atomic<std::int64_t> started_ns{0};  // Since when somebody runs it.
        std::string reply;
        bool reply_is_result = false;
        std::atomic<CallState> state{CallState::kFree};
        // Loop thread only:
        bool answered = false;
    };

    struct Unsent {
        transport::Envelope envelope;
        std::string reply;
        SteadyTime give_up;
        bool is_result;
    };

    // Peers take turns, by their class (stochastic fair queueing, McKenney 1990): the many calls of
    // one do not delay the first of another.
    // The first call wakes a thread, and a thread that leaves calls behind wakes the next one: many
    // that come at once do not cost a wake-up each.
    class CallQueue {
    public:
        std::mutex mutex;
        std::condition_variable changed;

        // All with the mutex held; pop() with a call there.
        [[nodiscard]] std::size_t size() const { return size_; }
        void push(Call* call);
        [[nodiscard]] Call* pop();

    private:
        std::array<std::deque<Call*>, limits::kPeerClasses> classes_;
        std::uint64_t waiting_ = 0;  // A bit for each class that has calls.
        int turn_ = 0;               // The class that is looked at first.
        std::size_t size_ = 0;
    };

    void run_loop();
    void run_worker(unsigned number);
    void run_writer();
    void run_identifier();
    // The next call of `queue`; null once the server stops.
    [[nodiscard]] Call* next_of(CallQueue& queue);
    // The same without waiting for one.
    [[nodiscard]] static Call* take_of(CallQueue& queue);
    // False: the loop has answered it, because its deadline has passed.
    [[nodiscard]] bool begin(Call& call);
    void finish(std::span<Call* const> calls);
    [[nodiscard]] bool is_surplus();
    void start_worker();
    void replace_stalled();
    void receive_some();
    // What was received without a slot, or over a budget.
    void refuse_overloaded(Call& call, std::string why);
    // True: no room for this request.
    [[nodiscard]] bool is_over_budget(const Call& call) const;
    void accept(Call& call);
    void answer_ping(Call& call);
    void push(CallQueue& queue, Call& call);
    // False: too many wait for the identity provider already.
    [[nodiscard]] bool push_for_identification(Call& call);
    void collect_finished();
    void expire_overdue();
    void retry_unsent(std::size_t count);
    void push_unsent(Unsent unsent);
    [[nodiscard]] Unsent pop_unsent();
    [[nodiscard]] std::size_t unsent_bytes_of(const transport::Envelope& envelope) const;
    // Calls whose envelopes go together, as one message.
    void answer(std::span<Call* const> calls);
    void note_answer(Call& call, bool is_result);
    // After it was sent, or not.
    void settle(const Call& call, std::string_view reply, bool is_result,
                transport::SendOutcome outcome);
    void answer_error(Call& call, const message::WireError& error);
    void count_answer(bool sent, bool is_result);
    void free_call(Call& call);
    void wake_loop();

    transport::ServerSocket socket_;  // Loop thread.
    const Dispatcher& dispatcher_;
    const Clock& clock_;
    model::Ledger& ledger_;
    std::atomic<bool> draining_{false};
    std::atomic<bool> stopping_{false};
    std::atomic<std::size_t> occupied_{0};
    std::atomic<unsigned> stalled_{0};
    std::atomic<unsigned> spare_workers_{0};  // Started in the place of stalled ones.
    UniqueFd wake_fd_;

    std::vector<std::unique_ptr<Call>> calls_;  // All of them, for ever.
    // Loop thread only:
    std::vector<Call*> free_;
    std::vector<Call*> collected_;           // Swapped with finished_, so that neither allocates.
    std::vector<std::string_view> replies_;  // Of one message.
    std::deque<Unsent>
        unsent_;  // Replies a busy peer has not taken yet. At most kUnsentRepliesMax.
    std::size_t unsent_bytes_ = 0;                                    // Of their replies.
    std::unordered_map<std::string, std::size_t> unsent_peer_bytes_;  // Of each peer that has any.
    std::array<std::size_t, limits::kPeerClasses> class_calls_{};     // Slots of each class.
    std::size_t calls_bytes_ = 0;                                     // Of the requests in slots.
    Call overflow_;                                                   // For what has no slot.
    SteadyTime next_scan_{};

    CallQueue ready_;         // For the workers.
    CallQueue writing_;       // For the writers.
    CallQueue unidentified_;  // For the identifiers, who move them on to one of the other two.

    std::mutex finished_mutex_;
    std::vector<Call*> finished_;  // Guarded by finished_mutex_.

    std::mutex ended_mutex_;
    std::condition_variable ended_changed_;
    unsigned worker_count_ = 0;  // Guarded by ended_mutex_, like the next two.
    std::vector<std::thread> workers_;
    std::vector<std::thread::id> ended_;  // Surplus workers that have left, to be joined.
    const unsigned workers_wanted_;
    unsigned workers_started_ = 0;  // Loop thread, after the constructor.

    std::vector<std::thread> writers_;
    std::vector<std::thread> identifiers_;
    std::thread loop_;
};

}  // namespace export_worker::server
