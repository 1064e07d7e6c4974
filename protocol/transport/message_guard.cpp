#include "protocol/transport/message_guard.hpp"

#include <dlfcn.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <mutex>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/assert.hpp"
#include "protocol/transport/limits.hpp"

namespace export_worker::transport {
namespace {

constexpr std::uint8_t kVersionAt = 10;
constexpr std::uint8_t kGreetingBytesV2 = 12;
constexpr std::uint8_t kGreetingBytesV3 = 64;
constexpr std::uint8_t kFlagMore = 1;
constexpr std::uint8_t kFlagLong = 2;
constexpr std::uint8_t kFlagCommand = 4;

std::mutex g_mutex;
std::set<int> g_listeners;  // Guarded by g_mutex.

// libzmq reads a connection on the thread that accepted it. Entries of closed connections stay
// until their number comes again.
using Connections = std::unordered_map<int, FrameCounter>;
// Not owned by the thread: registering a destructor takes the dynamic loader's lock, which a plugin
// holds for ever whose constructor hangs.
thread_local Connections* t_connections = nullptr;
// Guarded by g_mutex. Never destroyed: such a thread may outlive main().
auto& g_connections = *new std::vector<std::unique_ptr<Connections>>;

Connections& connections_of_this_thread() {
    if (t_connections == nullptr) {
        const std::lock_guard lock(g_mutex);
        t_connections = g_connections.emplace_back(std::make_unique<Connections>()).get();
    }
    return *t_connections;
}

// One of which only the beginning is here is complete at the beginning of the next read.
void hide_ping(std::span<std::uint8_t> body) {
    constexpr std::array<std::uint8_t, 5> kPing{4, 'P', 'I', 'N', 'G'};
    if (body.size() >= kPing.size() && std::ranges::equal(body.first(kPing.size()), kPing))
        body[1] = 'X';
}

// As in accept4(): a sanitizer's, if there is one.
using Receive = ssize_t (*)(int, void*, size_t, int);
Receive next_recv() {
    static const auto next = reinterpret_cast<Receive>(::dlsym(RTLD_NEXT, "recv"));
    EW_ASSERT(next != nullptr);
    return next;
}
// Found before any plugin can hold the dynamic loader's lock.
[[maybe_unused]] const Receive kFoundEarly = next_recv();

// ThreadSanitizer does not see how libzmq hands over what it reads, and leaves libzmq's own calls
// alone; one that goes through us would be a write of ours to it.
bool is_from_libzmq([[maybe_unused]] const void* caller) {
#if defined(__SANITIZE_THREAD__)
    Dl_info info{};
    return ::dladdr(caller, &info) != 0 && std::strstr(info.dli_fname, "libzmq") != nullptr;
#else
    return false;
#endif
}

}  // namespace

bool FrameCounter::accept(std::span<std::uint8_t> bytes) {
    bool behind_message = false;
    while (!bytes.empty() && expected_ != Expected::kNothing) {
        if (expected_ == Expected::kBody) {
            behind_message = behind_message || !is_command();
            const auto skipped = std::min<std::uint64_t>(frame_bytes_, bytes.size());
            frame_bytes_ -= skipped;
            bytes = bytes.subspan(skipped);
            if (frame_bytes_ == 0) expected_ = Expected::kFlags;
            continue;
        }
        const Expected before = expected_;
        const std::uint8_t byte = bytes.front();
        bytes = bytes.subspan(1);
        const bool fine = expected_ == Expected::kGreeting ? greet(byte)
                          : expected_ == Expected::kFlags  ? begin_frame(byte)
                                                           : read_size(byte);
        if (!fine) expected_ = Expected::kNothing;
        behind_message = behind_message || (before == Expected::kSize && !is_command());
        if (expected_ == Expected::kBody && is_command() && behind_message) hide_ping(bytes);
    }
    return expected_ != Expected::kNothing;
}

bool FrameCounter::is_command() const {
    return (flags_ & kFlagCommand) != 0;
}

bool FrameCounter::greet(std::uint8_t byte) {
    const std::uint8_t at = greeting_bytes_++;
    if (at == 0 && byte != 0xff) return false;
    if (at == kVersionAt) {
        if (byte == 0) return false;  // ZMTP 1.0 frames differently.
        greeting_bytes_end_ = byte == 1 ? kGreetingBytesV2 : kGreetingBytesV3;
    }
    if (greeting_bytes_ == greeting_bytes_end_) expected_ = Expected::kFlags;
    return true;
}

bool FrameCounter::begin_frame(std::uint8_t flags) {
    flags_ = flags;
    frame_bytes_ = 0;
    size_bytes_left_ = (flags & kFlagLong) != 0 ? 8 : 1;
    expected_ = Expected::kSize;
    return true;
}

bool FrameCounter::read_size(std::uint8_t byte) {
    frame_bytes_ = frame_bytes_ << 8U | byte;
    if (--size_bytes_left_ > 0) return true;
    if (frame_bytes_ > limits::kTransportMessageBytesMax || !count_frame()) return false;
    expected_ = frame_bytes_ > 0 ? Expected::kBody : Expected::kFlags;
    return true;
}

bool FrameCounter::count_frame() {
    if (is_command()) return true;
    message_bytes_ += frame_bytes_;
    if (++message_frames_ > limits::kMessageFramesMax || message_bytes_ > limits::kMessageBytesMax)
        return false;
    if ((flags_ & kFlagMore) == 0) {
        message_frames_ = 0;
        message_bytes_ = 0;
    }
    return true;
}

MessageGuard::MessageGuard(int listener) : listener_(listener) {
    const std::lock_guard lock(g_mutex);
    g_listeners.insert(listener);
}

MessageGuard::MessageGuard(MessageGuard&& other) noexcept
    : listener_(std::exchange(other.listener_, -1)) {}

MessageGuard& MessageGuard::operator=(MessageGuard&& other) noexcept {
    std::swap(listener_, other.listener_);
    return *this;
}

MessageGuard::~MessageGuard() {
    if (listener_ < 0) return;
    const std::lock_guard lock(g_mutex);
    g_listeners.erase(listener_);
}

void guard_connection(int listener, int connection) {
    {
        const std::lock_guard lock(g_mutex);
        if (!g_listeners.contains(listener)) {
            if (t_connections != nullptr)
                t_connections->erase(connection);  // The number was another's.
            return;
        }
    }
    connections_of_this_thread().insert_or_assign(connection, FrameCounter());
}

}  // namespace export_worker::transport

// Visible, so that libzmq finds it before the C library's. The header of recv() is not included:
// with _FORTIFY_SOURCE it defines a function of this name.
extern "C" __attribute__((visibility("default"))) ssize_t recv(int fd, void* data, size_t size,
                                                               int flags) {
    using namespace export_worker::transport;
    const ssize_t got = is_from_libzmq(__builtin_return_address(0))
                            ? ::syscall(SYS_recvfrom, fd, data, size, flags, nullptr, nullptr)
                            : next_recv()(fd, data, size, flags);
    if (got <= 0 || t_connections == nullptr) return got;
    const auto connection = t_connections->find(fd);
    if (connection == t_connections->end() ||
        connection->second.accept(
            {static_cast<std::uint8_t*>(data), static_cast<std::size_t>(got)}))
        return got;
    errno = ECONNRESET;
    return -1;
}
