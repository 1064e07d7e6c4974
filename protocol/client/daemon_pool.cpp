#include "protocol/client/daemon_pool.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "base/json.hpp"
#include "base/json_fields.hpp"
#include "base/log.hpp"
#include "protocol/client/limits.hpp"
#include "protocol/message/limits.hpp"
#include "protocol/message/methods.hpp"
#include "protocol/message/reply.hpp"
#include "protocol/message/request.hpp"
#include "protocol/transport/limits.hpp"

namespace export_worker::client {
namespace {

Error daemon_away() {
    return {ErrorCode::kUnavailable, "Service temporarily unavailable"};
}

constexpr std::string_view kPingId = "pool.ping.";

std::string_view shown(const std::string& registry) {
    return registry.empty() ? "unknown" : std::string_view(registry);
}

// What a daemon says about itself; one that is older says less.
struct Introduction {
    bool many_per_message = false;
    std::string registry;
};

Introduction read_introduction(std::string_view ping_result) {
    Introduction out;
    const auto result = parse_msgpack(ping_result);
    if (!result.is_object()) return out;
    const auto many = result.find("many_per_message");
    out.many_per_message = many != result.end() && many->is_boolean() && many->get<bool>();
    out.registry = text_in(result, "registry").value_or("");
    return out;
}

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
        daemons.push_back(
            {std::move(client), std::move(state), 0, {}, {}, {}, {}, 0, false, false});
    }
    return std::unique_ptr<DaemonPool>(new DaemonPool(std::move(daemons)));
}

DaemonPool::~DaemonPool() {
    fail_those([](const Call&) { return true; }, daemon_away());
}

void DaemonPool::call(std::string id, std::string message, std::chrono::milliseconds timeout,
                      Done done) {
    if (in_flight_.size() >= limits::kPoolCallsMax)
        return done(fail(ErrorCode::kResourceExhausted, "Too many requests in flight"));
    Call fresh{std::move(message), Clock::now() + timeout, std::move(done), 0, 0, false};
    const auto [call, is_new] = in_flight_.emplace(std::move(id), std::move(fresh));
    EW_ASSERT(is_new);
    if (!queue(*call)) end(call, fail(daemon_away()));
}

void DaemonPool::end(Calls::iterator call, Result<std::string> reply) {
    const Done done = std::move(call->second.done);
    in_flight_.erase(call);
    done(std::move(reply));
}

std::vector<int> DaemonPool::descriptors() const {
    std::vector<int> out;
    for (const Daemon& daemon : daemons_) {
        const auto both = daemon.client.descriptors();
        out.insert(out.end(), both.begin(), both.end());
    }
    return out;
}

std::vector<DaemonPool::DaemonState> DaemonPool::states() const {
    std::vector<DaemonState> out;
    for (const Daemon& daemon : daemons_) out.push_back(daemon.state);
    return out;
}

void DaemonPool::poll() {
    send_queued();
    if (const Clock::time_point now = Clock::now(); now >= next_scan_) {
        next_scan_ = now + limits::kPoolScanInterval;
        fail_those([&](const Call& call) { return now >= call.deadline; },
                   {ErrorCode::kDeadlineExceeded, "The service did not answer in time"});
        for (Daemon& daemon : daemons_) ping(daemon);
    }
    // Receiving comes last: what came while something was sent is not announced again.
    do {
        send_queued();
        for (std::size_t index = 0; index < daemons_.size(); ++index) {
            Daemon& daemon = daemons_[index];
            daemon.client.look();
            receive_from(index);
            if (daemon.client.losses() != daemon.losses_seen) record_loss(index);
            daemon.state.connected = daemon.client.connected();
        }
        choose_registry();
    } while (first_with_unsent() != nullptr);
}

bool DaemonPool::queue(Calls::value_type& entry) {
    Call& call = entry.second;
    Daemon* const daemon = choose(call.tried);
    if (daemon == nullptr) return false;
    call.daemon = static_cast<std::size_t>(daemon - daemons_.data());
    call.tried |= std::uint64_t{1} << call.daemon;
    call.sent = false;
    ++daemon->state.in_flight;
    daemon->unsent.push_back(&entry);
    return true;
}

DaemonPool::Daemon* DaemonPool::first_with_unsent() {
    const auto found =
        std::ranges::find_if(daemons_, [](const Daemon& daemon) { return !daemon.unsent.empty(); });
    return found == daemons_.end() ? nullptr : &*found;
}

// What one daemon cannot take is queued for another, which may have had its turn: until none has
// any.
void DaemonPool::send_queued() {
    while (Daemon* const daemon = first_with_unsent()) {
        sending_.clear();
        sending_.swap(daemon->unsent);
        for (std::size_t begin = 0; begin < sending_.size();) {
            const auto left = std::span(sending_).subspan(begin);
            const auto calls = left.first(count_together(*daemon, left));
            begin += calls.size();
            requests_.clear();
            for (const auto* call : calls) requests_.emplace_back(call->second.message);
            const bool sent = daemon->client.send(requests_).has_value();
            for (Calls::value_type* call : calls) {
                if (!sent) {
                    requeue(*call);  // Not connected any more, or full.
                    continue;
                }
                call->second.sent = true;
                ++daemon->state.sent;
                if (daemons_.size() == 1) call->second.message.clear();
            }
        }
    }
}

std::size_t DaemonPool::count_together(const Daemon& daemon,
                                       std::span<Calls::value_type* const> calls) {
    if (!daemon.state.many_per_message) return 1;
    const std::size_t count_max = std::min(calls.size(), limits::kPoolRequestsPerMessage);
    std::size_t bytes = calls.front()->second.message.size();
    std::size_t count = 1;
    while (count < count_max) {
        bytes += calls[count]->second.message.size();
        if (bytes > limits::kPoolMessageBytesMax) break;
        ++count;
    }
    return count;
}

void DaemonPool::requeue(Calls::value_type& call) {
    --daemons_[call.second.daemon].state.in_flight;
    if (!queue(call)) end(in_flight_.find(call.first), fail(daemon_away()));
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
        if ((tried >> index & 1U) != 0 || !daemon.state.in_use || !daemon.client.connected())
            continue;
        if (best == nullptr || rank(daemon) > rank(*best) ||
            (rank(daemon) == rank(*best) && daemon.state.in_flight < best->state.in_flight))
            best = &daemon;
    }
    return best;
}

// A daemon that has said which registry it has goes before one that has only just connected.
void DaemonPool::choose_registry() {
    const auto usable = [](const Daemon& of) { return of.state.connected && !of.state.silent; };
    auto first = std::ranges::find_if(
        daemons_, [&](const Daemon& of) { return usable(of) && of.introduced; });
    if (first == daemons_.end()) first = std::ranges::find_if(daemons_, usable);
    for (Daemon& daemon : daemons_) {
        const bool is_first = first != daemons_.end() && &daemon == &*first;
        const bool shares = first != daemons_.end() && !first->state.registry.empty() &&
                            daemon.state.registry == first->state.registry;
        daemon.state.in_use = usable(daemon) && (is_first || shares);
    }
    if (first == daemons_.end() || !first->introduced) return;
    if (first->state.registry != registry_) {
        registry_ = first->state.registry;
        if (daemons_.size() > 1)
            log_info("registry in use: {}, of the daemon at {}", shown(registry_),
                     first->state.endpoint);
    }
    for (Daemon& daemon : daemons_) say_standby(daemon);
}

void DaemonPool::say_standby(Daemon& daemon) const {
    const bool standby = daemon.introduced && !daemon.state.in_use;
    if (standby && !daemon.standby_said) {
        log_warn(
            "daemon at {}: on standby, because it has registry {} and in use is {}; it is asked "
            "when no daemon before it in the list answers",
            daemon.state.endpoint, shown(daemon.state.registry), shown(registry_));
    }
    daemon.standby_said = standby;
}

void DaemonPool::receive_from(std::size_t index) {
    Daemon& daemon = daemons_[index];
    while (auto reply = daemon.client.receive()) {
        const std::string id(message::reply_id(*reply));
        daemon.pings_missed = 0;
        daemon.state.silent = false;
        const auto found = in_flight_.find(id);
        if (found == in_flight_.end() && id.starts_with(kPingId)) {
            record_ping(daemon, *reply);
            continue;
        }
        // Its deadline has passed and it was answered then, or the daemon is not the one it asked.
        if (found == in_flight_.end() || found->second.daemon != index) continue;
        --daemon.state.in_flight;
        if (!try_another(*found, *reply)) end(found, std::move(*reply));
    }
}

// Of a late answer, too: a daemon that goes on after a pause answers the pings it has missed first.
void DaemonPool::record_ping(Daemon& daemon, const std::string& reply) {
    const auto decoded = message::decode_reply(reply);
    daemon.ping_id.clear();
    daemon.state.answers = true;
    daemon.state.draining =
        decoded && !decoded->ok && decoded->error.code == message::WireCode::kDraining;
    if (!decoded || !decoded->ok) return;
    Introduction said = read_introduction(decoded->result);
    daemon.state.many_per_message = said.many_per_message;
    daemon.state.registry = std::move(said.registry);
    daemon.introduced = true;
}

bool DaemonPool::try_another(Calls::value_type& entry, const std::string& reply) {
    const Call& call = entry.second;
    if (daemons_.size() == 1) return false;
    const auto decoded = message::decode_reply(reply);
    if (!decoded || decoded->ok || decoded->error.executed != message::Executed::kNo) return false;
    const message::WireCode code = decoded->error.code;
    if (code == message::WireCode::kDraining) daemons_[call.daemon].state.draining = true;
    // Only what another daemon may see differently.
    const bool worth_it =
        code == message::WireCode::kDraining || code == message::WireCode::kOverloaded ||
        code == message::WireCode::kPluginUnavailable || code == message::WireCode::kUnknownMethod;
    return worth_it && Clock::now() < call.deadline && queue(entry);
}

void DaemonPool::record_loss(std::size_t index) {
    Daemon& daemon = daemons_[index];
    daemon.losses_seen = daemon.client.losses();
    daemon.introduced = false;
    daemon.pings_missed = 0;
    daemon.state.connected = daemon.client.connected();
    daemon.state.registry.clear();
    daemon.state.silent = false;
    choose_registry();
    ++daemon.state.losses;
    daemon.state.answers = false;
    daemon.state.draining = false;
    daemon.state.many_per_message = false;
    daemon.ping_id.clear();
    daemon.ping_due = {};
    for (Calls::value_type* call : std::exchange(daemon.unsent, {})) requeue(*call);
    fail_those([&](const Call& call) { return call.daemon == index && call.sent; }, daemon_away());
}

// Every kPoolPingInterval, and the next one only when this one was answered or is given up.
void DaemonPool::ping(Daemon& daemon) {
    const Clock::time_point now = Clock::now();
    if (!daemon.client.connected()) return;
    if (!daemon.ping_id.empty()) {
        if (now < daemon.ping_sent + limits::kPoolPingTimeout) return;
        daemon.state.answers = false;
        daemon.ping_id.clear();
        ++daemon.pings_missed;
        if (daemon.pings_missed >= limits::kPoolPingsMissedMax && !daemon.state.silent) {
            daemon.state.silent = true;
            log_warn(
                "daemon at {}: has answered no ping for 2 s; requests are refused until it does",
                daemon.state.endpoint);
        }
    }
    if (now < daemon.ping_due) return;
    daemon.ping_id = std::string(kPingId) + std::to_string(++pings_);
    daemon.ping_sent = now;
    daemon.ping_due = now + limits::kPoolPingInterval;
    message::Request request;
    request.id = daemon.ping_id;
    request.method = message::method_row(message::MethodId::kPing).name;
    request.deadline_ms = limits::kDeadlineMaxMs;
    // One that finds no room counts as missed.
    (void)daemon.client.send(message::encode_request(request));
}

template <typename Is>
void DaemonPool::fail_those(Is is, const Error& error) {
    std::vector<Done> failed;
    for (auto it = in_flight_.begin(); it != in_flight_.end();) {
        if (!is(it->second)) {
            ++it;
            continue;
        }
        --daemons_[it->second.daemon].state.in_flight;
        failed.push_back(std::move(it->second.done));
        it = in_flight_.erase(it);
    }
    for (Done& done : failed) done(fail(error));
}

std::string why_not_ready(const std::vector<DaemonPool::DaemonState>& daemons) {
    using State = DaemonPool::DaemonState;
    const auto count = [&](auto is) {
        return std::to_string(std::ranges::count_if(daemons, is)) + " ";
    };
    return "No daemon is ready: of " + std::to_string(daemons.size()) + ", " +
           count([](const State& of) { return !of.connected; }) + "not connected, " +
           count([](const State& of) { return of.connected && of.draining; }) + "draining, " +
           count([](const State& of) { return of.connected && !of.answers && !of.draining; }) +
           "silent";
}

bool is_ready(const DaemonPool::DaemonState& daemon) {
    return daemon.in_use && daemon.answers && !daemon.draining;
}

}  // namespace export_worker::client
