#include "protocol/transport/send_budget.hpp"

#include <algorithm>

#include "protocol/transport/limits.hpp"

namespace export_worker::transport {

struct SendBudget::Counted {
    std::string frame;
    std::size_t bytes;
    Count peer;
    Count total;
};

bool SendBudget::has_room(std::string_view peer, std::size_t bytes) const {
    const auto fits = [bytes](std::size_t held, std::size_t max) {
        return held == 0 || held + bytes <= max;
    };
    const auto found = peers_.find(std::string(peer));
    return fits(total_->load(), limits::kBytesInFlightMax) &&
           (found == peers_.end() || fits(found->second->load(), limits::kPeerBytesInFlightMax));
}

zmq::message_t SendBudget::make_frame(std::string_view peer, std::string_view frame,
                                      std::size_t bytes) {
    forget_idle();
    Count& count = peers_[std::string(peer)];
    if (!count) count = std::make_shared<std::atomic<std::size_t>>(0);
    auto counted = std::make_unique<Counted>(Counted{std::string(frame), bytes, count, total_});
    zmq::message_t message(counted->frame.data(), counted->frame.size(), release, counted.get());
    count->fetch_add(bytes);
    total_->fetch_add(bytes);
    (void)counted.release();  // release() deletes it.
    return message;
}

void SendBudget::release(void*, void* counted) {
    const std::unique_ptr<Counted> owned(static_cast<Counted*>(counted));
    owned->peer->fetch_sub(owned->bytes);
    owned->total->fetch_sub(owned->bytes);
}

void SendBudget::forget_idle() {
    if (peers_.size() < forget_at_) return;
    std::erase_if(peers_, [](const auto& peer) { return peer.second->load() == 0; });
    forget_at_ = std::max<std::size_t>(64, 2 * peers_.size());
}

}  // namespace export_worker::transport
