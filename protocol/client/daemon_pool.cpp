#include "protocol/client/daemon_pool.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

#include "base/assert.hpp"
#include "base/limits.hpp"
#include "base/this_thread.hpp"
#include "protocol/message/reply.hpp"
#include "protocol/message/request.hpp"

namespace export_worker::client {
namespace {

Error daemon_away() {
    return {ErrorCode::kUnavailable, "Service temporarily unavailable"};
}

void wake(int fd) {
    const std::uint64_t one = 1;
    EW_ASSERT(::write(fd, &one, sizeof one) == sizeof one);
}

constexpr std::string_view kPingId = "pool.ping.";

}  // namespace

Result<std::unique_ptr<DaemonPool>> DaemonPool::open(const std::vector<std::string>& endpoints,
                                                     const transport::CurveClient* curve) {
    if (endpoints.empty() || endpoints.size() > limits::kPoolDaemonsMax)
        return fail(ErrorCode::kInvalidArgument,
                    "data endpoints: expected 1 to " + std::to_string(limits::kPoolDaemonsMax));
    std::vector<Daemon> daemons;
    for (const std::string& endpoint : endpoints) {
        EW_TRY(transport::Client client, transport::Client::open(endpoint, curve));
        DaemonState state;
        state.endpoint = endpoint;
        daemons.push_back({std::move(client), std::move(state), 0, {}, {}, {}});
    }
    return std::unique_ptr<DaemonPool>(new DaemonPool(std::move(daemons)));
}

DaemonPool::DaemonPool(std::vector<Daemon> daemons)
    : daemons_(std::move(daemons)), wake_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    EW_ASSERT(static_cast<bool>(wake_fd_));
    publish_states();
    thread_ = std::thread([this] { run(); });
}

DaemonPool::~DaemonPool() {
    stopping_.store(true);
    wake(wake_fd_.get());
    thread_.join();
}

void DaemonPool::call(std::string id, std::string message, std::chrono::milliseconds timeout,
                      Done done) {
    bool first = false;
    {
        const std::lock_guard lock(mutex_);
        first = new_calls_.empty();
        new_calls_.push_back(
            {std::move(id), std::move(message), Clock::now() + timeout, std::move(done), 0, 0});
    }
    if (first) wake(wake_fd_.get());
}

std::vector<DaemonPool::DaemonState> DaemonPool::states() const {
    const std::lock_guard lock(mutex_);
    return states_;
}

void DaemonPool::run() {
    name_this_thread("daemon pool");
    std::vector<Call> calls;
    std::vector<transport::Client*> clients;
    for (Daemon& daemon : daemons_) clients.push_back(&daemon.client);
    Clock::time_point next_scan = Clock::now();
    while (!stopping_.load()) {
        transport::Client::wait_any(
            clients, in_flight_.empty() ? limits::kPoolPingInterval : limits::kPoolScanInterval,
            wake_fd_.get());
        std::uint64_t wakes = 0;
        const ssize_t drained = ::read(wake_fd_.get(), &wakes, sizeof wakes);
        EW_ASSERT(drained > 0 || errno == EAGAIN || errno == EINTR);
        for (std::size_t index = 0; index < daemons_.size(); ++index) {
            receive_from(index);
            if (daemons_[index].client.losses() != daemons_[index].losses_seen) note_loss(index);
        }
        {
            const std::lock_guard lock(mutex_);
            calls.swap(new_calls_);
        }
        send_new(calls);
        calls.clear();
        if (Clock::now() >= next_scan) {
            fail_overdue();
            for (Daemon& daemon : daemons_) ping(daemon);
            publish_states();
            next_scan = Clock::now() + limits::kPoolScanInterval;
        }
    }
    fail_all(daemon_away());
    const std::lock_guard lock(mutex_);
    for (Call& call : new_calls_) call.done(fail(daemon_away()));
}

void DaemonPool::send_new(std::vector<Call>& calls) {
    for (Call& call : calls) {
        if (in_flight_.size() >= limits::kPoolCallsMax) {
            call.done(fail(ErrorCode::kResourceExhausted, "Too many requests in flight"));
        } else if (!send(call)) {
            call.done(fail(daemon_away()));
        } else {
            std::string id = call.id;
            in_flight_.emplace(std::move(id), std::move(call));
        }
    }
}

bool DaemonPool::send(Call& call) {
    while (Daemon* const daemon = choose(call.tried)) {
        const auto index = static_cast<std::size_t>(daemon - daemons_.data());
        call.tried |= std::uint64_t{1} << index;
        if (!daemon->client.send(call.message)) continue;  // Not connected any more, or full.
        call.daemon = index;
        ++daemon->state.in_flight;
        ++daemon->state.sent;
        if (daemons_.size() == 1) call.message.clear();
        return true;
    }
    return false;
}

DaemonPool::Daemon* DaemonPool::choose(std::uint64_t tried) {
    // Better a daemon that drains than one that does not answer, and better that than none.
    const auto rank = [](const Daemon& daemon) {
        return daemon.state.draining ? 1 : daemon.state.answers ? 2 : 0;
    };
    Daemon* best = nullptr;
    ++next_;
    for (std::size_t step = 0; step < daemons_.size(); ++step) {
        const std::size_t index = (next_ + step) % daemons_.size();
        Daemon& daemon = daemons_[index];
        if ((tried >> index & 1U) != 0 || !daemon.client.connected()) continue;
        if (best == nullptr || rank(daemon) > rank(*best) ||
            (rank(daemon) == rank(*best) && daemon.state.in_flight < best->state.in_flight))
            best = &daemon;
    }
    return best;
}

void DaemonPool::receive_from(std::size_t index) {
    Daemon& daemon = daemons_[index];
    while (auto reply = daemon.client.receive()) {
        const std::string id(message::reply_id(*reply));
        if (id == daemon.ping_id && !id.empty()) {
            note_ping(daemon, *reply);
            continue;
        }
        const auto found = in_flight_.find(id);
        // Its deadline has passed and it was answered then, or the daemon is not the one it asked.
        if (found == in_flight_.end() || found->second.daemon != index) continue;
        --daemon.state.in_flight;
        if (try_another(found->second, *reply)) continue;
        Done done = std::move(found->second.done);
        in_flight_.erase(found);
        done(std::move(*reply));
    }
}

void DaemonPool::note_ping(Daemon& daemon, const std::string& reply) {
    const auto decoded = message::decode_reply(reply);
    daemon.ping_id.clear();
    daemon.state.answers = true;
    daemon.state.draining =
        decoded && !decoded->ok && decoded->error.code == message::WireCode::kDraining;
}

bool DaemonPool::try_another(Call& call, const std::string& reply) {
    if (daemons_.size() == 1) return false;
    const auto decoded = message::decode_reply(reply);
    if (!decoded || decoded->ok || decoded->error.executed != message::Executed::kNo) return false;
    const message::WireCode code = decoded->error.code;
    if (code == message::WireCode::kDraining) daemons_[call.daemon].state.draining = true;
    // Only what another daemon may see differently.
    const bool worth_it =
        code == message::WireCode::kDraining || code == message::WireCode::kOverloaded ||
        code == message::WireCode::kPluginUnavailable || code == message::WireCode::kUnknownMethod;
    return worth_it && Clock::now() < call.deadline && send(call);
}

void DaemonPool::note_loss(std::size_t index) {
    Daemon& daemon = daemons_[index];
    daemon.losses_seen = daemon.client.losses();
    ++daemon.state.losses;
    daemon.state.answers = false;
    daemon.state.draining = false;
    daemon.state.in_flight = 0;
    daemon.ping_id.clear();
    daemon.ping_due = {};
    std::vector<Done> lost;
    for (auto it = in_flight_.begin(); it != in_flight_.end();) {
        if (it->second.daemon != index) {
            ++it;
            continue;
        }
        lost.push_back(std::move(it->second.done));
        it = in_flight_.erase(it);
    }
    for (Done& done : lost) done(fail(daemon_away()));
}

// Every kPoolPingInterval, and the next one only when this one was answered or is given up.
void DaemonPool::ping(Daemon& daemon) {
    const Clock::time_point now = Clock::now();
    if (!daemon.client.connected()) return;
    if (!daemon.ping_id.empty()) {
        if (now < daemon.ping_sent + limits::kPoolPingTimeout) return;
        daemon.state.answers = false;
        daemon.ping_id.clear();
    }
    if (now < daemon.ping_due) return;
    daemon.ping_id = std::string(kPingId) + std::to_string(++pings_);
    daemon.ping_sent = now;
    daemon.ping_due = now + limits::kPoolPingInterval;
    message::Request request;
    request.id = daemon.ping_id;
    request.method = "sys.ping";
    request.deadline_ms = limits::kDeadlineMaxMs;
    if (!daemon.client.send(message::encode_request(request))) daemon.ping_id.clear();
}

void DaemonPool::fail_all(const Error& error) {
    for (auto& entry : in_flight_) entry.second.done(fail(error));
    in_flight_.clear();
}

void DaemonPool::fail_overdue() {
    const Clock::time_point now = Clock::now();
    for (auto it = in_flight_.begin(); it != in_flight_.end();) {
        if (now < it->second.deadline) {
            ++it;
            continue;
        }
        --daemons_[it->second.daemon].state.in_flight;
        it->second.done(fail(ErrorCode::kDeadlineExceeded, "The service did not answer in time"));
        it = in_flight_.erase(it);
    }
}

void DaemonPool::publish_states() {
    const std::lock_guard lock(mutex_);
    states_.clear();
    for (Daemon& daemon : daemons_) {
        daemon.state.connected = daemon.client.connected();
        states_.push_back(daemon.state);
    }
}

}  // namespace export_worker::client
