// What callers do to jobs: create, cancel, retry, hold, report. `actor` is who asks, for the job's
// events. [any-thread], durable when they return.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "daemon/jobs/job_draft.hpp"
#include "daemon/jobs/pending.hpp"
#include "daemon/model/job.hpp"
#include "daemon/model/organization_scope.hpp"

namespace export_worker::jobs {

struct CreatedJob {
    model::Job job;
    bool existed = false;  // The idempotency key found it.
};

// What a foreign worker reports in one call. Absent: unchanged.
struct ProgressReport {
    // The report with the same id as the last one of its job changes nothing. Empty: one of its
    // own.
    std::string report_id;
    bool mark_started = false;
    bool mark_completed = false;
    std::optional<std::string> mark_failed;  // Error text.
    std::optional<std::int64_t> processed_items;
    std::optional<std::int64_t> total_items;
    std::optional<std::string> stage;
    std::optional<std::string> message;
    std::string metadata_patch_json;  // An object merged into metadata (RFC 7396), or empty.
    std::optional<model::JobEntry> error;
    std::optional<model::JobEntry> warning;
};

// Errors: those of job_store.hpp, and kNotFound for unknown jobs and for those outside the scope
// alike.
class JobRequests {
public:
    virtual ~JobRequests() = default;

    // kConflict: the idempotency key belongs to another request. kQuotaExceeded: the organization
    // has as many unfinished jobs, types of jobs or stored bytes as it may. kInvalidArgument: the
    // start is too far ahead, or metadata over its limit. kUnknownOutcome: the job may be there;
    // with an idempotency key the same request again is safe. The store outlives what comes back.
    [[nodiscard]] virtual Result<Pending<CreatedJob>> begin_create(NewJob job) = 0;
    [[nodiscard]] Result<CreatedJob> create(NewJob job) {
        EW_TRY(const Pending<CreatedJob> created, begin_create(std::move(job)));
        return created();
    }
    // A pending job is cancelled at once, a running one at its next heartbeat. kConflict: already
    // finished.
    [[nodiscard]] virtual Result<model::Job> request_cancel(const model::OrganizationScope& scope,
                                                            std::string_view job_id,
                                                            std::string_view actor) = 0;
    // A failed or cancelled job of the daemon becomes pending with fresh attempts, and with its
    // whole deadline again. kConflict otherwise; kQuotaExceeded as for a new one.
    [[nodiscard]] virtual Result<model::Job> retry(const model::OrganizationScope& scope,
                                                   std::string_view job_id,
                                                   std::string_view actor) = 0;
    // A pending job of the daemon is not started until release_hold(). kConflict: it is not
    // pending. Doing it twice is fine. A held job has no deadline; its release gives it a whole
    // one.
    [[nodiscard]] virtual Result<model::Job> hold(const model::OrganizationScope& scope,
                                                  std::string_view job_id,
                                                  std::string_view actor) = 0;
    [[nodiscard]] virtual Result<model::Job> release_hold(const model::OrganizationScope& scope,
                                                          std::string_view job_id,
                                                          std::string_view actor) = 0;
    // For jobs with JobRunner::kExternal. The job comes back without its entries. kConflict: the
    // job is finished or belongs to the daemon; kInvalidArgument: more than one transition, or
    // metadata over its limit.
    [[nodiscard]] virtual Result<Pending<model::Job>> begin_report(
        const model::OrganizationScope& scope, std::string job_id, ProgressReport report,
        std::string actor) = 0;
    [[nodiscard]] Result<model::Job> report(const model::OrganizationScope& scope,
                                            std::string job_id, ProgressReport report,
                                            std::string actor) {
        EW_TRY(const Pending<model::Job> reported,
               begin_report(scope, std::move(job_id), std::move(report), std::move(actor)));
        return reported();
    }
};

}  // namespace export_worker::jobs
