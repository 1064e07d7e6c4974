// What became of every request that arrived.
#pragma once

#include <cstdint>
#include <mutex>

#include "base/metrics/histogram.hpp"

namespace export_worker::model {

// accepted = replied + error_replied + client_gone + in_flight, at every moment.
struct LedgerCounts {
    std::uint64_t accepted = 0;
    std::uint64_t replied = 0;        // With a result.
    std::uint64_t error_replied = 0;  // With an error.
    std::uint64_t client_gone = 0;    // Nobody there to take the reply.
    std::uint64_t in_flight = 0;      // Accepted, and not answered yet.
    std::uint64_t overloaded = 0;     // Among error_replied.
    std::uint64_t expired = 0;        // Among error_replied.
    std::uint64_t dropped = 0;        // Unanswerable frames; not in accepted.

    [[nodiscard]] bool balanced() const {
        return accepted == replied + error_replied + client_gone + in_flight;
    }
};

// Where the time of requests goes, from the data socket's side.
struct Hops {
    metrics::Histogram queued;   // From arrival until somebody starts on it.
    metrics::Histogram handled;  // By a plugin or a method of the daemon's own.
    metrics::Histogram total;    // From arrival until the reply is handed to the socket.
};

// Counted by one thread, read by others as one consistent whole.
class Ledger {
public:
    // [one-owner]: the loop that counts. Others see it after publish().
    LedgerCounts counts;
    Hops hops;  // [any-thread]
    void publish() {
        const std::lock_guard lock(mutex_);
        published_ = counts;
    }
    // [any-thread]
    [[nodiscard]] LedgerCounts read() const {
        const std::lock_guard lock(mutex_);
        return published_;
    }

private:
    mutable std::mutex mutex_;
    LedgerCounts published_;  // Guarded by mutex_.
};

}  // namespace export_worker::model
