#include "tests/unit/support/postgres_proxy.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

namespace export_worker::testing {
namespace {

constexpr const char* kSocketName = "/.s.PGSQL.5432";
constexpr int kLookMs = 5;  // Between two looks at what it was told.

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    EXPECT_LT(path.size(), sizeof address.sun_path);
    std::memcpy(address.sun_path, path.c_str(), path.size());
    return address;
}

UniqueFd make_socket() {
    return UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

bool send_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
}

// A client sends COMMIT in a message of its own.
bool is_commit(std::string_view bytes) {
    return bytes.starts_with('Q') && bytes.find("COMMIT") != std::string_view::npos;
}

bool take_one(std::atomic<int>& count) {
    int left = count.load();
    while (left > 0) {
        if (count.compare_exchange_weak(left, left - 1)) return true;
    }
    return false;
}

}  // namespace

PostgresProxy::PostgresProxy(const PostgresServer& server)
    : server_path_(server.directory() + kSocketName), listener_(make_socket()) {
    const sockaddr_un address = address_of(dir_.path() + kSocketName);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
    EXPECT_EQ(::listen(listener_.get(), 64), 0);
    thread_ = std::thread([this] { run(); });
}

PostgresProxy::~PostgresProxy() {
    ending_ = true;
    thread_.join();
}

postgres::DatabaseOptions PostgresProxy::through(postgres::DatabaseOptions options) const {
    options.connect.conninfo = "host=" + dir_.path() + " user=postgres dbname=postgres";
    return options;
}

void PostgresProxy::run() {
    while (!ending_) {
        std::vector<pollfd> sockets{{listener_.get(), POLLIN, 0}};
        for (const Pair& pair : pairs_) {
            sockets.push_back({pair.client.get(), POLLIN, 0});
            sockets.push_back({pair.server.get(), POLLIN, 0});
        }
        const bool stopped = stopped_;
        const int ready = ::poll(sockets.data(), stopped ? 0 : sockets.size(), kLookMs);
        if (stopped || ready <= 0) continue;
        std::vector<Pair> alive;
        for (std::size_t index = 0; index < pairs_.size(); ++index) {
            bool lives = true;
            if (sockets[1 + 2 * index].revents != 0) lives = pass_to_server(pairs_[index]);
            if (lives && sockets[2 + 2 * index].revents != 0) lives = pass_to_client(pairs_[index]);
            if (lives) alive.push_back(std::move(pairs_[index]));
        }
        pairs_ = std::move(alive);
        if (sockets[0].revents != 0) accept_client();
    }
}

void PostgresProxy::accept_client() {
    Pair pair{UniqueFd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)), make_socket()};
    const sockaddr_un address = address_of(server_path_);
    if (::connect(pair.server.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
        0)
        pairs_.push_back(std::move(pair));
}

bool PostgresProxy::pass_to_server(Pair& pair) {
    std::array<char, 64 * 1024> buffer;
    const ssize_t size = ::recv(pair.client.get(), buffer.data(), buffer.size(), 0);
    if (size <= 0) return false;
    const std::string_view bytes(buffer.data(), static_cast<std::size_t>(size));
    if (is_commit(bytes)) {
        if (take_one(cut_)) return false;
        pair.swallows = take_one(swallow_);
    }
    return send_all(pair.server.get(), bytes);
}

bool PostgresProxy::pass_to_client(Pair& pair) {
    std::array<char, 64 * 1024> buffer;
    const ssize_t size = ::recv(pair.server.get(), buffer.data(), buffer.size(), 0);
    if (size <= 0 || pair.swallows) return false;
    return send_all(pair.client.get(), {buffer.data(), static_cast<std::size_t>(size)});
}

}  // namespace export_worker::testing
