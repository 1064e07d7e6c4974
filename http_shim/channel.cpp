#include "http_shim/channel.hpp"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>

#include <algorithm>
#include <cerrno>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>

#include "http_shim/limits.hpp"

namespace export_worker::http_shim {

namespace asio = boost::asio;
using asio::redirect_error;
using boost::system::error_code;

namespace {

constexpr int kLooks = 4;  // At what the peer has acknowledged, in one time-out.
constexpr std::size_t kSmallBytes = 64 * 1024;        // A socket's buffer takes that at once.
constexpr std::size_t kSendChunkBytes = 1024 * 1024;  // At most, of one call to the kernel.
constexpr std::uint64_t kSendTurnBytes =
    4 * 1024 * 1024;  // Then other connections have their turn.

// Never looked at, so all connections of the thread share it.
thread_local std::array<char, 64 * 1024> dropped_bytes;

std::array<asio::const_buffer, 2> buffers_of(std::string_view head, std::string_view body) {
    return {asio::buffer(head.data(), head.size()), asio::buffer(body.data(), body.size())};
}

}  // namespace

Channel::Channel(Stream socket, std::chrono::milliseconds write_timeout)
    : socket_(std::move(socket)),
      write_timeout_(write_timeout),
      timer_(socket_.get_executor()),
      self_(std::make_shared<Channel*>(this)) {
    error_code closed;  // The first read says so, too.
    socket_.non_blocking(true, closed);
}

void Channel::close() {
    error_code ignored;
    socket_.close(ignored);
}

// Later deadlines do not touch the timer: it looks again when it fires. A request that is in time
// costs no timer at all.
void Channel::set_deadline(std::chrono::milliseconds time) {
    writing_ = false;
    deadline_ = Clock::now() + time;
    if (deadline_ < timer_.expiry() || !timer_runs_) arm();
}

void Channel::clear_deadline() {
    deadline_ = Clock::time_point::max();
}

void Channel::begin_writing(bool much) {
    set_deadline(write_timeout_ / kLooks);
    moved_ = Clock::now();
    writing_ = true;
    acknowledged_ = much ? acknowledged() : written_;  // A look costs a system call.
}

void Channel::arm() {
    timer_runs_ = true;
    timer_.expires_at(deadline_);
    timer_.async_wait([weak = std::weak_ptr<Channel*>(self_)](const error_code& error) {
        const auto self = weak.lock();
        if (!error && self) (*self)->on_timer();  // Else armed anew, or the connection is over.
    });
}

void Channel::on_timer() {
    timer_runs_ = false;
    if (deadline_ == Clock::time_point::max()) return;
    if (deadline_ > Clock::now()) return arm();
    if (!writing_) return close();
    const std::uint64_t acknowledged_now = acknowledged();
    if (acknowledged_now != acknowledged_) moved_ = Clock::now();
    acknowledged_ = acknowledged_now;
    if (Clock::now() - moved_ >= write_timeout_) return close();
    deadline_ = Clock::now() + write_timeout_ / kLooks;
    arm();
}

// The kernel tells late that there is room again (after a third of its buffer), but at once what
// the peer has acknowledged: tcp(7), SIOCOUTQ.
std::uint64_t Channel::acknowledged() {
    int queued = 0;
    if (::ioctl(socket_.native_handle(), SIOCOUTQ, &queued) != 0) queued = 0;
    return written_ - std::min<std::uint64_t>(written_, static_cast<std::uint64_t>(queued));
}

void Channel::advance(std::string_view& head, std::string_view& body, std::size_t sent) {
    written_ += sent;
    const std::size_t of_head = std::min(sent, head.size());
    head.remove_prefix(of_head);
    body.remove_prefix(sent - of_head);
}

Awaitable<bool> Channel::read_more(std::string& buffer) {
    error_code error;
    const std::size_t got = co_await socket_.async_read_some(asio::buffer(chunk_),
                                                             redirect_error(use_awaitable, error));
    buffer.append(chunk_.data(), error ? 0 : got);
    co_return !error && got > 0;
}

Awaitable<std::size_t> Channel::read_some(char* into, std::size_t bytes_max) {
    error_code error;
    const std::size_t got = co_await socket_.async_read_some(asio::buffer(into, bytes_max),
                                                             redirect_error(use_awaitable, error));
    co_return error ? 0 : got;
}

// An error shows again in write().
bool Channel::write_at_once(std::string_view& head, std::string_view& body) {
    error_code error;
    advance(head, body, socket_.write_some(buffers_of(head, body), error));
    return head.empty() && body.empty();
}

Awaitable<bool> Channel::write(std::string_view head, std::string_view body) {
    begin_writing(body.size() > kSmallBytes);
    error_code error;
    while (!error && head.size() + body.size() > 0) {
        const std::size_t sent = co_await socket_.async_write_some(
            buffers_of(head, body), redirect_error(use_awaitable, error));
        advance(head, body, sent);
    }
    clear_deadline();
    co_return !error;
}

Awaitable<bool> Channel::send_file(int file, std::uint64_t offset, std::uint64_t bytes,
                                   std::uint64_t* sent) {
    begin_writing(true);
    auto at = static_cast<off_t>(offset);
    std::uint64_t turn = 0;  // Sent without a wait.
    error_code error;
    while (bytes > 0 && !error && socket_.is_open()) {
        const auto chunk =
            static_cast<std::size_t>(std::min<std::uint64_t>(bytes, kSendChunkBytes));
        const ssize_t done = ::sendfile(socket_.native_handle(), file, &at, chunk);
        if (done > 0) {
            const auto count = static_cast<std::uint64_t>(done);
            bytes -= count;
            turn += count;
            written_ += count;
            *sent += count;
            if (turn < kSendTurnBytes || bytes == 0) continue;
            turn = 0;
            co_await asio::post(socket_.get_executor(), use_awaitable);  // The others' turn.
        } else if (done < 0 && errno == EAGAIN) {
            turn = 0;
            co_await socket_.async_wait(Stream::wait_write, redirect_error(use_awaitable, error));
        } else if (done == 0 || errno != EINTR) {
            co_return false;
        }
    }
    clear_deadline();
    co_return bytes == 0 && !error;
}

bool Channel::has_unread() {
    error_code error;
    return socket_.available(error) > 0;
}

Awaitable<void> Channel::linger() {
    error_code error;
    socket_.shutdown(Stream::shutdown_send, error);
    set_deadline(limits::kHttpLingerTimeout);
    for (std::size_t dropped = 0; dropped < limits::kHttpLingerBytesMax && !error;) {
        dropped += co_await socket_.async_read_some(asio::buffer(dropped_bytes),
                                                    redirect_error(use_awaitable, error));
    }
}

}  // namespace export_worker::http_shim
