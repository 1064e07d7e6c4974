// Ctrl-C while the daemon works on: exportctl ends its waiting, and says how to find the work.
#pragma once

#include <csignal>

namespace export_worker::exportctl {

// While one lives, the first SIGINT makes interrupted() true; the second ends the program. A SIGINT
// that the caller ignores stays ignored.
// [one-owner]: at most one at a time.
class InterruptGuard {
public:
    InterruptGuard();
    ~InterruptGuard();
    InterruptGuard(const InterruptGuard&) = delete;
    InterruptGuard& operator=(const InterruptGuard&) = delete;

private:
    struct sigaction before_ {};
};

[[nodiscard]] bool interrupted();

}  // namespace export_worker::exportctl
