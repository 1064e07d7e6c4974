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
    explicit ExportWorkers(const ExportParts& parts) : parts_(parts) {}
    ~ExportWorkers() { stop(); }
    ExportWorkers(const ExportWorkers&) = delete;
    ExportWorkers& operator=(const ExportWorkers&) = delete;

    void start(unsigned count);
    // A job may be due. [any-thread]
    void wake();
    // Running jobs are interrupted at the next batch and put back, with their attempt. Returns when
    // all stopped.
    void stop();

private:
    void run();

    const ExportParts parts_;
    std::atomic<bool> stopping_{false};
    std::mutex mutex_;
    std::condition_variable changed_;
    std::uint64_t wakes_ = 0;  // Guarded by mutex_.
    std::vector<std::thread> threads_;
};

}  // namespace export_worker::exports
