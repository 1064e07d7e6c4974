#include "daemon/server/data_server.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <functional>

#include "base/assert.hpp"
#include "base/crypto/uuid.hpp"
#include "base/log.hpp"
#include "base/this_thread.hpp"
#include "base/thread_role.hpp"
#include "daemon/server/limits.hpp"
#include "protocol/message/methods.hpp"
#include "protocol/message/reply.hpp"
#include "protocol/message/trace.hpp"
#include "protocol/transport/limits.hpp"

namespace export_worker::server {
namespace {

using message::WireCode;
using transport::ReceiveOutcome;
using transport::SendOutcome;

std::int64_t as_ns(SteadyTime time) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

void shrink(std::string& buffer) {
    if (buffer.capacity() > limits::kCallBufferKeptBytesMax) std::string().swap(buffer);
}

}  // namespace

DataServer::DataServer(transport::ServerSocket socket, const Dispatcher& dispatcher,
                       const Clock& clock, unsigned workers, model::Ledger& ledger)
    : socket_(std::move(socket)),
      dispatcher_(dispatcher),
      clock_(clock),
      ledger_(ledger),
      wake_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      workers_wanted_(workers) {
    EW_ASSERT(static_cast<bool>(wake_fd_));
    calls_.reserve(limits::kCallsMax);
    for (std::size_t index = 0; index < limits::kCallsMax; ++index) {
        calls_.push_back(std::make_unique<Call>());
        free_.push_back(calls_.back().get());
    }
    finished_.reserve(limits::kCallsMax);
    collected_.reserve(limits::kCallsMax);
    for (unsigned index = 0; index < workers; ++index) start_worker();
    for (unsigned index = 0; index < limits::kServerWriters; ++index)
        writers_.emplace_back([this] { run_writer(); });
    for (unsigned index = 0; index < limits::kServerIdentifiers; ++index)
        identifiers_.emplace_back([this] { run_identifier(); });
    loop_ = std::thread([this] { run_loop(); });
}

DataServer::~DataServer() {
    stop();
}

void DataServer::drain() {
    draining_.store(true);
    wake_loop();
}

void DataServer::stop() {
    if (!loop_.joinable()) return;
    drain();
    const SteadyTime end = clock_.steady() + limits::kDrainTimeout;
    while (occupied_.load() > 0 && clock_.steady() < end)
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    stopping_.store(true);
    wake_loop();
    loop_.join();
    for (CallQueue* queue : {&ready_, &writing_, &unidentified_}) {
        // Under the mutex: who has just found the queue empty must not miss this.
        { const std::lock_guard lock(queue->mutex); }
        queue->changed.notify_all();
    }
    for (std::thread& identifier : identifiers_) identifier.join();
    for (std::thread& writer : writers_) writer.join();
    std::unique_lock lock(ended_mutex_);
    const bool all_ended = ended_changed_.wait_for(
        lock, limits::kSocketLinger, [this] { return ended_.size() == workers_.size(); });
    const std::size_t stuck = workers_.size() - ended_.size();
    lock.unlock();
    if (!all_ended) {
        log_error("{} workers are stuck in a plugin; leaving without them", stuck);
        // They use this object, and there is no way to end them: the process ends here, with
        // everything durable on disk.
        std::_Exit(70);
    }
    for (std::thread& worker : workers_) worker.join();
}

void DataServer::CallQueue::push(Call* call) {
    classes_[call->peer_class].push_back(call);
    waiting_ |= std::uint64_t{1} << call->peer_class;
    if (++size_ == 1) changed.notify_one();
}

DataServer::Call* DataServer::CallQueue::pop() {
    const auto next =
        static_cast<std::size_t>(turn_ + std::countr_zero(std::rotr(waiting_, turn_))) %
        limits::kPeerClasses;
    std::deque<Call*>& calls = classes_[next];
    Call* const call = calls.front();
    calls.pop_front();
    if (calls.empty()) waiting_ &= ~(std::uint64_t{1} << next);
    turn_ = static_cast<int>((next + 1) % limits::kPeerClasses);
    if (--size_ > 0) changed.notify_one();
    return call;
}

void DataServer::wake_loop() {
    const std::uint64_t one = 1;
    // EAGAIN means the counter is full: the loop is being woken anyway.
    if (::write(wake_fd_.get(), &one, sizeof one) < 0) EW_ASSERT(errno == EAGAIN);
}

void DataServer::run_loop() {
    name_this_thread("loop");
    set_thread_role(ThreadRole::kLoop);
    while (!stopping_.load()) {
        // Deadlines need a look now and then while something is in flight; otherwise sleep until
        // something comes.
        const bool idle = occupied_.load() == 0;
        socket_.wait(clock_.block_for(!unsent_.empty() ? limits::kUnsentRetryInterval
                                      : idle           ? std::chrono::milliseconds(1000)
                                                       : limits::kDeadlineScanInterval),
                     wake_fd_.get());
        std::uint64_t wakes = 0;
        const ssize_t drained = ::read(wake_fd_.get(), &wakes, sizeof wakes);
        EW_ASSERT(drained > 0 || errno == EAGAIN || errno == EINTR);
        // Those that have waited longest go first.
        retry_unsent(limits::kUnsentRetriesPerTurn);
        collect_finished();
        receive_some();
        if (const SteadyTime now = clock_.steady(); now >= next_scan_) {
            expire_overdue();
            replace_stalled();
            next_scan_ = now + limits::kDeadlineScanInterval;
        }
        ledger_.publish();
    }
    collect_finished();
    retry_unsent(unsent_.size());
    ledger_.publish();
}

void DataServer::receive_some() {
    EW_ASSERT_ROLE(kLoop);
    for (std::size_t count = 0; count < limits::kReceivesPerTurn; ++count) {
        const bool full = free_.empty();
        Call* const call = full ? &overflow_ : free_.back();
        const auto outcome = socket_.receive(call->envelope, call->body);
        if (outcome == ReceiveOutcome::kNothing) return;
        if (outcome == ReceiveOutcome::kDropped) {
            ++ledger_.counts.dropped;
            continue;
        }
        ++ledger_.counts.accepted;
        ++ledger_.counts.in_flight;
        call->answered = false;
        call->arrived = clock_.steady();
        call->peer_class =
            std::hash<std::string_view>()(call->envelope.peer()) % limits::kPeerClasses;
        const bool no_slot = class_calls_[call->peer_class] >= free_.size();
        if (no_slot || is_over_budget(*call)) {
            refuse_overloaded(*call, no_slot ? "too many requests in flight; try again"
                                             : "too many bytes in flight; read the replies, then "
                                               "try again");
            continue;
        }
        ++class_calls_[call->peer_class];
        free_.pop_back();
        calls_bytes_ += call->body.size();
        occupied_.fetch_add(1);
        accept(*call);
    }
}

bool DataServer::is_over_budget(const Call& call) const {
    return calls_bytes_ + call.body.size() > limits::kCallsBytesMax ||
           unsent_bytes_of(call.envelope) >= limits::kUnsentPeerWorkBytesMax;
}

void DataServer::refuse_overloaded(Call& call, std::string why) {
    ++ledger_.counts.overloaded;
    message::WireError error = message::make_error(WireCode::kOverloaded, std::move(why));
    error.retry_after_ms = 100;
    call.request = {};
    call.request.id = message::reply_id(call.body);
    answer_error(call, error);
    shrink(call.body);
}

void DataServer::accept(Call& call) {
    auto request = message::decode_request(call.body);
    if (!request) {
        call.request = {};
        call.request.id = request.error().id;
        answer_error(call, request.error().error);
        return free_call(call);
    }
    call.request = *request;
    if (call.request.id.empty()) {
        call.own_id = crypto::make_uuid7(clock_.unix_us());
        call.request.id = call.own_id;
    }
    call.deadline = call.arrived + std::chrono::milliseconds(request->deadline_ms);
    if (draining_.load()) {
        message::WireError error =
            message::make_error(WireCode::kDraining, "the daemon is shutting down; try again");
        error.retry_after_ms = 1000;
        answer_error(call, error);
        return free_call(call);
    }
    if (request->deadline_ms == 0) {
        ++ledger_.counts.expired;
        answer_error(call,
                     message::make_error(WireCode::kExpired, "the deadline had passed on arrival"));
        return free_call(call);
    }
    const message::WireMethod* method = message::find_method(call.request.method);
    if (method != nullptr && method->id == message::MethodId::kPing) {
        answer_ping(call);
        return free_call(call);
    }
    call.writes = method != nullptr && method->durable;
    call.state.store(CallState::kQueued);
    if (!dispatcher_.must_identify(call.request)) {
        push(call.writes ? writing_ : ready_, call);
    } else if (!push_for_identification(call)) {
        ++ledger_.counts.overloaded;
        message::WireError error = message::make_error(
            WireCode::kOverloaded, "too many sessions are being checked; try again");
        error.retry_after_ms = 1000;
        answer_error(call, error);
        free_call(call);
    }
}

// By the loop: a daemon with busy workers is not a silent one.
void DataServer::answer_ping(Call& call) {
    call.reply_is_result = dispatcher_.begin_own(call.request, nullptr)(call.reply);
    Call* const answered = &call;
    answer({&answered, 1});
}

void DataServer::push(CallQueue& queue, Call& call) {
    const std::lock_guard lock(queue.mutex);
    queue.push(&call);
}

// Strangers with made-up tokens may fill this queue, but no other.
bool DataServer::push_for_identification(Call& call) {
    const std::lock_guard lock(unidentified_.mutex);
    if (unidentified_.size() >= limits::kIdentifyingMax) return false;
    unidentified_.push(&call);
    return true;
}

void DataServer::start_worker() {
    const unsigned number = ++workers_started_;
    const std::lock_guard lock(ended_mutex_);
    ++worker_count_;
    workers_.emplace_back([this, number] { run_worker(number); });
}

DataServer::Call* DataServer::next_of(CallQueue& queue) {
    std::unique_lock lock(queue.mutex);
    queue.changed.wait(lock, [&] { return stopping_.load() || queue.size() > 0; });
    return stopping_.load() ? nullptr : queue.pop();
}

DataServer::Call* DataServer::take_of(CallQueue& queue) {
    const std::lock_guard lock(queue.mutex);
    return queue.size() == 0 ? nullptr : queue.pop();
}

bool DataServer::begin(Call& call) {
    CallState expected = CallState::kQueued;
    const SteadyTime now = clock_.steady();
    call.started_ns.store(as_ns(now), std::memory_order_relaxed);
    ledger_.hops.queued.observe(now - call.arrived);
    return call.state.compare_exchange_strong(expected, CallState::kRunning);
}

void DataServer::finish(std::span<Call* const> calls) {
    const auto now = clock_.steady().time_since_epoch();
    for (const Call* call : calls) {
        if (call->state.load() == CallState::kRunning)
            ledger_.hops.handled.observe(now - std::chrono::nanoseconds(call->started_ns.load()));
    }
    bool first = false;
    {
        const std::lock_guard lock(finished_mutex_);
        first = finished_.empty();
        finished_.insert(finished_.end(), calls.begin(), calls.end());
    }
    if (first) wake_loop();  // Otherwise a wake-up is on its way already.
}

void DataServer::run_worker(unsigned number) {
    name_this_thread("worker " + std::to_string(number));
    set_thread_role(ThreadRole::kWorker);
    {
        WorkerScratch scratch = dispatcher_.make_scratch("worker " + std::to_string(number));
        do {
            Call* call = next_of(ready_);
            if (call == nullptr) break;
            if (begin(*call)) {
                const SteadyTime started{std::chrono::nanoseconds(call->started_ns.load())};
                call->reply_is_result = dispatcher_.dispatch(
                    call->request, started, as_ns(call->deadline), nullptr, scratch, call->reply);
            }
            finish({&call, 1});
        } while (!is_surplus());
    }
    const std::lock_guard lock(ended_mutex_);
    ended_.push_back(std::this_thread::get_id());
    ended_changed_.notify_all();
}

void DataServer::run_writer() {
    name_this_thread("writer");
    set_thread_role(ThreadRole::kWorker);
    std::vector<Dispatcher::Finish> begun;
    std::vector<Call*> calls;
    while (Call* call = next_of(writing_)) {
        // Those that are there share one sync: all are begun before the first is waited for.
        for (; call != nullptr;
             call = calls.size() < limits::kWritesPerWriter ? take_of(writing_) : nullptr) {
            calls.push_back(call);
            begun.push_back(begin(*call) ? dispatcher_.begin_own(call->request, nullptr) : nullptr);
        }
        for (std::size_t index = 0; index < calls.size(); ++index) {
            if (begun[index]) calls[index]->reply_is_result = begun[index](calls[index]->reply);
        }
        finish(calls);  // One wake-up of the loop for all.
        begun.clear();
        calls.clear();
    }
}

void DataServer::run_identifier() {
    name_this_thread("identifier");
    while (Call* call = next_of(unidentified_)) {
        // Still queued, whoever asks: whose deadline passes meanwhile was answered by the loop.
        dispatcher_.identify(call->request);
        push(call->writes ? writing_ : ready_, *call);
    }
}

// A worker that was replaced while it was stuck has come back: one of them may go.
bool DataServer::is_surplus() {
    if (spare_workers_.load(std::memory_order_relaxed) == 0) return false;
    const std::lock_guard lock(ended_mutex_);
    if (worker_count_ <= workers_wanted_ + stalled_.load()) return false;
    --worker_count_;
    --spare_workers_;
    return true;
}

// As many workers as configured make progress, whatever some of them are stuck in.
void DataServer::replace_stalled() {
    const std::int64_t now_ns = as_ns(clock_.steady());
    constexpr std::int64_t kStallNs =
        std::chrono::duration_cast<std::chrono::nanoseconds>(limits::kWorkerStall).count();
    unsigned stalled = 0;
    for (const auto& call : calls_) {
        if (call->state.load() == CallState::kRunning && !call->writes &&
            now_ns - call->started_ns.load(std::memory_order_relaxed) > kStallNs)
            ++stalled;
    }
    stalled_.store(std::min(stalled, limits::kWorkersReplacedMax));
    for (;;) {
        {
            const std::lock_guard lock(ended_mutex_);
            for (const std::thread::id id : ended_) {
                const auto thread = std::ranges::find_if(
                    workers_, [&](const auto& each) { return each.get_id() == id; });
                thread->join();
                workers_.erase(thread);
            }
            ended_.clear();
            if (worker_count_ >= workers_wanted_ + stalled_.load()) return;
        }
        ++spare_workers_;
        start_worker();
        log_warn("{} workers have been in one request for more than {} ms; one more was started",
                 stalled, limits::kWorkerStall.count());
    }
}

void DataServer::collect_finished() {
    EW_ASSERT_ROLE(kLoop);
    {
        const std::lock_guard lock(finished_mutex_);
        collected_.swap(finished_);
    }
    for (std::size_t begin = 0; begin < collected_.size();) {
        const Call& first = *collected_[begin];
        std::size_t end = begin + 1;
        std::size_t bytes = first.reply.size();
        // One whose deadline has passed has its answer, and ends a row.
        while (!first.answered && end < collected_.size() && !collected_[end]->answered &&
               first.envelope.goes_with(collected_[end]->envelope) &&
               bytes + collected_[end]->reply.size() <= limits::kRepliesPerMessageBytes)
            bytes += collected_[end++]->reply.size();
        const auto calls = std::span(collected_).subspan(begin, end - begin);
        if (!first.answered) answer(calls);
        for (Call* call : calls) free_call(*call);
        begin = end;
    }
    collected_.clear();
}

void DataServer::expire_overdue() {
    const SteadyTime now = clock_.steady();
    for (const auto& owned : calls_) {
        Call& call = *owned;
        const CallState state = call.state.load();
        if (state == CallState::kFree || state == CallState::kExpired || call.answered ||
            now < call.deadline)
            continue;
        CallState expected = CallState::kQueued;
        if (call.state.compare_exchange_strong(expected, CallState::kExpired)) {
            ++ledger_.counts.expired;
            answer_error(call,
                         message::make_error(WireCode::kExpired,
                                             "the deadline passed before the work could start"));
        } else {
            answer_error(call,
                         message::make_error(WireCode::kDeadlineExceeded,
                                             "the deadline passed while the work was running"));
        }
    }
}

void DataServer::answer(std::span<Call* const> calls) {
    replies_.clear();
    for (Call* call : calls) {
        note_answer(*call, call->reply_is_result);
        replies_.emplace_back(call->reply);
    }
    const SendOutcome outcome = socket_.send(calls.front()->envelope, replies_);
    for (const Call* call : calls) settle(*call, call->reply, call->reply_is_result, outcome);
}

void DataServer::note_answer(Call& call, bool is_result) {
    call.answered = true;
    const auto taken = clock_.steady() - call.arrived;
    ledger_.hops.total.observe(taken);
    if (logs(LogLevel::kDebug)) {
        log_event(
            LogLevel::kDebug, "request",
            {{"method", call.request.method},
             {"outcome", is_result ? "result" : "error"},
             {"duration_us", std::chrono::duration_cast<std::chrono::microseconds>(taken).count()},
             {"request_id", call.request.id},
             {"trace_id", message::trace_id_of(call.request.trace)}});
    }
}

void DataServer::settle(const Call& call, std::string_view reply, bool is_result,
                        SendOutcome outcome) {
    if (outcome == SendOutcome::kBusy && unsent_.size() < limits::kUnsentRepliesMax &&
        unsent_bytes_ + reply.size() <= limits::kUnsentBytesMax &&
        unsent_bytes_of(call.envelope) + reply.size() <= limits::kUnsentPeerBytesMax) {
        return push_unsent({call.envelope, std::string(reply),
                            clock_.steady() + limits::kSocketLinger, is_result});
    }
    count_answer(outcome == SendOutcome::kSent, is_result);
}

void DataServer::push_unsent(Unsent unsent) {
    unsent_bytes_ += unsent.reply.size();
    unsent_peer_bytes_[std::string(unsent.envelope.peer())] += unsent.reply.size();
    unsent_.push_back(std::move(unsent));
}

DataServer::Unsent DataServer::pop_unsent() {
    Unsent unsent = std::move(unsent_.front());
    unsent_.pop_front();
    unsent_bytes_ -= unsent.reply.size();
    const auto peer = unsent_peer_bytes_.find(std::string(unsent.envelope.peer()));
    peer->second -= unsent.reply.size();
    if (peer->second == 0) unsent_peer_bytes_.erase(peer);
    return unsent;
}

std::size_t DataServer::unsent_bytes_of(const transport::Envelope& envelope) const {
    if (unsent_peer_bytes_.empty()) return 0;
    const auto peer = unsent_peer_bytes_.find(std::string(envelope.peer()));
    return peer == unsent_peer_bytes_.end() ? 0 : peer->second;
}

void DataServer::count_answer(bool sent, bool is_result) {
    model::LedgerCounts& counts = ledger_.counts;
    ++(!sent ? counts.client_gone : is_result ? counts.replied : counts.error_replied);
    --counts.in_flight;
}

void DataServer::answer_error(Call& call, const message::WireError& error) {
    // Not into call.reply: a worker may be writing that.
    std::string reply;
    message::encode_error(reply, call.request.id, error, nullptr);
    note_answer(call, false);
    settle(call, reply, false, socket_.send(call.envelope, reply));
}

void DataServer::retry_unsent(std::size_t count) {
    if (unsent_.empty()) return;
    const SteadyTime now = clock_.steady();
    for (std::size_t left = std::min(count, unsent_.size()); left > 0; --left) {
        Unsent unsent = pop_unsent();
        const SendOutcome outcome = socket_.send(unsent.envelope, unsent.reply);
        if (outcome == SendOutcome::kSent) {
            count_answer(true, unsent.is_result);
        } else if (outcome == SendOutcome::kPeerGone || now >= unsent.give_up) {
            count_answer(false, false);
        } else {
            push_unsent(std::move(unsent));
        }
    }
}

void DataServer::free_call(Call& call) {
    calls_bytes_ -= call.body.size();
    --class_calls_[call.peer_class];
    shrink(call.body);
    shrink(call.reply);
    call.state.store(CallState::kFree);
    free_.push_back(&call);
    occupied_.fetch_sub(1);
}

}  // namespace export_worker::server
