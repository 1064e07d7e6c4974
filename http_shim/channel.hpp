// A connected socket with an end to each wait: an absolute one for reading, and for writing one
// that moves on as long as the peer takes bytes, however few.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "http_shim/coroutine.hpp"

namespace export_worker::http_shim {

// [the io thread]
class Channel {
public:
    // `write_timeout`: how long the peer may acknowledge nothing of what is written.
    Channel(Stream socket, std::chrono::milliseconds write_timeout);
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;

    // The socket is closed when `time` has passed, whatever trickles in meanwhile.
    void set_deadline(std::chrono::milliseconds time);
    void clear_deadline();
    void close();

    // Appends what comes next to `buffer`; false: nothing will, or the deadline has passed.
    [[nodiscard]] Awaitable<bool> read_more(std::string& buffer);
    // The same into memory of the caller's; how many bytes, 0 for nothing.
    [[nodiscard]] Awaitable<std::size_t> read_some(char* into, std::size_t bytes_max);
    // As much of both as the kernel takes at once; true: all of it. What is left stays in the
    // arguments, for write().
    [[nodiscard]] bool write_at_once(std::string_view& head, std::string_view& body);
    // Both in full; false: the peer is gone, or takes nothing for write_timeout.
    [[nodiscard]] Awaitable<bool> write(std::string_view head, std::string_view body = {});
    // `bytes` from `offset` on, by the kernel. False as above, and for a file that turns out
    // shorter: its reader sees a truncated body instead of a wrong one. `*sent` counts while it
    // runs.
    [[nodiscard]] Awaitable<bool> send_file(int file, std::uint64_t offset, std::uint64_t bytes,
                                            std::uint64_t* sent);
    // Whether the kernel has bytes that were not read.
    [[nodiscard]] bool has_unread();
    // Says that nothing more comes, then reads and drops what does, for kHttpLingerTimeout and
    // kHttpLingerBytesMax at most: closing with unread bytes would make the kernel send a reset,
    // and the peer may never see the answer.
    [[nodiscard]] Awaitable<void> linger();

private:
    void begin_writing(bool much);
    void advance(std::string_view& head, std::string_view& body, std::size_t sent);
    void arm();
    void on_timer();
    [[nodiscard]] std::uint64_t acknowledged();

    Stream socket_;
    const std::chrono::milliseconds write_timeout_;
    Timer timer_;
    Clock::time_point deadline_ = Clock::time_point::max();
    bool timer_runs_ = false;
    bool writing_ = false;
    std::uint64_t written_ = 0;       // Given to the kernel.
    std::uint64_t acknowledged_ = 0;  // At the last look.
    Clock::time_point moved_{};       // When that grew.
    std::array<char, 4096> chunk_;    // Not in a coroutine's frame: that is allocated each time.
    std::shared_ptr<Channel*> self_;  // Tells the timer that we still exist.
};

}  // namespace export_worker::http_shim
