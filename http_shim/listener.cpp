#include "http_shim/listener.hpp"

#include <signal.h>
#include <spdlog/spdlog.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/limits.hpp"
#include "http_shim/session.hpp"

namespace export_worker::http_shim {
namespace {

namespace asio = boost::asio;
using asio::redirect_error;
using asio::use_awaitable;
using asio::ip::tcp;
using boost::system::error_code;

asio::awaitable<void> accept_all(tcp::acceptor& acceptor, SessionParts& parts) {
    asio::steady_timer pause(acceptor.get_executor());
    while (acceptor.is_open()) {
        error_code error;
        tcp::socket socket = co_await acceptor.async_accept(redirect_error(use_awaitable, error));
        if (error == asio::error::operation_aborted || !acceptor.is_open()) co_return;
        if (error || parts.connections >= limits::kHttpConnectionsMax) {
            // Out of descriptors or connections: wait for some to end instead of spinning.
            spdlog::warn("not accepting: {}", error ? error.message() : "too many connections");
            pause.expires_after(std::chrono::milliseconds(50));
            co_await pause.async_wait(redirect_error(use_awaitable, error));
            continue;
        }
        socket.set_option(tcp::no_delay(true), error);
        asio::co_spawn(acceptor.get_executor(), serve(std::move(socket), parts), asio::detached);
    }
}

// Stops accepting, lets what is in flight finish, then leaves.
asio::awaitable<void> drain_on_signal(asio::io_context& context, tcp::acceptor& acceptor,
                                      SessionParts& parts) {
    asio::signal_set signals(context, SIGINT, SIGTERM);
    error_code error;
    co_await signals.async_wait(redirect_error(use_awaitable, error));
    spdlog::info("stopping: {} connections", parts.connections);
    parts.draining = true;
    acceptor.close(error);
    asio::steady_timer tick(context);
    const auto end = std::chrono::steady_clock::now() + limits::kHttpDrainTimeout;
    while (parts.busy > 0 && std::chrono::steady_clock::now() < end) {
        tick.expires_after(std::chrono::milliseconds(10));
        co_await tick.async_wait(redirect_error(use_awaitable, error));
    }
    context.stop();
}

}  // namespace

Result<void> run_http(const Config& config) {
    ::signal(SIGPIPE, SIG_IGN);
    asio::io_context context(1);
    error_code error;
    const auto address = asio::ip::make_address(config.listen_address, error);
    if (error)
        return fail(ErrorCode::kInvalidArgument,
                    "[http] listen: expected an IP address, found '" + config.listen_address + "'");
    EW_TRY(const std::unique_ptr<DaemonLink> link, DaemonLink::open(config.data_endpoint));
    SessionParts parts{config, *link};
    tcp::acceptor acceptor(context);
    const tcp::endpoint endpoint(address, config.listen_port);
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(limits::kSocketBacklog, error);
    if (error) {
        return fail(ErrorCode::kFailedPrecondition, "listen on " + config.listen_address + ":" +
                                                        std::to_string(config.listen_port) + ": " +
                                                        error.message());
    }
    spdlog::info("ready: http://{}:{}", acceptor.local_endpoint().address().to_string(),
                 acceptor.local_endpoint().port());
    asio::co_spawn(context, accept_all(acceptor, parts), asio::detached);
    asio::co_spawn(context, drain_on_signal(context, acceptor, parts), asio::detached);
    context.run();
    spdlog::info("stopped");
    return {};
}

}  // namespace export_worker::http_shim
