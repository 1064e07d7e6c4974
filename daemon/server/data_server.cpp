#include "daemon/server/data_server.hpp"

#include <algorithm>
#include <functional>
#include <string_view>
#include <utility>

#include "base/assert.hpp"
#include "base/crypto/uuid.hpp"
#include "base/fault_point.hpp"
#include "base/this_thread.hpp"
#include "base/thread_role.hpp"
#include "daemon/server/limits.hpp"
#include "protocol/message/methods.hpp"
#include "protocol/message/reply.hpp"

namespace export_worker::server {
namespace {

using message::WireCode;
using transport::ReceiveOutcome;

message::WireError make_retryable_error(WireCode code, std::string text,
                                        std::uint32_t retry_after_ms) {
    message::WireError error = message::make_error(code, std::move(text));
    error.retry_after_ms = retry_after_ms;
    return error;
}

// A request that cannot be read as a whole: its reply carries its id at least.
void keep_only_id(Call& call, std::string_view id) {
    call.request = {};
    call.request.id = id;
}

}  // namespace

DataServer::DataServer(transport::ServerSocket socket, const Dispatcher& dispatcher,
                       const Clock& clock, unsigned workers, model::Ledger& ledger,
                       Watchdog watchdog)
    : dispatcher_(dispatcher),
      clock_(clock),
      socket_(std::move(socket)),
      ledger_(ledger),
      responder_(socket_, clock, ledger),
      watchdog_(std::move(watchdog)),
      workers_({dispatcher, clock, ledger.hops, wake_}, workers) {
    finished_.reserve(limits::kCallsMax);
    loop_ = std::thread([this] { run_loop(); });
}

DataServer::~DataServer() {
    const unsigned stuck_workers = stop();
    EW_ASSERT(stuck_workers == 0);
}

unsigned DataServer::stop() {
    if (loop_.joinable()) {
        drain();
        drain_end_ = clock_.steady() + limits::kDrainTimeout - limits::kWorkersEndTimeout;
        stopping_.store(true);
        wake_.signal();
        loop_.join();
    }
    return workers_.join(limits::kWorkersEndTimeout);
}

void DataServer::run_loop() {
    name_this_thread("loop");
    set_thread_role(ThreadRole::kLoop);
    while (!has_drained()) {
        socket_.wait(clock_.block_for(wait_timeout()), wake_.fd());
        wake_.clear();
        // Replies that have waited longest go first.
        responder_.retry(limits::kUnsentRetriesPerTurn);
        collect_finished();
        const bool is_quiet = receive_requests() == 0 && calls_.occupied() == 0;
        quiet_turns_ = is_quiet ? quiet_turns_ + 1 : 0;
        const SteadyTime now = clock_.steady();
        if (now >= next_scan_) {
            expire_overdue(now);
            workers_.review(calls_.stalled(now), now);
            answer_refused();
            next_scan_ = now + limits::kDeadlineScanInterval;
        }
        tell_watchdog(now);
        ledger_.publish();
    }
    workers_.close();
    collect_finished();
    // Whoever still waits is told; a worker that comes back later finds its call answered.
    expire_overdue(SteadyTime::max());
    responder_.retry();
    ledger_.publish();
}

void DataServer::tell_watchdog(SteadyTime now) {
    if (!watchdog_.notify_alive || now < next_alive_) return;
    next_alive_ = now + watchdog_.interval;
    fault_point("loop.alive");
    watchdog_.notify_alive();
}

// Peers that have not heard of the end yet still send: they are answered until they have.
bool DataServer::has_drained() {
    if (!stopping_.load()) return false;
    const SteadyTime now = clock_.steady();
    if (now >= drain_end_) return true;
    if (calls_.occupied() > 0) return false;
    if (!talk_end_) talk_end_ = now + limits::kDrainTalk;
    return quiet_turns_ >= limits::kDrainQuietTurns || now >= *talk_end_;
}

// Deadlines need a look now and then while something is in flight.
std::chrono::milliseconds DataServer::wait_timeout() const {
    if (responder_.outbox().size() > 0) return limits::kUnsentRetryInterval;
    if (calls_.occupied() > 0 || stopping_.load()) return limits::kDeadlineScanInterval;
    if (!watchdog_.notify_alive) return limits::kIdleLoopInterval;
    return std::min(limits::kIdleLoopInterval,
                    std::chrono::ceil<std::chrono::milliseconds>(watchdog_.interval));
}

std::size_t DataServer::receive_requests() {
    EW_ASSERT_ROLE(kLoop);
    std::size_t count = 0;
    for (; count < limits::kReceivesPerTurn; ++count) {
        Call& call = calls_.next_slot();
        switch (socket_.receive(call.envelope, call.body)) {
            case ReceiveOutcome::kNothing: return count;
            case ReceiveOutcome::kDropped: ++ledger_.counts.dropped; break;
            case ReceiveOutcome::kRequest: admit(call);
        }
    }
    return count;
}

void DataServer::admit(Call& call) {
    ++ledger_.counts.accepted;
    ++ledger_.counts.in_flight;
    call.answered = false;
    call.arrived = clock_.steady();
    call.peer_class = std::hash<std::string_view>()(call.envelope.peer()) % limits::kPeerClasses;
    if (!calls_.has_slot_for(call))
        return refuse_overloaded(call, "too many requests in flight; try again");
    if (!calls_.has_bytes_for(call) || responder_.outbox().is_backlogged(call.envelope)) {
        return refuse_overloaded(call,
                                 "too many bytes in flight; read the replies, then try again");
    }
    calls_.occupy(call);
    if (const auto error = begin(call)) {
        responder_.send_error(call, *error);
        calls_.release(call);
    }
}

void DataServer::refuse_overloaded(Call& call, std::string why) {
    ++ledger_.counts.overloaded;
    keep_only_id(call, message::reply_id(call.body));
    responder_.send_error(call, make_retryable_error(WireCode::kOverloaded, std::move(why), 100));
    CallTable::trim(call);
}

std::optional<message::WireError> DataServer::begin(Call& call) {
    const auto request = message::decode_request(call.body);
    if (!request) {
        keep_only_id(call, request.error().id);
        return request.error().error;
    }
    call.request = *request;
    if (call.request.id.empty()) {
        call.own_id = crypto::make_uuid7(clock_.unix_us());
        call.request.id = call.own_id;
    }
    call.deadline = call.arrived + std::chrono::milliseconds(request->deadline_ms);
    if (draining_.load()) {
        return make_retryable_error(WireCode::kDraining, "the daemon is shutting down; try again",
                                    1000);
    }
    if (request->deadline_ms == 0) {
        ++ledger_.counts.expired;
        return message::make_error(WireCode::kExpired, "the deadline had passed on arrival");
    }
    const message::WireMethod* method = message::find_method(request->method);
    call.commits = method != nullptr && method->durable;
    call.is_own = method != nullptr && method->provider == message::Provider::kDaemon;
    call.lists = method != nullptr && method->lists;
    if (method != nullptr && method->id == message::MethodId::kPing) {
        answer_ping(call);
        return std::nullopt;
    }
    auto refused = workers_.submit(call);
    if (refused && refused->code == WireCode::kOverloaded) ++ledger_.counts.overloaded;
    return refused;
}

// By the loop: a daemon with busy workers is not a silent one.
void DataServer::answer_ping(Call& call) {
    call.reply_is_result = dispatcher_.begin_own(call.request, nullptr)(call.reply);
    Call* const answered = &call;
    responder_.send_replies({&answered, 1});
    calls_.release(call);
}

void DataServer::collect_finished() {
    EW_ASSERT_ROLE(kLoop);
    workers_.take_finished(finished_);
    ledger_.counts.overloaded +=
        static_cast<std::uint64_t>(std::ranges::count_if(finished_, &Call::is_refused));
    responder_.send_replies(finished_);
    for (Call* call : finished_) calls_.release(*call);
}

void DataServer::answer_refused() {
    while (Call* const call = workers_.take_refused()) {
        if (!call->answered) responder_.send_error(*call, WorkerPool::why_refused(*call));
        calls_.release(*call);
    }
}

void DataServer::expire_overdue(SteadyTime now) {
    for (Call* call : calls_.overdue(now)) {
        if (call->progress.try_expire()) {
            ++ledger_.counts.expired;
            responder_.send_error(
                *call, message::make_error(WireCode::kExpired,
                                           "the deadline passed before the work could start"));
        } else {
            responder_.send_error(
                *call, message::make_error(WireCode::kDeadlineExceeded,
                                           "the deadline passed while the work was running"));
        }
    }
}

}  // namespace export_worker::server
