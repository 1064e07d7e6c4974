#include "daemon/server/reply_outbox.hpp"

#include <algorithm>
#include <utility>

#include "daemon/server/limits.hpp"
#include "protocol/transport/limits.hpp"

namespace export_worker::server {

using transport::SendOutcome;

bool ReplyOutbox::add(const transport::Envelope& envelope, std::string_view reply, bool is_result,
                      SteadyTime now) {
    if (unsent_.size() >= limits::kUnsentRepliesMax ||
        bytes_ + reply.size() > limits::kUnsentBytesMax ||
        bytes_of(envelope) + reply.size() > limits::kUnsentPeerBytesMax)
        return false;
    push({envelope, std::string(reply), now + limits::kSocketLinger, is_result});
    return true;
}

ReplyOutbox::Retried ReplyOutbox::retry(std::size_t count_max, SteadyTime now, const Send& send) {
    Retried out;
    for (std::size_t left = std::min(count_max, unsent_.size()); left > 0; --left) {
        Unsent unsent = pop();
        const SendOutcome outcome = send(unsent.envelope, unsent.reply);
        if (outcome == SendOutcome::kSent) {
            ++(unsent.is_result ? out.results_sent : out.errors_sent);
        } else if (outcome == SendOutcome::kPeerGone || now >= unsent.give_up) {
            ++out.given_up;
        } else {
            push(std::move(unsent));
        }
    }
    return out;
}

bool ReplyOutbox::is_backlogged(const transport::Envelope& envelope) const {
    return bytes_of(envelope) >= limits::kUnsentPeerWorkBytesMax;
}

void ReplyOutbox::push(Unsent unsent) {
    bytes_ += unsent.reply.size();
    peer_bytes_[std::string(unsent.envelope.peer())] += unsent.reply.size();
    unsent_.push_back(std::move(unsent));
}

ReplyOutbox::Unsent ReplyOutbox::pop() {
    Unsent unsent = std::move(unsent_.front());
    unsent_.pop_front();
    bytes_ -= unsent.reply.size();
    const auto peer = peer_bytes_.find(std::string(unsent.envelope.peer()));
    peer->second -= unsent.reply.size();
    if (peer->second == 0) peer_bytes_.erase(peer);
    return unsent;
}

std::size_t ReplyOutbox::bytes_of(const transport::Envelope& envelope) const {
    if (peer_bytes_.empty()) return 0;
    const auto peer = peer_bytes_.find(std::string(envelope.peer()));
    return peer == peer_bytes_.end() ? 0 : peer->second;
}

}  // namespace export_worker::server
