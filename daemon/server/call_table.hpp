// The slots of the data socket's calls and what they may hold: how many in all and for one class of
// peers, how many bytes, how long. Nothing here survives a crash.
//
// Slots and their buffers are reused, so a steady load allocates nothing.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <span>
#include <vector>

#include "base/clock.hpp"
#include "daemon/server/call.hpp"
#include "daemon/server/limits.hpp"

namespace export_worker::server {

// [one-owner], but for occupied(). The calls live as long as the table.
class CallTable {
public:
    CallTable();

    // Where to receive the next request: a free slot, or one that can only be refused when all
    // kCallsMax are taken. It stays the same until occupy() or release().
    [[nodiscard]] Call& next_slot();
    // A class of peers holds at most as many slots as are free: alone half of them, and another
    // class always finds some.
    [[nodiscard]] bool has_slot_for(const Call& call) const;
    // Whether its request fits into kCallsBytesMax.
    [[nodiscard]] bool has_bytes_for(const Call& call) const;
    // Takes next_slot(), whose envelope, body and class are filled in. There must be a slot for it.
    void occupy(Call& call);
    // The call is over and no thread has it any more. Its views are invalid from now on.
    void release(Call& call);
    // Gives large buffers of a call back, also of one that was refused.
    static void trim(Call& call);

    // Queued or running calls without an answer whose deadline has passed. The span is valid until
    // the next call of overdue().
    [[nodiscard]] std::span<Call* const> overdue(SteadyTime now);
    // Those that have been running for longer than kWorkerStall, but for those that wait for a
    // disk or read many rows. The span is valid until the next call of stalled().
    [[nodiscard]] std::span<Call* const> stalled(SteadyTime now);
    // Slots that are taken: by calls not answered yet, or answered while their worker goes on.
    // [any-thread]
    [[nodiscard]] std::size_t occupied() const { return occupied_.load(); }

private:
    std::vector<Call> calls_;  // All of them, for ever.
    std::vector<Call*> free_;
    std::vector<Call*> overdue_;
    std::vector<Call*> stalled_;
    Call refused_;                                                 // For what has no slot.
    std::array<std::size_t, limits::kPeerClasses> class_calls_{};  // Slots of each class.
    std::size_t bytes_ = 0;                                        // Of the requests in slots.
    std::atomic<std::size_t> occupied_{0};
};

}  // namespace export_worker::server
