#include "http_shim/listener.hpp"

#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <list>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>

#include "base/address_list.hpp"
#include "base/limits.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "base/unix_socket.hpp"
#include "http_shim/limits.hpp"
#include "http_shim/session.hpp"

namespace export_worker::http_shim {
namespace {

namespace asio = boost::asio;
using asio::redirect_error;
using asio::ip::tcp;
using boost::system::error_code;
using Protocol = asio::generic::stream_protocol;
using Acceptor = asio::basic_socket_acceptor<Protocol, Executor>;

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

Awaitable<void> accept_all(Acceptor& acceptor, SessionParts& parts) {
    Timer pause(acceptor.get_executor());
    RefusalLog refusals;
    while (acceptor.is_open()) {
        error_code error;
        Protocol::endpoint endpoint;
        Stream socket =
            co_await acceptor.async_accept(endpoint, redirect_error(use_awaitable, error));
        if (error == asio::error::operation_aborted || !acceptor.is_open()) co_return;
        if (error) {
            // Out of descriptors: make room, and wait for it instead of spinning.
            log_warn("not accepting: {}", error.message());
            parts.connections.close_longest_idle();
            pause.expires_after(std::chrono::milliseconds(50));
            co_await pause.async_wait(redirect_error(use_awaitable, error));
            continue;
        }
        std::string peer = name_of(endpoint);
        const bool is_proxy = is_local(peer) || parts.config.trusted_proxies.contains(peer);
        auto place = parts.connections.admit(peer, is_proxy);
        if (!place) {
            refusals.say(parts.connections, peer);
            continue;  // The socket is closed.
        }
        const int on = 1;
        if (peer != "unix")
            ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        asio::co_spawn(acceptor.get_executor(),
                       serve(std::move(socket), std::move(peer), std::move(place), parts),
                       report_end);
    }
}

// Stops accepting, lets what is in flight finish, then leaves.
Awaitable<void> drain_on_signal(asio::io_context& context, std::list<Acceptor>& acceptors,
                                SessionParts& parts) {
    asio::basic_signal_set<Executor> signals(context, SIGINT, SIGTERM);
    error_code error;
    co_await signals.async_wait(redirect_error(use_awaitable, error));
    log_info("stopping: {} connections", parts.connections.open());
    parts.draining = true;
    for (Acceptor& acceptor : acceptors) acceptor.close(error);
    Timer tick(context);
    const auto end = Clock::now() + limits::kHttpDrainTimeout;
    while (parts.connections.busy() > 0 && Clock::now() < end) {
        tick.expires_after(std::chrono::milliseconds(10));
        co_await tick.async_wait(redirect_error(use_awaitable, error));
    }
    context.stop();
}

// For the daemon it means to read its configuration again.
Awaitable<void> answer_hangup(asio::io_context& context) {
    asio::basic_signal_set<Executor> signals(context, SIGHUP);
    error_code error;
    while (!error) {
        co_await signals.async_wait(redirect_error(use_awaitable, error));
        if (!error)
            log_warn("SIGHUP: key files are read again by themselves; for anything else restart");
    }
}

tl::unexpected<Error> cannot_listen(const std::string& where, const std::string& why) {
    return fail(ErrorCode::kFailedPrecondition, "listen on " + where + ": " + why);
}

Result<void> listen_tcp(const std::string& where, bool v6_only, asio::io_context& context,
                        std::list<Acceptor>& acceptors) {
    const std::size_t colon = where.rfind(':');
    std::string host = where.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    error_code error;
    const auto address = asio::ip::make_address(host, error);
    if (error)
        return fail(ErrorCode::kInvalidArgument,
                    "[http] listen: expected an IP address, found '" + printable(host) + "'");
    const auto port = static_cast<std::uint16_t>(
        parse_unsigned(std::string_view(where).substr(colon + 1)).value_or(0));
    const tcp::endpoint endpoint(address, port);
    Acceptor acceptor(context);
    acceptor.open(Protocol(endpoint.protocol()), error);
    if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
    if (!error && v6_only) acceptor.set_option(asio::ip::v6_only(true), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(limits::kSocketBacklog, error);
    if (error) return cannot_listen(where, error.message());
    tcp::endpoint bound;
    auto length = static_cast<socklen_t>(bound.capacity());
    ::getsockname(acceptor.native_handle(), bound.data(), &length);
    log_info("ready: http://{}:{}", where.substr(0, colon), bound.port());
    acceptors.push_back(std::move(acceptor));
    return {};
}

void take_over(int fd, asio::io_context& context, std::list<Acceptor>& acceptors) {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
    error_code error;
    Acceptor acceptor(context);
    acceptor.assign(Protocol(address.ss_family, 0), fd, error);
    acceptors.push_back(std::move(acceptor));
}

Result<void> listen_unix(const std::string& path, unsigned mode, asio::io_context& context,
                         std::list<Acceptor>& acceptors) {
    EW_TRY(UniqueFd fd, listen_on_unix(path, mode));
    take_over(fd.release(), context, acceptors);
    log_info("ready: unix:{}", path);
    return {};
}

Result<void> listen_systemd(asio::io_context& context, std::list<Acceptor>& acceptors) {
    EW_TRY(std::vector<UniqueFd> sockets, inherited_listeners());
    log_info("ready: {} sockets of systemd", sockets.size());
    for (UniqueFd& socket : sockets) take_over(socket.release(), context, acceptors);
    return {};
}

}  // namespace

bool leaves_ipv4(const std::string& where, const std::vector<std::string>& listen) {
    const std::string port = where.substr(where.rfind(':') + 1);
    return where.starts_with('[') && std::ranges::any_of(listen, [&](const std::string& other) {
               return !other.starts_with('[') && other.substr(other.rfind(':') + 1) == port;
           });
}

Result<void> run_http(const Config& config, const std::string& version) {
    ::signal(SIGPIPE, SIG_IGN);
    ::signal(SIGXFSZ, SIG_IGN);  // A full log is an error of write(), not the end.
    Connections connections(config.address_connections_max);
    asio::io_context context(1);
    EW_TRY(
        const std::unique_ptr<client::DaemonPool> daemons,
        client::DaemonPool::open(config.data_endpoints, config.curve ? &*config.curve : nullptr));
    DaemonLink link(context, *daemons);
    SessionParts parts(config, link, connections, version);
    std::list<Acceptor> acceptors;
    for (const std::string& where : config.listen) {
        constexpr std::string_view kUnix = "unix:";
        if (where == "systemd") {
            EW_CHECK(listen_systemd(context, acceptors));
        } else if (where.starts_with(kUnix)) {
            EW_CHECK(
                listen_unix(where.substr(kUnix.size()), config.socket_mode, context, acceptors));
        } else {
            EW_CHECK(listen_tcp(where, leaves_ipv4(where, config.listen), context, acceptors));
        }
    }
    for (Acceptor& acceptor : acceptors)
        asio::co_spawn(context, accept_all(acceptor, parts), report_end);
    asio::co_spawn(context, drain_on_signal(context, acceptors, parts), report_end);
    asio::co_spawn(context, answer_hangup(context), report_end);
    context.run();
    log_info("stopped");
    return {};
}

}  // namespace export_worker::http_shim
