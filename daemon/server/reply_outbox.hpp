// Replies that a busy peer has not taken yet, within budgets: a peer that does not read costs a
// bounded amount of memory, and nothing of another peer's. A crash loses them.
//
// A peer may hold as much as is free (dynamic thresholds, Choudhury and Hahne 1998): alone half of
// each budget, and another one always finds some. Peers take turns; the replies to one keep their
// order.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <list>
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

    // Copies a reply that could not be sent at `now`. False, and nothing is kept: the peer holds
    // as much as is free of kUnsentRepliesMax or kUnsentBytesMax.
    [[nodiscard]] bool add(const transport::Envelope& envelope, std::string_view reply,
                           bool is_result, SteadyTime now);
    // Tries at most `count_max` of them once more, each peer's until it takes no more.
    [[nodiscard]] Retried retry(std::size_t count_max, SteadyTime now, const Send& send);

    // Replies to the peer wait: later ones must not overtake them.
    [[nodiscard]] bool holds(const transport::Envelope& envelope) const;
    // The peer has kUnsentPeerWorkBytesMax or kUnsentPeerWorkRepliesMax of its own to read: no new
    // work for it.
    [[nodiscard]] bool is_backlogged(const transport::Envelope& envelope) const;
    [[nodiscard]] std::size_t size() const { return size_; }

private:
    struct Unsent {
        transport::Envelope envelope;
        std::string reply;
        SteadyTime give_up;
        bool is_result;
    };
    struct Peer {
        std::string id;
        std::deque<Unsent> replies;  // Never empty.
        std::size_t bytes = 0;       // Of the replies.
    };

    [[nodiscard]] const Peer* find(const transport::Envelope& envelope) const;
    [[nodiscard]] Peer& peer_of(const transport::Envelope& envelope);
    // False: the peer takes no more, or `tries_left` is used up.
    [[nodiscard]] bool retry_oldest(Peer& peer, std::size_t& tries_left, SteadyTime now,
                                    const Send& send, Retried& out);

    std::list<Peer> peers_;  // Those with replies, the next turn first.
    std::unordered_map<std::string_view, std::list<Peer>::iterator> by_id_;  // Keys are Peer::id.
    std::size_t size_ = 0;
    std::size_t bytes_ = 0;
};

}  // namespace export_worker::server
