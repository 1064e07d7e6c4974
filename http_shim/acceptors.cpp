#include "http_shim/acceptors.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>

#include "base/limits.hpp"
#include "base/log.hpp"
#include "base/service_manager/listeners.hpp"
#include "base/socket_address.hpp"
#include "base/text.hpp"
#include "base/unix_socket.hpp"

namespace export_worker::http_shim {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using Protocol = asio::generic::stream_protocol;

constexpr std::string_view kSystemd = "systemd";
constexpr std::string_view kUnix = "unix:";

tcp::endpoint endpoint_of(const sockaddr_storage& storage, socklen_t bytes) {
    tcp::endpoint endpoint;
    std::memcpy(endpoint.data(), &storage, std::min<std::size_t>(bytes, endpoint.capacity()));
    return endpoint;
}

Result<tcp::endpoint> parse_endpoint(const std::string& where) {
    const auto address = parse_socket_address(where);
    if (!address)
        return fail(ErrorCode::kInvalidArgument,
                    "[http] listen: expected ADDRESS:PORT with an IP address, found '" +
                        printable(where) + "'");
    return endpoint_of(address->storage, address->size);
}

struct BoundAddress {
    sockaddr_storage storage{};
    socklen_t bytes = sizeof storage;
    explicit BoundAddress(int fd) {
        ::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &bytes);
    }
    [[nodiscard]] std::optional<tcp::endpoint> tcp_endpoint() const {
        if (storage.ss_family != AF_INET && storage.ss_family != AF_INET6) return std::nullopt;
        return endpoint_of(storage, bytes);
    }
};

std::string to_text(const tcp::endpoint& endpoint) {
    const std::string address = endpoint.address().to_string();
    return (endpoint.address().is_v6() ? "[" + address + "]" : address) + ":" +
           std::to_string(endpoint.port());
}

// As [http] listen has it.
std::string address_of(int fd) {
    const BoundAddress bound(fd);
    if (const auto endpoint = bound.tcp_endpoint()) return to_text(*endpoint);
    const auto& address = reinterpret_cast<const sockaddr_un&>(bound.storage);
    return std::string(kUnix) + address.sun_path;
}

// The one spelling of an address: [0:0::1]:80 and [::1]:80 are the same.
std::string normalized(const std::string& where) {
    if (where.starts_with(kUnix)) return where;
    const auto endpoint = parse_endpoint(where);
    return endpoint ? to_text(*endpoint) : where;
}

tl::unexpected<Error> cannot_listen(const std::string& where, const error_code& error) {
    const bool forbidden = error == boost::system::errc::permission_denied;
    return fail(forbidden ? ErrorCode::kFailedPrecondition : ErrorCode::kUnavailable,
                "listen on " + where + ": " + error.message() + listen_advice(error.value()));
}

class Opening {
public:
    Opening(const Config& config, asio::io_context& context) : config_(config), context_(context) {}

    Result<std::list<Acceptor>> open_all();

private:
    // False: no socket of systemd has that address.
    bool take_inherited(const std::string& where);
    void take_over(int fd);
    Result<void> listen_tcp(const std::string& where);
    Result<void> listen_unix(const std::string& path);
    // Those that no entry has taken.
    Result<void> take_rest();

    const Config& config_;
    asio::io_context& context_;
    std::vector<UniqueFd> inherited_;
    std::list<Acceptor> acceptors_;
};

Result<std::list<Acceptor>> Opening::open_all() {
    EW_TRY(inherited_, service_manager::inherited_listeners());
    for (const std::string& where : config_.listen) {
        if (where == kSystemd || take_inherited(where)) continue;
        if (where.starts_with(kUnix)) {
            EW_CHECK(listen_unix(where.substr(kUnix.size())));
        } else {
            EW_CHECK(listen_tcp(where));
        }
    }
    EW_CHECK(take_rest());
    return std::move(acceptors_);
}

bool Opening::take_inherited(const std::string& where) {
    const auto found = std::ranges::find(
        inherited_, normalized(where), [](const UniqueFd& each) { return address_of(each.get()); });
    if (found == inherited_.end()) return false;
    log_info("ready: {} of systemd", where);
    take_over(found->release());
    inherited_.erase(found);
    return true;
}

void Opening::take_over(int fd) {
    error_code error;
    Acceptor acceptor(context_);
    acceptor.assign(Protocol(BoundAddress(fd).storage.ss_family, 0), fd, error);
    acceptors_.push_back(std::move(acceptor));
}

Result<void> Opening::listen_tcp(const std::string& where) {
    EW_TRY(const tcp::endpoint endpoint, parse_endpoint(where));
    error_code error;
    Acceptor acceptor(context_);
    acceptor.open(Protocol(endpoint.protocol()), error);
    if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
    if (!error && leaves_ipv4(where, config_.listen))
        acceptor.set_option(asio::ip::v6_only(true), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(limits::kSocketBacklog, error);
    if (error) return cannot_listen(where, error);
    const auto bound = BoundAddress(acceptor.native_handle()).tcp_endpoint();
    log_info("ready: http://{}", to_text(bound.value_or(endpoint)));
    acceptors_.push_back(std::move(acceptor));
    return {};
}

Result<void> Opening::listen_unix(const std::string& path) {
    EW_TRY(UniqueFd fd, listen_on_unix(path, config_.socket_mode));
    take_over(fd.release());
    log_info("ready: unix:{}", path);
    return {};
}

Result<void> Opening::take_rest() {
    const bool wanted = std::ranges::find(config_.listen, kSystemd) != config_.listen.end();
    if (wanted && inherited_.empty())
        return fail(ErrorCode::kFailedPrecondition,
                    "listen on systemd: expected sockets in LISTEN_FDS that no other entry of "
                    "[http] listen names, found none; is there a .socket unit?");
    if (!wanted && !inherited_.empty())
        return fail(ErrorCode::kFailedPrecondition,
                    "[http] listen: expected an entry for each socket of systemd, found none for " +
                        address_of(inherited_.front().get()) +
                        "; name it there, or take its ListenStream out of the .socket unit");
    if (wanted) log_info("ready: {} sockets of systemd", inherited_.size());
    for (UniqueFd& each : inherited_) take_over(each.release());
    return {};
}

}  // namespace

bool leaves_ipv4(const std::string& where, const std::vector<std::string>& listen) {
    const std::string port = where.substr(where.rfind(':') + 1);
    return where.starts_with('[') && std::ranges::any_of(listen, [&](const std::string& other) {
               return !other.starts_with('[') && other.substr(other.rfind(':') + 1) == port;
           });
}

Result<std::list<Acceptor>> open_acceptors(const Config& config, asio::io_context& context) {
    return Opening(config, context).open_all();
}

}  // namespace export_worker::http_shim
