// What workers do, in jobs.db: every change is conditional on the lease's epoch
// and claim.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/jobs/job_queue.hpp"
#include "daemon/jobs/sqlite/claims.hpp"
#include "daemon/jobs/sqlite/job_database.hpp"
#include "daemon/jobs/unresolved_claims.hpp"
#include "daemon/jobs/unwritten_holds.hpp"

namespace export_worker::jobs {

class SqliteJobQueue final : public JobQueue {
public:
    // All outlive it. `fenced` counts the writes that came too late.
    SqliteJobQueue(JobDatabase& database, const UnwrittenHolds& unwritten_holds,
                   std::atomic<std::int64_t>& fenced)
        : database_(database), unwritten_holds_(unwritten_holds), fenced_(fenced) {}

    Result<std::optional<ClaimedJob>> claim() override;
    Result<bool> heartbeat(const model::Lease& lease, const Progress& progress) override;
    Result<void> intend_file(const model::Lease& lease, const model::FileKey& key,
                             Run run) override;
    Result<void> complete(const model::Lease& lease, const Completion& completion,
                          Run run) override;
    Result<void> give_up_attempt(const model::Lease& lease, std::string_view error, bool permanent,
                                 std::int64_t delay_us, Run run) override;
    Result<void> release(const model::Lease& lease, Run run) override;
    Result<void> cancelled(const model::Lease& lease, Run run) override;
    Result<std::size_t> rescue() override;
    Result<std::vector<model::Lease>> owned_jobs() override;

private:
    [[nodiscard]] Result<bool> has_due();
    // `run_before`: a claim with this token may have taken a job.
    [[nodiscard]] Result<std::optional<ClaimedJob>> take_next(const Claimer& claimer,
                                                              bool run_before);
    // A worker's write: `work(connection, now)`, and what it finds when it is run again and the
    // lease is lost: `done(connection)`, was it done before? One that came too late has changed
    // nothing; how often that happens is a metric.
    template <typename Work, typename Done>
    [[nodiscard]] auto write(Run run, const Work& work, const Done& done) {
        auto result = database_.write(work);
        for (int tries = 1; tries < limits::kOutcomeTriesMax; ++tries) {
            if (!JobDatabase::is_unknown(result)) break;
            run = Run::kAgain;
            result = database_.write(work);
        }
        if (run == Run::kAgain && is_conflict(result)) {
            auto found = database_.read(done);
            if (!found) return decltype(result)(fail(std::move(found.error())));
            if (*found) return decltype(result)();
        }
        if (is_conflict(result)) fenced_.fetch_add(1);
        return result;
    }
    template <typename T>
    [[nodiscard]] static bool is_conflict(const Result<T>& result) {
        return !result && result.error().code == ErrorCode::kConflict;
    }

    JobDatabase& database_;
    const UnwrittenHolds& unwritten_holds_;
    std::atomic<std::int64_t>& fenced_;
    UnresolvedClaims unresolved_;
};

}  // namespace export_worker::jobs
