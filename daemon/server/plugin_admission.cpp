#include "daemon/server/plugin_admission.hpp"

#include "daemon/server/limits.hpp"

namespace export_worker::server {

bool PluginAdmission::try_enter(std::uint64_t generation, SteadyTime now) {
    if (generation != generation_) {
        generation_ = generation;
        silent_since_ = now;
        open();
    }
    if (calls_ >= calls_max_) return false;
    if (calls_ <= stalled_) silent_since_ = now;
    ++calls_;
    return true;
}

void PluginAdmission::answer(SteadyTime now) {
    --calls_;
    silent_since_ = now;
    if (state_ == State::kSilent || state_ == State::kHung) open();
}

void PluginAdmission::review(const StalledCounts& counts, unsigned free_workers, SteadyTime now) {
    stalled_ = counts.stalled;
    if (calls_ <= stalled_) silent_since_ = now;
    const auto silence = now - silent_since_;
    const bool hangs = counts.stuck > 0 || free_workers == 0;
    if (counts.stuck >= limits::kPluginStuckMax) {
        set(State::kStuck, 0);
    } else if (hangs && (state_ == State::kHung || silence > limits::kWorkerStall)) {
        set(State::kHung, stalled_ + free_workers);
    } else if (silence > limits::kPluginSilence) {
        set(State::kSilent, limits::kSilentPluginCallsMax);
    } else {
        open();
    }
}

void PluginAdmission::set(State state, std::size_t calls_max) {
    state_ = state;
    calls_max_ = calls_max;
}

void PluginAdmission::open() {
    set(State::kOpen, SIZE_MAX);
}

}  // namespace export_worker::server
