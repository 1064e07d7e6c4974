// jobs.db while it is open: the database, the store's clock, and which instance of the daemon this
// is. What the parts of the SQLite store share. [any-thread]
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "daemon/jobs/job_draft.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/now.hpp"
#include "daemon/jobs/sqlite/time_line.hpp"
#include "daemon/sqlite/database.hpp"
#include "daemon/sqlite/durability.hpp"

namespace export_worker::jobs {

class JobDatabase {
public:
    // Opens or creates the file, and enters this instance. `clock` outlives it. Errors: those of
    // sqlite::Database::open().
    [[nodiscard]] static Result<std::unique_ptr<JobDatabase>> open(const std::string& path,
                                                                   const Clock& clock,
                                                                   const JobPolicy& policy,
                                                                   sqlite::Durability durability);

    // As those of sqlite::Database; a write gets the time, too: `work(connection, now)`.
    template <typename Work>
    [[nodiscard]] auto read(Work&& work) {
        return database_->read(std::forward<Work>(work));
    }
    // The time is that of the write, not of the call: what is written later is not earlier.
    template <typename Work>
    [[nodiscard]] auto write(const Work& work) {
        return database_->write(
            [&](sqlite::Connection& connection) { return work(connection, now()); });
    }
    // The same for work that may run twice: again while the outcome is unknown, at most
    // kOutcomeTriesMax times.
    template <typename Work>
    [[nodiscard]] auto write_until_known(const Work& work) {
        auto result = write(work);
        for (int tries = 1; is_unknown(result) && tries < limits::kOutcomeTriesMax; ++tries)
            result = write(work);
        return result;
    }
    template <typename T>
    [[nodiscard]] static bool is_unknown(const Result<T>& result) {
        return !result && result.error().code == ErrorCode::kUnknownOutcome;
    }
    // Moves the jobs that wait for a start on the wall clock to the clock of this life
    // (reschedule_after()). open() moves the first batch of them, so that it takes the same time
    // however many there are. Before this has succeeded no job may be claimed, nor fail at its
    // deadline. Requests are answered between two batches. Costs nothing once all have moved.
    // Errors: those of a write; the next call goes on.
    [[nodiscard]] Result<void> finish_rescheduling();
    [[nodiscard]] sqlite::Database& database() { return *database_; }

    [[nodiscard]] Now now() const;
    // When `us` was or will be on the wall, as far as the clock is right now.
    [[nodiscard]] std::int64_t wall_of(std::int64_t us) const;
    [[nodiscard]] const Clock& clock() const { return clock_; }
    [[nodiscard]] const JobPolicy& policy() const { return policy_; }
    [[nodiscard]] const std::string& instance_id() const { return instance_id_; }
    [[nodiscard]] const std::string& registry_id() const { return registry_id_; }

    // Jobs that claims found past their deadline and failed; they are told with those that
    // enforce_limits() finds itself.
    void add_failed_by_claims(std::size_t count) { failed_by_claims_ += count; }
    [[nodiscard]] std::size_t take_failed_by_claims() { return failed_by_claims_.exchange(0); }

private:
    JobDatabase(std::unique_ptr<sqlite::Database> database, const Clock& clock, JobPolicy policy);
    [[nodiscard]] Result<void> read_registry_id();
    [[nodiscard]] Result<void> enter_instance();

    const Clock& clock_;
    const JobPolicy policy_;
    const std::string instance_id_;
    std::string registry_id_;          // Fixed once open() returns.
    std::int64_t time_offset_us_ = 0;  // open_time_line(). The same.
    std::mutex rescheduling_;          // One walk at a time.
    // The last job that was moved; nullopt: all were. Guarded by rescheduling_ once open() returns.
    std::optional<SchedulePlace> rescheduled_to_ = SchedulePlace();
    std::atomic<std::size_t> failed_by_claims_{0};
    const std::unique_ptr<sqlite::Database> database_;  // Last: its writes use what is above.
};

}  // namespace export_worker::jobs
