// What callers do to jobs, in PostgreSQL.
#pragma once

#include <string>
#include <string_view>

#include "daemon/jobs/job_requests.hpp"
#include "daemon/jobs/postgres/job_database.hpp"
#include "daemon/jobs/unwritten_holds.hpp"

namespace export_worker::jobs::pg {

class PostgresJobRequests final : public JobRequests {
public:
    // Both outlive it.
    PostgresJobRequests(JobDatabase& database, const UnwrittenHolds& unwritten_holds)
        : database_(database), unwritten_holds_(unwritten_holds) {}

    // Both writes happen before they return; what comes back has their results.
    Result<Pending<CreatedJob>> begin_create(NewJob job) override;
    Result<Pending<model::Job>> begin_report(const model::OrganizationScope& scope,
                                             std::string job_id, ProgressReport report,
                                             std::string actor) override;
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

private:
    [[nodiscard]] Result<CreatedJob> create(const NewJob& submitted);
    [[nodiscard]] Result<model::Job> report(postgres::Connection& connection,
                                            const model::OrganizationScope& scope,
                                            const std::string& job_id, const ProgressReport& report,
                                            const std::string& actor, const Now& at);
    [[nodiscard]] Result<model::Job> set_held(const model::OrganizationScope& scope,
                                              std::string_view job_id, std::string_view actor,
                                              bool held);
    // The job as its caller sees it after a write.
    [[nodiscard]] Result<model::Job> show(postgres::Connection& connection,
                                          const model::OrganizationScope& scope,
                                          std::string_view job_id, const Now& at);

    JobDatabase& database_;
    const UnwrittenHolds& unwritten_holds_;
};

}  // namespace export_worker::jobs::pg
