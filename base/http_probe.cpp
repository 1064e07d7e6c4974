#include "base/http_probe.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "base/limits.hpp"
#include "base/socket_address.hpp"
#include "base/text.hpp"
#include "base/unique_fd.hpp"

namespace export_worker {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::string_view kUnix = "unix:";

std::optional<SocketAddress> address_of(const std::string& where) {
    if (!where.starts_with(kUnix)) return parse_socket_address(where);
    const std::string path = where.substr(kUnix.size());
    sockaddr_un address{};
    if (path.empty() || path.size() >= sizeof address.sun_path) return std::nullopt;
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size());
    SocketAddress out;
    std::memcpy(&out.storage, &address, sizeof address);
    out.size = sizeof address;
    return out;
}

class Exchange {
public:
    Exchange(std::string where, Clock::time_point end) : where_(std::move(where)), end_(end) {}

    Result<void> connect(const SocketAddress& address) {
        fd_.reset(
            ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        if (::connect(fd_.get(), address.data(), address.size) == 0) return {};
        if (errno != EINPROGRESS) return failed("connect to", errno);
        EW_CHECK(wait(POLLOUT));
        int error = 0;
        socklen_t size = sizeof error;
        ::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
        return error == 0 ? Result<void>() : failed("connect to", error);
    }

    Result<void> send(std::string_view bytes) {
        while (!bytes.empty()) {
            EW_CHECK(wait(POLLOUT));
            const ssize_t put = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (put < 0 && errno != EAGAIN) return failed("write to", errno);
            bytes.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(put, 0)));
        }
        return {};
    }

    // Until the peer closes.
    Result<std::string> receive() {
        std::string out;
        std::array<char, 16 * 1024> chunk{};
        while (out.size() < limits::kHttpProbeBytesMax) {
            EW_CHECK(wait(POLLIN));
            const ssize_t got = ::recv(fd_.get(), chunk.data(), chunk.size(), 0);
            if (got < 0 && errno == EAGAIN) continue;
            if (got < 0) return fail(failed("read from", errno).error());
            if (got == 0) break;
            out.append(chunk.data(), static_cast<std::size_t>(got));
        }
        return out;
    }

private:
    Result<void> wait(short events) {
        using std::chrono::milliseconds;
        const auto left = std::chrono::duration_cast<milliseconds>(end_ - Clock::now()).count();
        pollfd ready{fd_.get(), events, 0};
        if (left > 0 && ::poll(&ready, 1, static_cast<int>(left)) != 0) return {};
        return fail(ErrorCode::kDeadlineExceeded, where_ + " does not answer in time");
    }
    Result<void> failed(const std::string& tried, int number) const {
        Error error = errno_error(tried + " " + where_, number);
        if (error.code != ErrorCode::kFailedPrecondition) error.code = ErrorCode::kUnavailable;
        return fail(std::move(error));
    }

    const std::string where_;
    const Clock::time_point end_;
    UniqueFd fd_;
};

Result<HttpAnswer> parse_answer(const std::string& where, const std::string& bytes) {
    constexpr std::size_t kStatusAt = std::string_view("HTTP/1.1 ").size();
    const std::size_t head_end = bytes.find("\r\n\r\n");
    const auto status = bytes.starts_with("HTTP/1.") && bytes.size() > kStatusAt
                            ? parse_unsigned(std::string_view(bytes).substr(kStatusAt, 3))
                            : std::nullopt;
    if (!status || head_end == std::string::npos)
        return fail(ErrorCode::kUnavailable,
                    where + ": expected HTTP, found '" + printable(bytes) + "'");
    return HttpAnswer{static_cast<int>(*status), bytes.substr(head_end + 4)};
}

}  // namespace

Result<HttpAnswer> http_get(const std::string& where, const std::string& path,
                            std::chrono::milliseconds timeout) {
    const auto address = address_of(where);
    if (!address)
        return fail(ErrorCode::kInvalidArgument,
                    "expected ADDRESS:PORT or unix:/PATH, found '" + printable(where) + "'");
    Exchange exchange(where, Clock::now() + timeout);
    EW_CHECK(exchange.connect(*address));
    const std::string host = where.starts_with(kUnix) ? "localhost" : where;
    EW_CHECK(exchange.send("GET " + path + " HTTP/1.1\r\nHost: " + host +
                           "\r\nConnection: close\r\n\r\n"));
    EW_TRY(const std::string bytes, exchange.receive());
    return parse_answer(where, bytes);
}

Listener who_listens(const std::string& where, std::chrono::milliseconds timeout) {
    const auto answer = http_get(where, "/livez", timeout);
    if (!answer)
        return answer.error().code == ErrorCode::kDeadlineExceeded ? Listener::kSilent
                                                                   : Listener::kOther;
    return answer->status == 200 && answer->body == R"({"status":"alive"})" ? Listener::kExportHttpd
                                                                            : Listener::kOther;
}

}  // namespace export_worker
