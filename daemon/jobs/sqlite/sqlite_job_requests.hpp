// What callers do to jobs, in jobs.db.
#pragma once

#include <string>
#include <string_view>

#include "daemon/jobs/job_requests.hpp"
#include "daemon/jobs/sqlite/job_database.hpp"
#include "daemon/jobs/unwritten_holds.hpp"

namespace export_worker::jobs {

class SqliteJobRequests final : public JobRequests {
public:
    // Both outlive it, and the writes it has begun.
    SqliteJobRequests(JobDatabase& database, const UnwrittenHolds& unwritten_holds)
        : database_(database), unwritten_holds_(unwritten_holds) {}

    Result<Pending<CreatedJob>> begin_create(NewJob job) override;
    Result<model::Job> request_cancel(const model::OrganizationScope& scope,
                                      std::string_view job_id, std::string_view actor) override;
    Result<model::Job> retry(const model::OrganizationScope& scope, std::string_view job_id,
                             std::string_view actor) override;
    Result<model::Job> hold(const model::OrganizationScope& scope, std::string_view job_id,
                            std::string_view actor) override {
        return set_held(scope, job_id, actor, true);
    }
    Result<model::Job> release_hold(const model::OrganizationScope& scope, std::string_view job_id,
                                    std::string_view actor) override {
        return set_held(scope, job_id, actor, false);
    }
    Result<Pending<model::Job>> begin_report(const model::OrganizationScope& scope,
                                             std::string job_id, ProgressReport report,
                                             std::string actor) override;

private:
    // The job as a caller sees it.
    [[nodiscard]] Result<model::Job> show(sqlite::Connection& connection,
                                          const model::OrganizationScope& scope,
                                          std::string_view job_id, const Now& at);
    // insert_job(), and that.
    [[nodiscard]] Result<CreatedJob> insert(sqlite::Connection& connection, const NewJob& submitted,
                                            JobDraft draft, const Now& at);
    // After kUnknownOutcome, with the same id: the job is there, or it is inserted now.
    [[nodiscard]] Result<CreatedJob> create_again(const NewJob& submitted,
                                                  const std::string& job_id, const Now& at);
    [[nodiscard]] Result<model::Job> set_held(const model::OrganizationScope& scope,
                                              std::string_view job_id, std::string_view actor,
                                              bool held);

    JobDatabase& database_;
    const UnwrittenHolds& unwritten_holds_;
};

}  // namespace export_worker::jobs
