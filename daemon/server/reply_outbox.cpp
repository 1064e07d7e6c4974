#include "daemon/server/reply_outbox.hpp"

#include <algorithm>
#include <utility>

#include "daemon/server/limits.hpp"
#include "protocol/transport/limits.hpp"

namespace export_worker::server {

using transport::SendOutcome;

bool ReplyOutbox::add(const transport::Envelope& envelope, std::string_view reply, bool is_result,
                      SteadyTime now) {
    const Peer* const held = find(envelope);
    const std::size_t held_count = held == nullptr ? 0 : held->replies.size();
    const std::size_t held_bytes = held == nullptr ? 0 : held->bytes;
    if (held_count + size_ >= limits::kUnsentRepliesMax ||
        held_bytes + bytes_ + reply.size() > limits::kUnsentBytesMax)
        return false;
    Peer& peer = peer_of(envelope);
    peer.replies.push_back({envelope, std::string(reply), now + limits::kSocketLinger, is_result});
    peer.bytes += reply.size();
    bytes_ += reply.size();
    ++size_;
    return true;
}

ReplyOutbox::Retried ReplyOutbox::retry(std::size_t count_max, SteadyTime now, const Send& send) {
    Retried out;
    for (std::size_t turns = peers_.size(); turns > 0 && count_max > 0; --turns) {
        Peer& peer = peers_.front();
        while (retry_oldest(peer, count_max, now, send, out)) {
        }
        if (peer.replies.empty()) {
            by_id_.erase(peer.id);
            peers_.pop_front();
        } else {
            peers_.splice(peers_.end(), peers_, peers_.begin());
        }
    }
    return out;
}

bool ReplyOutbox::retry_oldest(Peer& peer, std::size_t& tries_left, SteadyTime now,
                               const Send& send, Retried& out) {
    if (peer.replies.empty() || tries_left == 0) return false;
    --tries_left;
    const Unsent& oldest = peer.replies.front();
    const SendOutcome outcome = send(oldest.envelope, oldest.reply);
    if (outcome == SendOutcome::kSent) {
        ++(oldest.is_result ? out.results_sent : out.errors_sent);
    } else if (outcome == SendOutcome::kPeerGone || now >= oldest.give_up) {
        ++out.given_up;
    } else {
        return false;
    }
    peer.bytes -= oldest.reply.size();
    bytes_ -= oldest.reply.size();
    --size_;
    peer.replies.pop_front();
    return true;
}

bool ReplyOutbox::holds(const transport::Envelope& envelope) const {
    return find(envelope) != nullptr;
}

bool ReplyOutbox::is_backlogged(const transport::Envelope& envelope) const {
    const Peer* const peer = find(envelope);
    return peer != nullptr && (peer->bytes >= limits::kUnsentPeerWorkBytesMax ||
                               peer->replies.size() >= limits::kUnsentPeerWorkRepliesMax);
}

const ReplyOutbox::Peer* ReplyOutbox::find(const transport::Envelope& envelope) const {
    if (by_id_.empty()) return nullptr;
    const auto found = by_id_.find(envelope.peer());
    return found == by_id_.end() ? nullptr : &*found->second;
}

ReplyOutbox::Peer& ReplyOutbox::peer_of(const transport::Envelope& envelope) {
    if (const auto found = by_id_.find(envelope.peer()); found != by_id_.end())
        return *found->second;
    Peer& peer = peers_.emplace_back();
    peer.id = envelope.peer();
    by_id_.emplace(peer.id, std::prev(peers_.end()));
    return peer;
}

}  // namespace export_worker::server
