#include "http_shim/daemon_link.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

#include "base/assert.hpp"
#include "base/limits.hpp"
#include "protocol/message/reply.hpp"

namespace export_worker::http_shim {
namespace {

using Clock = std::chrono::steady_clock;

Error daemon_away() {
    return {ErrorCode::kUnavailable, "Service temporarily unavailable"};
}

}  // namespace

Result<std::unique_ptr<DaemonLink>> DaemonLink::open(const std::string& endpoint) {
    EW_TRY(transport::Client client, transport::Client::open(endpoint));
    return std::unique_ptr<DaemonLink>(new DaemonLink(std::move(client)));
}

DaemonLink::DaemonLink(transport::Client client)
    : client_(std::move(client)), wake_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    EW_ASSERT(static_cast<bool>(wake_fd_));
    thread_ = std::thread([this] { run(); });
}

DaemonLink::~DaemonLink() {
    stopping_.store(true);
    const std::uint64_t one = 1;
    EW_ASSERT(::write(wake_fd_.get(), &one, sizeof one) == sizeof one);
    thread_.join();
}

void DaemonLink::call(std::string id, std::string message, std::chrono::milliseconds timeout,
                      Done done) {
    bool first = false;
    {
        const std::lock_guard lock(mutex_);
        first = new_calls_.empty();
        new_calls_.push_back(
            {std::move(id), std::move(message), Clock::now() + timeout, std::move(done)});
    }
    if (!first) return;
    const std::uint64_t one = 1;
    EW_ASSERT(::write(wake_fd_.get(), &one, sizeof one) == sizeof one);
}

void DaemonLink::run() {
    std::vector<Call> calls;
    unsigned losses = client_.losses();
    Clock::time_point next_scan = Clock::now();
    while (!stopping_.load()) {
        client_.wait(
            in_flight_.empty() ? std::chrono::milliseconds(1000) : std::chrono::milliseconds(50),
            wake_fd_.get());
        std::uint64_t wakes = 0;
        const ssize_t drained = ::read(wake_fd_.get(), &wakes, sizeof wakes);
        EW_ASSERT(drained > 0 || errno == EAGAIN || errno == EINTR);
        receive_all();
        if (client_.losses() != losses) {
            losses = client_.losses();
            fail_all(daemon_away());
        }
        {
            const std::lock_guard lock(mutex_);
            calls.swap(new_calls_);
        }
        send_new(calls);
        calls.clear();
        if (Clock::now() >= next_scan) {
            fail_overdue();
            next_scan = Clock::now() + std::chrono::milliseconds(50);
        }
    }
    fail_all(daemon_away());
    const std::lock_guard lock(mutex_);
    for (Call& call : new_calls_) call.done(fail(daemon_away()));
}

void DaemonLink::send_new(std::vector<Call>& calls) {
    for (Call& call : calls) {
        if (in_flight_.size() >= limits::kHttpPendingCallsMax) {
            call.done(fail(ErrorCode::kResourceExhausted, "Too many requests in flight"));
            continue;
        }
        if (!client_.send(call.message)) {
            call.done(fail(daemon_away()));
            continue;
        }
        call.message.clear();
        std::string id = call.id;
        in_flight_.emplace(std::move(id), std::move(call));
    }
}

void DaemonLink::receive_all() {
    while (auto reply = client_.receive()) {
        const auto found = in_flight_.find(std::string(message::reply_id(*reply)));
        if (found == in_flight_.end()) continue;  // Its deadline has passed; it was answered then.
        Done done = std::move(found->second.done);
        in_flight_.erase(found);
        done(std::move(*reply));
    }
}

void DaemonLink::fail_all(const Error& error) {
    for (auto& entry : in_flight_) entry.second.done(fail(error));
    in_flight_.clear();
}

void DaemonLink::fail_overdue() {
    const Clock::time_point now = Clock::now();
    for (auto it = in_flight_.begin(); it != in_flight_.end();) {
        if (now < it->second.deadline) {
            ++it;
            continue;
        }
        it->second.done(fail(ErrorCode::kDeadlineExceeded, "The service did not answer in time"));
        it = in_flight_.erase(it);
    }
}

}  // namespace export_worker::http_shim
