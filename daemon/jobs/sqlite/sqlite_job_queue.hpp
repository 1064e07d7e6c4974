// What workers do, in jobs.db: every change is conditional on the lease's epoch.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string_view>

#include "daemon/jobs/job_queue.hpp"
#include "daemon/jobs/sqlite/claims.hpp"
#include "daemon/jobs/sqlite/job_database.hpp"

namespace export_worker::jobs {

class SqliteJobQueue final : public JobQueue {
public:
    // All outlive it. `fenced` counts the writes that came too late.
    SqliteJobQueue(JobDatabase& database, const UnwrittenHolds& unwritten_holds,
                   std::atomic<std::int64_t>& fenced)
        : database_(database), unwritten_holds_(unwritten_holds), fenced_(fenced) {}

    Result<std::optional<ClaimedJob>> claim() override;
    Result<bool> heartbeat(const model::Lease& lease, const Progress& progress) override;
    Result<void> intend_file(const model::Lease& lease, const model::FileKey& key) override;
    Result<void> complete(const model::Lease& lease, const Completion& completion) override;
    Result<void> give_up_attempt(const model::Lease& lease, std::string_view error, bool permanent,
                                 std::int64_t delay_us) override;
    Result<void> release(const model::Lease& lease) override;
    Result<void> cancelled(const model::Lease& lease) override;
    Result<std::size_t> rescue() override;

private:
    [[nodiscard]] Result<bool> has_due();
    // A worker's write. One that came too late has changed nothing; how often that happens is a
    // metric.
    template <typename Work>
    [[nodiscard]] auto write(const Work& work) {
        auto result = database_.write(work);
        if (!result && result.error().code == ErrorCode::kConflict) fenced_.fetch_add(1);
        return result;
    }

    JobDatabase& database_;
    const UnwrittenHolds& unwritten_holds_;
    std::atomic<std::int64_t>& fenced_;
};

}  // namespace export_worker::jobs
