// Replies that a busy peer has not taken yet, within budgets: a peer that does not read costs a
// bounded amount of memory, and nothing of another peer's. A crash loses them.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.hpp"
#include "protocol/transport/server_socket.hpp"

namespace export_worker::server {

// [one-owner]
class ReplyOutbox {
public:
    using Send =
        std::function<transport::SendOutcome(const transport::Envelope&, std::string_view reply)>;
    // Replies that have left the outbox.
    struct Retried {
        std::size_t results_sent = 0;
        std::size_t errors_sent = 0;
        std::size_t given_up = 0;  // The peer is gone, or did not read for kSocketLinger.
    };

    // Copies a reply that could not be sent at `now`. False, and nothing is kept: over
    // kUnsentRepliesMax, kUnsentBytesMax or kUnsentPeerBytesMax.
    [[nodiscard]] bool add(const transport::Envelope& envelope, std::string_view reply,
                           bool is_result, SteadyTime now);
    // Tries at most `count_max` of them once more; those that have waited longest go first.
    [[nodiscard]] Retried retry(std::size_t count_max, SteadyTime now, const Send& send);

    // The peer has kUnsentPeerWorkBytesMax or more of its own to read: no new work for it.
    [[nodiscard]] bool is_backlogged(const transport::Envelope& envelope) const;
    [[nodiscard]] std::size_t size() const { return unsent_.size(); }

private:
    struct Unsent {
        transport::Envelope envelope;
        std::string reply;
        SteadyTime give_up;
        bool is_result;
    };

    void push(Unsent unsent);
    [[nodiscard]] Unsent pop();
    [[nodiscard]] std::size_t bytes_of(const transport::Envelope& envelope) const;

    std::deque<Unsent> unsent_;
    std::size_t bytes_ = 0;                                    // Of their replies.
    std::unordered_map<std::string, std::size_t> peer_bytes_;  // Of each peer that has any.
};

}  // namespace export_worker::server
