// How many requests of one plugin may be in flight. Nothing here survives a crash.
//
// A plugin that answers has no limit of its own. The requests of one that does not answer would
// hold slots of the CallTable until their deadlines, so they are limited as long as it is silent.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/clock.hpp"

namespace export_worker::server {

// Requests inside a plugin for longer than kWorkerStall.
struct StalledCounts {
    unsigned stalled = 0;
    unsigned stuck = 0;  // Past their deadline, in the generation that answers now.
};

// [one-owner]
class PluginAdmission {
public:
    enum class State : std::uint8_t {
        kOpen,    // No limit.
        kSilent,  // It has answered nothing for kPluginSilence: kSilentPluginCallsMax.
        kHung,    // It has answered nothing for kWorkerStall, and requests are stuck: what its free
                  // workers can try at once. Ends with the first answer.
        kStuck,   // kPluginStuckMax requests are stuck: none.
    };

    // Counts a request in which `generation` is to answer. False: it is refused for state().
    // Another generation than the last time begins with kOpen.
    [[nodiscard]] bool try_enter(std::uint64_t generation, SteadyTime now);
    // A request that entered has left without having run.
    void leave() { --calls_; }
    // A request that entered has returned from the plugin.
    void answer(SteadyTime now);
    // To be called regularly: finds the state anew. `free_workers` are in no stalled request.
    void review(const StalledCounts& counts, unsigned free_workers, SteadyTime now);

    [[nodiscard]] State state() const { return state_; }
    // More requests are in flight than state() allows: those that wait are to be refused.
    [[nodiscard]] bool has_too_many() const { return calls_ > calls_max_; }
    // The generation of the last try_enter().
    [[nodiscard]] std::uint64_t generation() const { return generation_; }

private:
    void set(State state, std::size_t calls_max);
    void open();

    State state_ = State::kOpen;
    std::size_t calls_max_ = SIZE_MAX;
    std::size_t calls_ = 0;    // Those that wait, those that run.
    std::size_t stalled_ = 0;  // Of them, at the last review.
    std::uint64_t generation_ = 0;
    // The last answer, or when the first request came that could have had one since.
    SteadyTime silent_since_{};
};

}  // namespace export_worker::server
