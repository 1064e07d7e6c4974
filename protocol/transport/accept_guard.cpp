#include "protocol/transport/accept_guard.hpp"

#include <dlfcn.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <ctime>

#include "base/assert.hpp"
#include "protocol/transport/message_guard.hpp"

namespace export_worker::transport {
namespace {

std::atomic<std::uint32_t> g_port{0};
std::atomic<std::size_t> g_count{0};
std::atomic<std::size_t> g_count_max{0};

bool is_limited(int listener) {
    const std::uint32_t port = g_port.load(std::memory_order_relaxed);
    if (port == 0) return false;
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    if (::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) != 0) return false;
    const void* const raw = &address;
    if (address.ss_family == AF_INET)
        return ntohs(static_cast<const sockaddr_in*>(raw)->sin_port) == port;
    return address.ss_family == AF_INET6 &&
           ntohs(static_cast<const sockaddr_in6*>(raw)->sin6_port) == port;
}

// The one behind ours: the C library's, or a sanitizer's, which must see who meets whom.
using Accept = int (*)(int, sockaddr*, socklen_t*, int);
Accept next_accept() {
    static const auto next = reinterpret_cast<Accept>(::dlsym(RTLD_NEXT, "accept4"));
    EW_ASSERT(next != nullptr);
    return next;
}
// Found before any plugin can hold the dynamic loader's lock.
[[maybe_unused]] const Accept kFoundEarly = next_accept();

}  // namespace

void guard_accept() {}

void limit_tcp(std::uint16_t port, std::size_t count_max) {
    g_count_max.store(count_max);
    g_port.store(port);
}

void set_tcp_count(std::size_t count) {
    g_count.store(count, std::memory_order_relaxed);
}

}  // namespace export_worker::transport

// Visible, so that libzmq finds it before the C library's.
extern "C" __attribute__((visibility("default"))) int accept4(int listener, sockaddr* address,
                                                              socklen_t* length, int flags) {
    using namespace export_worker::transport;
    const int fd = next_accept()(listener, address, length, flags);
    if (fd < 0 && (errno == EMFILE || errno == ENOBUFS || errno == ENOMEM)) {
        // The connection stays in the backlog, and the listener would be asked again at once.
        const timespec pause{0, 20'000'000};
        ::nanosleep(&pause, nullptr);
        errno = ENFILE;
    }
    if (fd >= 0 && is_limited(listener) &&
        g_count.load(std::memory_order_relaxed) >= g_count_max.load(std::memory_order_relaxed)) {
        ::close(fd);
        errno = ECONNABORTED;
        return -1;
    }
    if (fd >= 0) guard_connection(listener, fd);
    return fd;
}
