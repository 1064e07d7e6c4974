// Which of the calls that read many rows may run: few of one organization at a time, a few more
// wait in their order, and the rest is refused at once. So one organization's lists delay neither
// links nor the lists of others. Nothing here survives a crash.
#pragma once

#include <cstddef>
#include <mutex>
#include <string>
#include <unordered_map>

#include "daemon/server/call.hpp"

namespace export_worker::server {

// [any-thread]. Borrows the calls from enter() until leave().
class ListAdmission {
public:
    enum class Entry {
        kRuns,     // The caller runs it, then calls leave().
        kWaits,    // Another thread has it from now on: leave() hands it out.
        kRefused,  // kListsRunningPerOrganization run and kListsWaitingPerOrganization wait.
    };
    // Empty `organization_id`: an unknown caller, whose call ends with that error; it is not
    // counted.
    [[nodiscard]] Entry enter(Call& call, const std::string& organization_id);
    // Of a call that entered and is over. Returns the one that runs in its place; null: none waits.
    [[nodiscard]] Call* leave(const Call& call);

private:
    struct Line {
        std::size_t running = 0;
        std::size_t waiting = 0;
        Call* first = nullptr;
        Call* last = nullptr;  // Valid while there is a first.
    };

    std::mutex mutex_;
    // By organization; those without a running call are absent. Guarded by mutex_.
    std::unordered_map<std::string, Line> lines_;
};

}  // namespace export_worker::server
