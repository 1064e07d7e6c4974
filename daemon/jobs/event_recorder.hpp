// Events that happen many times a second and must not wait for a disk: links and downloads.
//
// record() copies into a ring of fixed size and returns; a thread adds what is there to the store
// every kEventsFlushInterval, the same event once with its count. A crash loses what has not been
// added; a full ring drops the newest and counts them.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <vector>

#include "base/shared_limits.hpp"
#include "base/stoppable_threads.hpp"
#include "daemon/jobs/job_accesses.hpp"

namespace export_worker::jobs {

class EventRecorder {
public:
    // `store` outlives the recorder.
    explicit EventRecorder(JobAccesses& store);
    ~EventRecorder() = default;  // Adds what is still there.
    EventRecorder(const EventRecorder&) = delete;
    EventRecorder& operator=(const EventRecorder&) = delete;

    // Texts that are too long for the ring are cut. Neither allocates nor waits for I/O.
    // [any-thread]
    void record(std::string_view job_id, std::string_view kind, std::string_view actor);
    [[nodiscard]] std::uint64_t dropped() const { return dropped_.load(); }

private:
    struct Slot {
        std::array<char, limits::kJobIdBytesMax> job_id;
        std::array<char, 32> kind;
        std::array<char, 96> actor;
        std::uint8_t job_id_bytes;
        std::uint8_t kind_bytes;
        std::uint8_t actor_bytes;
    };
    void run();
    void flush();

    JobAccesses& store_;
    std::atomic<std::uint64_t> dropped_{0};
    std::mutex mutex_;
    std::vector<Slot> ring_;    // Guarded by mutex_.
    std::size_t used_ = 0;      // The same: slots of ring_ that are taken.
    std::vector<Slot> taken_;   // The thread's: what it adds to the store.
    StoppableThreads threads_;  // Last: they use everything above.
};

}  // namespace export_worker::jobs
