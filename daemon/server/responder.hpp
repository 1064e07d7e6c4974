// The way out of the data socket: each call gets exactly one reply, and the ledger one outcome of
// it. What a busy peer does not take waits in an outbox. A crash loses it.
#pragma once

#include <cstddef>
#include <limits>
#include <span>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "daemon/model/ledger.hpp"
#include "daemon/server/call.hpp"
#include "daemon/server/reply_outbox.hpp"
#include "protocol/message/wire_error.hpp"
#include "protocol/transport/server_socket.hpp"

namespace export_worker::server {

// [loop-thread]
class Responder {
public:
    // All outlive the responder.
    Responder(transport::ServerSocket& socket, const Clock& clock, model::Ledger& ledger)
        : socket_(socket), clock_(clock), ledger_(ledger) {}

    // Sends the replies in `calls`, as few messages as their envelopes allow. Calls that have their
    // answer, because their deadline has passed, are left out.
    void send_replies(std::span<Call* const> calls);
    // Answers a call that has no answer yet. Leaves its reply alone: a worker may be writing that.
    void send_error(Call& call, const message::WireError& error);
    // Tries replies of the outbox once more.
    void retry(std::size_t count_max = std::numeric_limits<std::size_t>::max());
    [[nodiscard]] const ReplyOutbox& outbox() const { return outbox_; }

private:
    void send_message(std::span<Call* const> calls);
    [[nodiscard]] transport::SendOutcome send(const transport::Envelope& envelope,
                                              std::span<const std::string_view> replies);
    void record_answer(Call& call, bool is_result);
    void record_outcome(const Call& call, std::string_view reply, bool is_result,
                        transport::SendOutcome outcome);

    transport::ServerSocket& socket_;
    const Clock& clock_;
    model::Ledger& ledger_;
    ReplyOutbox outbox_;
    std::vector<std::string_view> replies_;  // Of one message.
};

}  // namespace export_worker::server
