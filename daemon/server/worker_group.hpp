// The workers of one plugin, or of the daemon's own methods, and the calls that wait for them: a
// plugin that hangs keeps only its own workers (a bulkhead). Nothing here survives a crash.
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "daemon/server/fair_queue.hpp"
#include "daemon/server/plugin_admission.hpp"
#include "daemon/server/worker_threads.hpp"

namespace export_worker::server {

struct WorkerGroup {
    // Starts the threads; each runs `body` until it returns.
    WorkerGroup(std::string of, unsigned workers, const std::function<void(WorkerGroup&)>& body)
        : plugin(std::move(of)), threads(workers, [this, body](unsigned) { body(*this); }) {}

    const std::string plugin;  // Empty: the daemon itself.
    FairQueue ready;
    PluginAdmission admission;  // [loop-thread]
    StalledCounts counts;       // [loop-thread] Of the last review.
    WorkerThreads threads;      // Last: they use what is above.
};

}  // namespace export_worker::server
