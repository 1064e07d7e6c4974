// Which files and directories this process has synced, in order: what a crash would keep cannot be
// seen from a process that lives on.
#pragma once

#include <string>
#include <vector>

namespace export_worker::testing {

// Remembers every fsync() from its construction on, of all threads. One at a time.
class Syncs {
public:
    Syncs();
    Syncs(const Syncs&) = delete;
    Syncs& operator=(const Syncs&) = delete;
    ~Syncs();
    // The paths as they were at the call: a file that was synced before it was renamed has its old
    // name here.
    [[nodiscard]] std::vector<std::string> paths() const;
};

}  // namespace export_worker::testing
