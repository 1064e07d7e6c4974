// Bytes of replies that libzmq holds because their peers do not read. Private to
// protocol/transport.
//
// ZMQ_SNDHWM counts messages, and one may be 4 MiB. So a message of kCountedMessageBytesMin or more
// is handed over with a function that libzmq calls when it needs the bytes no more, and is counted
// until then: for its peer and in all. Smaller ones are bounded by kSocketSendHighWater.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <zmq.hpp>

namespace export_worker::transport {

// [one-owner]; its messages may outlive it, and end on any thread.
class SendBudget {
public:
    // False: `bytes` more are over kPeerBytesInFlightMax or kBytesInFlightMax. A peer or a socket
    // that holds nothing takes one message of any size.
    [[nodiscard]] bool has_room(std::string_view peer, std::size_t bytes) const;
    // A frame with the content of `frame`, for which `bytes` are counted until libzmq drops it.
    [[nodiscard]] zmq::message_t make_frame(std::string_view peer, std::string_view frame,
                                            std::size_t bytes);

private:
    using Count = std::shared_ptr<std::atomic<std::size_t>>;
    struct Counted;
    static void release(void* data, void* counted);
    // Forgets peers that hold nothing, once there are many.
    void forget_idle();

    std::unordered_map<std::string, Count> peers_;
    Count total_ = std::make_shared<std::atomic<std::size_t>>(0);
    std::size_t forget_at_ = 64;  // Peers.
};

}  // namespace export_worker::transport
