#include "daemon/jobs/postgres/postgres_job_requests.hpp"

#include <algorithm>
#include <optional>

#include "base/crypto/uuid.hpp"
#include "base/json.hpp"
#include "daemon/jobs/attempt_rules.hpp"
#include "daemon/jobs/postgres/job_quotas.hpp"
#include "daemon/jobs/postgres/job_rows.hpp"
#include "daemon/jobs/postgres/submissions.hpp"
#include "daemon/jobs/postgres/waiting.hpp"

namespace export_worker::jobs::pg {

using model::Job;
using model::JobStatus;
using model::OrganizationScope;
using postgres::Connection;
using postgres::Rows;
using postgres::UnixTime;

namespace {

Result<bool> is_last_report(Connection& connection, std::string_view job_id,
                            std::string_view report_id) {
    EW_TRY(const Rows rows,
           connection.query("SELECT 1 FROM job WHERE job_id = $1 AND report_id = $2", job_id,
                            report_id));
    return !rows.empty();
}

Result<void> apply_report(Connection& connection, const Job& job, const ProgressReport& report,
                          std::string_view actor, const Now& at) {
    EW_TRY(const ReportedJob reported, with_report(job, report, at));
    // A report without a patch names no file.
    if (!report.metadata_patch_json.empty())
        EW_CHECK(check_names_no_export(connection, job.organization_id, reported.file_url));
    if (report.error) EW_CHECK(append_entry(connection, job.job_id, "error", *report.error, at));
    if (report.warning)
        EW_CHECK(append_entry(connection, job.job_id, "warning", *report.warning, at));
    EW_CHECK(write_state(connection, reported.job, at));
    if (!report.metadata_patch_json.empty())
        EW_CHECK(write_metadata(connection, job.job_id, parse_json(reported.job.metadata_json)));
    EW_CHECK(
        connection.change("UPDATE job SET seen_at = $2, silent_at = $2 + silence_us * "
                          "interval '1 us', report_id = $3 WHERE job_id = $1",
                          job.job_id, UnixTime{at.us}, report.report_id));
    const JobStatus status = reported.job.status;
    if (model::is_final(status)) return record_end(connection, reported.job, actor, at);
    if (job.status == JobStatus::kPending && status == JobStatus::kInProgress)
        return append_event(connection, {job.job_id, "started", ""}, actor, at);
    return {};
}

Result<void> cancel(Connection& connection, Job job, std::string_view actor, const Now& at) {
    const bool has_ended = jobs::request_cancel(job, at);
    EW_CHECK(write_state(connection, job, at));
    if (has_ended) return record_end(connection, job, actor, at);
    return append_event(connection, {job.job_id, "cancel_requested", ""}, actor, at);
}

}  // namespace

Result<Job> PostgresJobRequests::show(Connection& connection, const OrganizationScope& scope,
                                      std::string_view job_id, const Now& at) {
    return JobPresenter(connection, database_.policy(), unwritten_holds_, at).load(scope, job_id);
}

Result<CreatedJob> PostgresJobRequests::create(Connection& connection, const NewJob& submitted,
                                               std::string& job_id, const postgres::BatchRun& run) {
    const Now at{run.now_us, run.now_us};
    if (job_id.empty()) job_id = crypto::make_uuid7(at.wall_us);
    if (run.is_again) {
        const auto scope = OrganizationScope::one(submitted.organization_id);
        auto there = show(connection, scope, job_id, at);
        if (there) return CreatedJob{std::move(*there), false};
        if (there.error().code != ErrorCode::kNotFound) return fail(std::move(there.error()));
    }
    EW_TRY(JobDraft draft, draft_job(submitted, job_id, database_.policy(), at));
    Submitting& known = submitting(connection, run);
    EW_TRY(CreatedJob created,
           insert_job(connection, submitted, std::move(draft), known.unlimited, at));
    EW_TRY(created.job, known.presenter.present(std::move(created.job)));
    return created;
}

PostgresJobRequests::Submitting& PostgresJobRequests::submitting(Connection& connection,
                                                                 const postgres::BatchRun& run) {
    if (submitting_ && submitting_->transaction == run.transaction) return *submitting_;
    const Now at{run.now_us, run.now_us};
    submitting_.emplace(Submitting{
        run.transaction, {}, JobPresenter(connection, database_.policy(), unwritten_holds_, at)});
    return *submitting_;
}

// Earlier starts first: what lowers next_due of an organization goes before what shares its row.
Result<Pending<CreatedJob>> PostgresJobRequests::begin_create(NewJob submitted) {
    postgres::BatchPlace place{"organization " + submitted.organization_id,
                               submitted.start_unix_us.value_or(0)};
    return batch_.begin<CreatedJob>(
        std::move(place), [this, submitted = std::move(submitted), job_id = std::string()](
                              Connection& connection, const postgres::BatchRun& run) mutable {
            return create(connection, submitted, job_id, run);
        });
}

Result<Job> PostgresJobRequests::report(Connection& connection, const OrganizationScope& scope,
                                        const std::string& job_id, const ProgressReport& report,
                                        const std::string& actor, const Now& at) {
    EW_TRY(Job job, lock_row(connection, scope, job_id));
    EW_TRY(const bool taken, is_last_report(connection, job_id, report.report_id));
    JobPresenter presenter(connection, database_.policy(), unwritten_holds_, at);
    if (taken) return presenter.present(std::move(job));
    EW_CHECK(check_reportable(job, at));
    EW_CHECK(apply_report(connection, job, report, actor, at));
    EW_TRY(job, load_row(connection, scope, job_id));
    return presenter.present(std::move(job));
}

Result<Pending<Job>> PostgresJobRequests::begin_report(const OrganizationScope& scope,
                                                       std::string job_id, ProgressReport wanted,
                                                       std::string actor) {
    EW_CHECK(check_report(wanted));
    if (wanted.report_id.empty())
        wanted.report_id = crypto::make_uuid7(database_.clock().unix_us());
    postgres::BatchPlace place{"job " + job_id, 0};
    return batch_.begin<Job>(
        std::move(place),
        [this, scope, job_id = std::move(job_id), wanted = std::move(wanted),
         actor = std::move(actor)](Connection& connection, const postgres::BatchRun& run) {
            return report(connection, scope, job_id, wanted, actor, Now{run.now_us, run.now_us});
        });
}

Result<Job> PostgresJobRequests::request_cancel(const OrganizationScope& scope,
                                                std::string_view job_id, std::string_view actor) {
    return database_.write_judged(
        [&](Connection& connection, const Now& at, Run run) -> Result<Job> {
            EW_TRY(Job job, lock_row(connection, scope, job_id));
            const bool is_done = job.cancel_requested || job.status == JobStatus::kCancelled;
            if (run == Run::kAgain && is_done) return show(connection, scope, job_id, at);
            EW_CHECK(check_cancel(job));
            EW_CHECK(cancel(connection, std::move(job), actor, at));
            return show(connection, scope, job_id, at);
        });
}

Result<Job> PostgresJobRequests::retry(const OrganizationScope& scope, std::string_view job_id,
                                       std::string_view actor) {
    std::optional<std::int64_t> retried_us;  // The end of the job that the first run retries.
    return database_.write_judged(
        [&](Connection& connection, const Now& at, Run run) -> Result<Job> {
            EW_TRY(Job job, lock_row(connection, scope, job_id));
            if (run == Run::kFirst) retried_us = job.completed_us;
            if (run == Run::kAgain && job.completed_us != retried_us)
                return show(connection, scope, job_id, at);
            EW_CHECK(check_retry(job));
            UnlimitedOrganizations unlimited;
            EW_CHECK(check_job_quotas(connection, job.organization_id, job.runner, unlimited));
            retry_job(job, at);
            EW_CHECK(write_state(connection, job, at));
            EW_CHECK(restart_deadline(connection, job_id, at.us));
            EW_CHECK(append_event(connection, {job.job_id, "retried", ""}, actor, at));
            return show(connection, scope, job_id, at);
        });
}

Result<Job> PostgresJobRequests::set_held(const OrganizationScope& scope, std::string_view job_id,
                                          std::string_view actor, bool held) {
    return database_.write_judged([&](Connection& connection, const Now& at,
                                      Run run) -> Result<Job> {
        EW_TRY(Job job, lock_row(connection, scope, job_id));
        // The run before may have done it, and the job may have gone on since.
        if (run == Run::kFirst || job.held != held) EW_CHECK(check_hold(job, held));
        if (job.held == held) return show(connection, scope, job_id, at);
        job.held = held;
        job.deadline_us.reset();
        EW_CHECK(write_state(connection, job, at));
        if (!held) EW_CHECK(restart_deadline(connection, job_id, std::max(job.due_us, at.us)));
        EW_CHECK(append_event(connection, {job.job_id, held ? "held" : "released", ""}, actor, at));
        return show(connection, scope, job_id, at);
    });
}

}  // namespace export_worker::jobs::pg
