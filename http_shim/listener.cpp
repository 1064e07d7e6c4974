#include "http_shim/listener.hpp"

#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <list>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>

#include "base/address_list.hpp"
#include "base/log.hpp"
#include "base/service_manager/notify.hpp"
#include "http_shim/acceptors.hpp"
#include "http_shim/limits.hpp"
#include "http_shim/reload.hpp"
#include "http_shim/session.hpp"

namespace export_worker::http_shim {
namespace {

namespace asio = boost::asio;
using asio::redirect_error;
using asio::ip::tcp;
using boost::system::error_code;
using Protocol = asio::generic::stream_protocol;

// An address as text, "unix" for a peer without one.
std::string name_of(const Protocol::endpoint& peer) {
    if (peer.protocol().family() != AF_INET && peer.protocol().family() != AF_INET6) return "unix";
    tcp::endpoint endpoint;
    std::memcpy(endpoint.data(), peer.data(), std::min(peer.size(), endpoint.capacity()));
    asio::ip::address address = endpoint.address();
    if (address.is_v6() && address.to_v6().is_v4_mapped())
        address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
    return address.to_string();
}

// An exception is ours: what the world does comes back as an error code.
void report_end(const std::exception_ptr& thrown) {
    if (!thrown) return;
    try {
        std::rethrow_exception(thrown);
    } catch (const std::exception& error) {
        log_error("a connection ended by an error of the program: {}", error.what());
    }
}

// Says how many were refused, at most every kHttpSayRefusedInterval.
class RefusalLog {
public:
    void say(const Connections& connections, const std::string& peer) {
        const auto now = Clock::now();
        if (now < next_) return;
        next_ = now + limits::kHttpSayRefusedInterval;
        log_warn(
            "{} connections refused so far, the last of {}, while {} are open; see [http] "
            "address_connections and trusted_proxies",
            connections.refused(), peer, connections.open());
    }

private:
    Clock::time_point next_{};
};

Awaitable<void> accept_all(Acceptor& acceptor, SessionDeps& deps) {
    Timer pause(acceptor.get_executor());
    RefusalLog refusals;
    while (acceptor.is_open()) {
        error_code error;
        Protocol::endpoint endpoint;
        Stream socket =
            co_await acceptor.async_accept(endpoint, redirect_error(use_awaitable, error));
        // A connection that came with the signal to stop is served like those before it.
        if (error && !acceptor.is_open()) co_return;
        if (error) {
            // Out of descriptors: make room, and wait for it instead of spinning.
            log_warn("not accepting: {}", error.message());
            deps.connections.close_longest_idle();
            pause.expires_after(std::chrono::milliseconds(50));
            co_await pause.async_wait(redirect_error(use_awaitable, error));
            continue;
        }
        std::string peer = name_of(endpoint);
        const bool is_proxy = is_local(peer) || deps.config.trusted_proxies.contains(peer);
        auto place = deps.connections.admit(peer, is_proxy);
        if (!place) {
            refusals.say(deps.connections, peer);
            continue;  // The socket is closed.
        }
        const int on = 1;
        if (peer != "unix")
            ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        asio::co_spawn(acceptor.get_executor(),
                       serve(std::move(socket), std::move(peer), std::move(place), deps),
                       report_end);
    }
}

// Stops accepting, lets what is in flight finish, first requests on new connections too, then
// leaves.
Awaitable<void> drain_on_signal(asio::io_context& context, std::list<Acceptor>& acceptors,
                                SessionDeps& deps) {
    asio::basic_signal_set<Executor> signals(context, SIGINT, SIGTERM);
    error_code error;
    co_await signals.async_wait(redirect_error(use_awaitable, error));
    log_info("stopping: {} connections", deps.connections.open());
    deps.draining = true;
    service_manager::notify_stopping();
    for (Acceptor& acceptor : acceptors) acceptor.close(error);
    Timer tick(context);
    const auto begin = Clock::now();
    const auto in_flight = [&] {
        const auto waited = Clock::now() - begin;
        return (deps.connections.busy() > 0 && waited < limits::kHttpDrainTimeout) ||
               (deps.connections.fresh() > 0 && waited < limits::kHttpFirstRequestDrainTimeout);
    };
    while (in_flight()) {
        tick.expires_after(std::chrono::milliseconds(10));
        co_await tick.async_wait(redirect_error(use_awaitable, error));
    }
    context.stop();
}

// Ready is what /readyz calls ready. After a while it is said without a daemon, too: the shim
// answers then, with 503, and its start does not fail with the daemon's.
Awaitable<void> announce(asio::io_context& context, const SessionDeps& deps) {
    Timer tick(context);
    error_code error;
    const auto end = Clock::now() + limits::kHttpReadyTimeout;
    while (std::ranges::none_of(deps.daemons.states(), client::is_ready) && Clock::now() < end) {
        tick.expires_after(std::chrono::milliseconds(10));
        co_await tick.async_wait(redirect_error(use_awaitable, error));
    }
    if (!deps.draining) service_manager::notify_ready();
}

// From the loop itself: a loop that stands still is started anew.
Awaitable<void> keep_alive(asio::io_context& context, std::chrono::microseconds interval) {
    Timer timer(context);
    error_code error;
    while (!error) {
        service_manager::notify_alive();
        timer.expires_after(interval);
        co_await timer.async_wait(redirect_error(use_awaitable, error));
    }
}

Awaitable<void> reload_on_hangup(asio::io_context& context, SessionDeps& deps) {
    asio::basic_signal_set<Executor> signals(context, SIGHUP);
    sigset_t hangup;
    sigemptyset(&hangup);
    sigaddset(&hangup, SIGHUP);
    ::pthread_sigmask(SIG_UNBLOCK, &hangup, nullptr);  // From here on it has a handler.
    error_code error;
    while (true) {
        co_await signals.async_wait(redirect_error(use_awaitable, error));
        if (error || deps.draining) co_return;
        service_manager::notify_reloading();
        reload(deps);
        service_manager::notify_ready();
    }
}

}  // namespace

Result<void> run_http(const Config& config, const std::string& version) {
    ::signal(SIGPIPE, SIG_IGN);
    Connections connections(config.address_connections_max);
    asio::io_context context(1);
    EW_TRY(
        const std::unique_ptr<client::DaemonPool> daemons,
        client::DaemonPool::open(config.data_endpoints, config.curve ? &*config.curve : nullptr));
    DaemonLink link(context, *daemons);
    SessionDeps deps(config, link, connections, version);
    EW_TRY(std::list<Acceptor> acceptors, open_acceptors(config, context));
    for (Acceptor& acceptor : acceptors)
        asio::co_spawn(context, accept_all(acceptor, deps), report_end);
    asio::co_spawn(context, drain_on_signal(context, acceptors, deps), report_end);
    asio::co_spawn(context, reload_on_hangup(context, deps), report_end);
    asio::co_spawn(context, announce(context, deps), report_end);
    if (const auto timeout = service_manager::watchdog_timeout())
        asio::co_spawn(context, keep_alive(context, *timeout / 2), report_end);
    context.run();
    log_info("stopped");
    return {};
}

}  // namespace export_worker::http_shim
