// The threads that run export jobs.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "daemon/export/export_runner.hpp"

namespace export_worker::exports {

class ExportWorkers {
public:
    // `parts` outlive this object. Starts nothing yet.
    ExportWorkers(const ExportParts& parts, std::chrono::seconds sweep_interval,
                  std::chrono::seconds orphan_grace)
        : parts_(parts), sweep_interval_(sweep_interval), orphan_grace_(orphan_grace) {}
    ~ExportWorkers() { stop(); }
    ExportWorkers(const ExportWorkers&) = delete;
    ExportWorkers& operator=(const ExportWorkers&) = delete;

    // `count` workers, and one thread that sweeps: what is known to be unpublished at once, the
    // rest a little later, then every interval.
    void start(unsigned count);
    // A job may be due. [any-thread]
    void wake();
    // Running jobs are interrupted at the next batch and put back, with their attempt. Returns when
    // all stopped.
    void stop();

private:
    void run();
    void run_sweeps();

    const ExportParts parts_;
    const std::chrono::seconds sweep_interval_;
    const std::chrono::seconds orphan_grace_;
    std::atomic<bool> stopping_{false};
    std::mutex mutex_;
    std::condition_variable changed_;
    std::uint64_t wakes_ = 0;  // Guarded by mutex_.
    std::vector<std::thread> threads_;
};

}  // namespace export_worker::exports
