#include "daemon/export/export_workers.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "base/limits.hpp"
#include "base/thread_role.hpp"

namespace export_worker::exports {

void ExportWorkers::start(unsigned count) {
    for (unsigned index = 0; index < count; ++index) threads_.emplace_back([this] { run(); });
    threads_.emplace_back([this] { run_sweeps(); });
}

void ExportWorkers::wake() {
    {
        const std::lock_guard lock(mutex_);
        ++wakes_;
    }
    changed_.notify_all();
}

void ExportWorkers::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_.store(true);
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
}

void ExportWorkers::run() {
    set_thread_role(ThreadRole::kExport);
    std::uint64_t seen_wakes = 0;
    while (!stopping_.load()) {
        {
            const std::lock_guard lock(mutex_);
            seen_wakes = wakes_;
        }
        auto job = parts_.jobs->claim();
        if (job && job->has_value()) {
            run_export(parts_, **job, stopping_);
            continue;
        }
        if (!job) spdlog::error("claim: {}", job.error().message);
        // A wake that came after the look at the queue must not be slept through. Retries come due
        // by time alone.
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, limits::kJobPollInterval,
                          [&] { return stopping_.load() || wakes_ != seen_wakes; });
    }
}

void ExportWorkers::run_sweeps() {
    set_thread_role(ThreadRole::kExport);
    if (auto dropped = drop_unpublished(parts_); !dropped && !stopping_.load())
        spdlog::warn("files nobody published are left to the sweep: {}", dropped.error().message);
    auto pause = std::min(sweep_interval_, limits::kOrphanSweepFirst);
    for (;;) {
        {
            std::unique_lock lock(mutex_);
            if (changed_.wait_for(lock, pause, [this] { return stopping_.load(); })) return;
        }
        pause = sweep_interval_;
        const auto swept = sweep(parts_, orphan_grace_);
        if (!swept) {
            if (!stopping_.load()) spdlog::warn("sweep: {}", swept.error().message);
        } else if (swept->unpublished + swept->orphans > 0) {
            spdlog::info("sweep: deleted {} unpublished files and {} orphans", swept->unpublished,
                         swept->orphans);
        }
    }
}

}  // namespace export_worker::exports
