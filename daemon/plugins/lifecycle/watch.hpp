// Tells when one of some files has been replaced or rewritten, and has been quiet for a moment.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/unique_fd.hpp"

namespace export_worker::plugins {

// Over inotify(7), on the directories: a file that is replaced by a rename has another inode.
// [one-owner]
class Watch {
public:
    // Replaces what was watched. Empty: nothing. A directory that cannot be watched is logged.
    void set_files(const std::vector<std::string>& files);
    // Readable when something may have changed; -1 when nothing is watched.
    [[nodiscard]] int fd() const { return fd_ ? fd_.get() : -1; }
    // The files that changed and have settled since (kWatchSettle).
    [[nodiscard]] std::vector<std::string> changed(SteadyTime now);
    [[nodiscard]] bool unsettled() const { return !touched_.empty(); }

private:
    void read_events(SteadyTime now);

    UniqueFd fd_;
    std::map<int, std::string> directories_;
    std::set<std::string> files_;
    std::map<std::string, SteadyTime> touched_;
};

}  // namespace export_worker::plugins
