#include "daemon/server/responder.hpp"

#include <chrono>
#include <string>

#include "base/log.hpp"
#include "daemon/server/limits.hpp"
#include "protocol/message/reply.hpp"
#include "protocol/message/trace.hpp"

namespace export_worker::server {
namespace {

using transport::SendOutcome;

// How many calls, from the first, have their replies in one message. A call that has its answer
// stands alone.
std::size_t message_length(std::span<Call* const> calls) {
    const Call& first = *calls.front();
    if (first.answered) return 1;
    std::size_t bytes = first.reply.size();
    std::size_t count = 1;
    for (; count < calls.size(); ++count) {
        const Call& next = *calls[count];
        bytes += next.reply.size();
        if (next.answered || !first.envelope.goes_with(next.envelope) ||
            bytes > limits::kRepliesPerMessageBytes)
            break;
    }
    return count;
}

}  // namespace

void Responder::send_replies(std::span<Call* const> calls) {
    while (!calls.empty()) {
        const auto message = calls.first(message_length(calls));
        if (!message.front()->answered) send_message(message);
        calls = calls.subspan(message.size());
    }
}

void Responder::send_message(std::span<Call* const> calls) {
    replies_.clear();
    for (Call* call : calls) {
        record_answer(*call, call->reply_is_result);
        replies_.emplace_back(call->reply);
    }
    const SendOutcome outcome = send(calls.front()->envelope, replies_);
    for (const Call* call : calls)
        record_outcome(*call, call->reply, call->reply_is_result, outcome);
}

void Responder::send_error(Call& call, const message::WireError& error) {
    std::string reply;
    message::encode_error(reply, call.request.id, error, nullptr);
    record_answer(call, false);
    const std::string_view only = reply;
    record_outcome(call, reply, false, send(call.envelope, {&only, 1}));
}

SendOutcome Responder::send(const transport::Envelope& envelope,
                            std::span<const std::string_view> replies) {
    return outbox_.holds(envelope) ? SendOutcome::kBusy : socket_.send(envelope, replies);
}

void Responder::record_answer(Call& call, bool is_result) {
    call.answered = true;
    const auto taken = clock_.steady() - call.arrived;
    ledger_.hops.total.observe(taken);
    if (!logs(LogLevel::kDebug)) return;
    log_event(
        LogLevel::kDebug, "request",
        {{"method", call.request.method},
         {"outcome", is_result ? "result" : "error"},
         {"duration_us", std::chrono::duration_cast<std::chrono::microseconds>(taken).count()},
         {"request_id", call.request.id},
         {"trace_id", message::trace_id_of(call.request.trace)}});
}

void Responder::record_outcome(const Call& call, std::string_view reply, bool is_result,
                               SendOutcome outcome) {
    if (outcome == SendOutcome::kBusy &&
        outbox_.add(call.envelope, reply, is_result, clock_.steady()))
        return;  // Still in flight.
    model::LedgerCounts& counts = ledger_.counts;
    ++(outcome != SendOutcome::kSent ? counts.client_gone
       : is_result                   ? counts.replied
                                     : counts.error_replied);
    --counts.in_flight;
}

void Responder::retry(std::size_t count_max) {
    if (outbox_.size() == 0) return;
    const ReplyOutbox::Retried retried =
        outbox_.retry(count_max, clock_.steady(),
                      [this](const transport::Envelope& envelope, std::string_view reply) {
                          return socket_.send(envelope, reply);
                      });
    model::LedgerCounts& counts = ledger_.counts;
    counts.replied += retried.results_sent;
    counts.error_replied += retried.errors_sent;
    counts.client_gone += retried.given_up;
    counts.in_flight -= retried.results_sent + retried.errors_sent + retried.given_up;
}

}  // namespace export_worker::server
