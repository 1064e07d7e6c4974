// What a daemon may do now, seen from the others that share its registry.
#pragma once

#include <functional>

namespace export_worker::jobs {

// Functions that are not set: this daemon is alone. [any-thread]
struct Standing {
    // Whether this daemon does what one of all has to do: deadlines, retention, sweeps, and putting
    // back what a dead one ran. Two may for a moment; all of that work stands it.
    std::function<bool()> leads = {};
    // Whether the others still take this daemon for alive. False: what it runs runs elsewhere, or
    // soon will.
    std::function<bool()> is_current = {};

    [[nodiscard]] bool is_shared() const { return leads != nullptr; }
    [[nodiscard]] bool does_lead() const { return !leads || leads(); }
    [[nodiscard]] bool counts() const { return !is_current || is_current(); }
};

}  // namespace export_worker::jobs
