// The process of a probe before the candidate came, and what the candidate has changed since.
//
// Every refusal has the code probe_failed and says what changed, from what, to what, and in which
// step.
#pragma once

#include <cstddef>
#include <string>

#include "daemon/plugins/probing/process_state.hpp"
#include "daemon/plugins/refusal.hpp"

namespace export_worker::plugins {

// Refused: a setting differs or is missing. `step`: "in create()".
[[nodiscard]] Verdict<void> check_same(const Settings& before, const Settings& after,
                                       const std::string& step);

// Threads: [one-owner]; both checks are for the thread that made it.
class Surroundings {
public:
    Surroundings();

    // Refused: a setting of the process or of this thread differs, a descriptor of the host is
    // closed or another one. `step`: "in create()".
    [[nodiscard]] Verdict<void> check_unchanged(const std::string& step) const;
    // Refused: a thread (after up to a second in which it may end), a descriptor, a process, a
    // POSIX timer or locked memory is left. `when`: "after destroy()".
    [[nodiscard]] Verdict<void> check_nothing_left(const std::string& when) const;

private:
    Settings process_;
    Settings thread_;
    Settings descriptors_;
    Settings loans_;
    std::size_t threads_;
};

}  // namespace export_worker::plugins
