// What callers do to jobs, in PostgreSQL.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/jobs/job_requests.hpp"
#include "daemon/jobs/postgres/job_database.hpp"
#include "daemon/jobs/postgres/job_quotas.hpp"
#include "daemon/jobs/postgres/waiting.hpp"
#include "daemon/jobs/unwritten_holds.hpp"
#include "daemon/postgres/batch.hpp"

namespace export_worker::jobs::pg {

class PostgresJobRequests final : public JobRequests {
public:
    // Both outlive it.
    PostgresJobRequests(JobDatabase& database, const UnwrittenHolds& unwritten_holds)
        : database_(database), unwritten_holds_(unwritten_holds), batch_(database.database()) {}

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
    // Under `job_id`, which is made by the first run that gets as far, and is the same for all.
    [[nodiscard]] Result<CreatedJob> create(postgres::Connection& connection,
                                            const NewJob& submitted, std::string& job_id,
                                            const postgres::BatchRun& run);
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

    // What the submissions of one transaction need to know of organizations, read once.
    struct Submitting {
        std::uint64_t transaction = 0;
        UnlimitedOrganizations unlimited;
        JobPresenter presenter;
    };
    [[nodiscard]] Submitting& submitting(postgres::Connection& connection,
                                         const postgres::BatchRun& run);

    JobDatabase& database_;
    const UnwrittenHolds& unwritten_holds_;
    std::optional<Submitting> submitting_;  // The batch's thread's.
    postgres::Batch batch_;  // Submissions and reports. Last: its thread uses what is above.
};

}  // namespace export_worker::jobs::pg
