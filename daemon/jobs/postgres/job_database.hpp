// The registry's schema while it is open: the database, which life of the daemon this is, and the
// rules it was opened with. What the parts of the PostgreSQL store share. [any-thread]
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "daemon/cluster/membership.hpp"
#include "daemon/jobs/job_draft.hpp"
#include "daemon/jobs/job_queue.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/now.hpp"
#include "daemon/jobs/postgres/postgres_job_store.hpp"
#include "daemon/postgres/database.hpp"

namespace export_worker::jobs::pg {

class JobDatabase {
public:
    // Brings the schema up to date. `membership` and `clock` outlive it; no time of the clock gets
    // into a row. Errors: those of postgres::Database::open().
    [[nodiscard]] static Result<std::unique_ptr<JobDatabase>> open(
        const PostgresStoreOptions& options, cluster::Membership& membership, const Clock& clock,
        const JobPolicy& policy);

    // As those of postgres::Database, with the time as Now: both clocks of it are the database's.
    template <typename Work>
    [[nodiscard]] auto read(const Work& work) {
        return database_->read(work);
    }
    template <typename Work>
    [[nodiscard]] auto read_at(const Work& work) {
        return database_->read_at([&](postgres::Connection& connection, std::int64_t now_us) {
            return work(connection, Now{now_us, now_us});
        });
    }
    template <typename Work>
    [[nodiscard]] auto write(const Work& work) {
        return database_->write([&](postgres::Connection& connection, std::int64_t now_us) {
            return work(connection, Now{now_us, now_us});
        });
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
    // The same for work that must know: `work(connection, now, run)`. `run` is kAgain once the
    // outcome of a run was unknown, so that it may find its own work; one that was rolled back for
    // others' sake is none.
    template <typename Work>
    [[nodiscard]] auto write_judged(const Work& work) {
        Run run = Run::kFirst;
        const auto once = [&] {
            return write([&](postgres::Connection& connection, const Now& now) {
                return work(connection, now, run);
            });
        };
        auto result = once();
        run = Run::kAgain;
        for (int tries = 1; is_unknown(result) && tries < limits::kOutcomeTriesMax; ++tries)
            result = once();
        return result;
    }
    template <typename T>
    [[nodiscard]] static bool is_unknown(const Result<T>& result) {
        return !result && result.error().code == ErrorCode::kUnknownOutcome;
    }

    [[nodiscard]] postgres::Database& database() { return *database_; }
    [[nodiscard]] cluster::Membership& membership() { return membership_; }
    [[nodiscard]] const Clock& clock() const { return clock_; }
    [[nodiscard]] const JobPolicy& policy() const { return policy_; }
    // Of this life; another one after the lease was lost.
    [[nodiscard]] std::string instance_id() const { return membership_.id(); }
    [[nodiscard]] const std::string& registry_id() const { return registry_id_; }

    // Jobs that claims found past their deadline and failed; they are told with those that
    // enforce_limits() finds itself.
    void add_failed_by_claims(std::size_t count) { failed_by_claims_ += count; }
    [[nodiscard]] std::size_t take_failed_by_claims() { return failed_by_claims_.exchange(0); }

private:
    JobDatabase(std::unique_ptr<postgres::Database> database, cluster::Membership& membership,
                const Clock& clock, JobPolicy policy)
        : membership_(membership),
          clock_(clock),
          policy_(std::move(policy)),
          database_(std::move(database)) {}
    [[nodiscard]] Result<void> read_registry_id();
    [[nodiscard]] Result<void> begin_last_run();

    cluster::Membership& membership_;
    const Clock& clock_;
    const JobPolicy policy_;
    std::atomic<std::size_t> failed_by_claims_{0};
    const std::unique_ptr<postgres::Database> database_;
    std::string registry_id_;  // Fixed once open() returns.
};

}  // namespace export_worker::jobs::pg
