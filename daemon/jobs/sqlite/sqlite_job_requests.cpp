#include "daemon/jobs/sqlite/sqlite_job_requests.hpp"

#include <memory>
#include <optional>
#include <utility>

#include "base/crypto/uuid.hpp"
#include "daemon/jobs/attempt_rules.hpp"
#include "daemon/jobs/sqlite/job_quotas.hpp"
#include "daemon/jobs/sqlite/job_rows.hpp"
#include "daemon/jobs/sqlite/reports.hpp"
#include "daemon/jobs/sqlite/submissions.hpp"
#include "daemon/jobs/sqlite/waiting.hpp"

namespace export_worker::jobs {

using model::Job;
using model::JobStatus;
using model::OrganizationScope;
using sqlite::Connection;

namespace {

Result<void> cancel(Connection& connection, Job job, std::string_view actor, const Now& at) {
    const bool has_ended = jobs::request_cancel(job, at);
    EW_CHECK(write_state(connection, job, at));
    if (has_ended) return record_end(connection, job, actor, at);
    return append_event(connection, job.job_id, {"cancel_requested", actor}, at);
}

Result<void> restart_deadline(Connection& connection, std::string_view job_id, const Now& at) {
    return connection
        .statement("UPDATE job SET deadline_us = ?2 + deadline_length_us WHERE job_id = ?1")
        .bind(job_id, at.us)
        .run();
}

}  // namespace

Result<Pending<CreatedJob>> SqliteJobRequests::begin_create(NewJob submitted) {
    const Now at = database_.now();
    const std::string job_id = crypto::make_uuid7(at.wall_us);
    // All that needs no database happens before: the writer is one thread for everybody.
    EW_TRY(JobDraft draft, draft_job(submitted, job_id, database_.policy(), at));
    auto job = std::make_shared<const NewJob>(std::move(submitted));
    auto created = database_.database().begin_write(
        [job, draft = std::move(draft), at, this](Connection& connection) mutable {
            return insert(connection, *job, std::move(draft), at);
        },
        sqlite::Database::Failure::kBeforeChanges);
    return [this, job, job_id, at, wait = std::move(created)]() -> Result<CreatedJob> {
        auto first = wait();
        return JobDatabase::is_unknown(first) ? create_again(*job, job_id, at) : first;
    };
}

Result<CreatedJob> SqliteJobRequests::insert(Connection& connection, const NewJob& submitted,
                                             JobDraft draft, const Now& at) {
    EW_TRY(CreatedJob created, insert_job(connection, submitted, std::move(draft), at));
    JobPresenter presenter(connection, database_.policy(), unwritten_holds_, at);
    EW_TRY(created.job, presenter.present(std::move(created.job)));
    return created;
}

Result<CreatedJob> SqliteJobRequests::create_again(const NewJob& submitted,
                                                   const std::string& job_id, const Now& at) {
    return database_.write_until_known(
        [&](Connection& connection, const Now&) -> Result<CreatedJob> {
            auto there =
                show(connection, OrganizationScope::one(submitted.organization_id), job_id, at);
            if (there) return CreatedJob{std::move(*there), false};
            if (there.error().code != ErrorCode::kNotFound) return fail(std::move(there.error()));
            EW_TRY(JobDraft draft, draft_job(submitted, job_id, database_.policy(), at));
            return insert(connection, submitted, std::move(draft), at);
        });
}

Result<Job> SqliteJobRequests::show(Connection& connection, const OrganizationScope& scope,
                                    std::string_view job_id, const Now& at) {
    return JobPresenter(connection, database_.policy(), unwritten_holds_, at).load(scope, job_id);
}

Result<Job> SqliteJobRequests::request_cancel(const OrganizationScope& scope,
                                              std::string_view job_id, std::string_view actor) {
    bool may_be_done = false;  // By a run whose answer was lost.
    return database_.write_until_known([&](Connection& connection, const Now& at) -> Result<Job> {
        EW_TRY(Job job, load_row(connection, scope, job_id));
        const bool is_done = job.cancel_requested || job.status == JobStatus::kCancelled;
        if (may_be_done && is_done) return show(connection, scope, job_id, at);
        EW_CHECK(check_cancel(job));
        EW_CHECK(cancel(connection, std::move(job), actor, at));
        may_be_done = true;
        return show(connection, scope, job_id, at);
    });
}

Result<Job> SqliteJobRequests::retry(const OrganizationScope& scope, std::string_view job_id,
                                     std::string_view actor) {
    std::optional<std::int64_t> retried_us;  // The end of the job that may be retried already.
    return database_.write_until_known([&](Connection& connection, const Now& at) -> Result<Job> {
        EW_TRY(Job job, load_row(connection, scope, job_id));
        if (retried_us && job.completed_us != retried_us)
            return show(connection, scope, job_id, at);
        EW_CHECK(check_retry(job));
        EW_CHECK(check_job_quotas(connection, job.organization_id, job.runner));
        const std::optional<std::int64_t> ended_us = job.completed_us;
        retry_job(job, at);
        EW_CHECK(write_state(connection, job, at));
        EW_CHECK(restart_deadline(connection, job_id, at));
        EW_CHECK(append_event(connection, job_id, {"retried", actor}, at));
        retried_us = ended_us;
        return show(connection, scope, job_id, at);
    });
}

Result<Job> SqliteJobRequests::set_held(const OrganizationScope& scope, std::string_view job_id,
                                        std::string_view actor, bool held) {
    bool may_be_done = false;  // By a run whose answer was lost; the job may have gone on since.
    return database_.write_until_known([&](Connection& connection, const Now& at) -> Result<Job> {
        EW_TRY(const Job job, load_row(connection, scope, job_id));
        if (!may_be_done || job.held != held) EW_CHECK(check_hold(job, held));
        if (job.held == held) return show(connection, scope, job_id, at);
        EW_CHECK(connection
                     .statement("UPDATE job SET held = ?2, deadline_us = iif(?2, NULL, "
                                "max(due_us, ?3) + deadline_length_us) WHERE job_id = ?1")
                     .bind(job_id, held ? 1 : 0, at.us)
                     .run());
        EW_CHECK(append_event(connection, job_id, {held ? "held" : "released", actor}, at));
        may_be_done = true;
        return show(connection, scope, job_id, at);
    });
}

Result<Pending<Job>> SqliteJobRequests::begin_report(const OrganizationScope& scope,
                                                     std::string job_id, ProgressReport report,
                                                     std::string actor) {
    EW_CHECK(check_report(report));
    if (report.report_id.empty()) report.report_id = crypto::make_uuid7(database_.now().wall_us);
    auto write = [this, scope, job_id = std::move(job_id),
                  report = std::make_shared<const ProgressReport>(std::move(report)),
                  actor = std::move(actor)](Connection& connection) -> Result<Job> {
        EW_TRY(Job job, load_row(connection, scope, job_id));
        EW_TRY(const bool taken, is_last_report(connection, job_id, report->report_id));
        const Now at = database_.now();
        JobPresenter presenter(connection, database_.policy(), unwritten_holds_, at);
        if (taken) return presenter.present(std::move(job));
        EW_CHECK(check_reportable(job, at));
        EW_CHECK(apply_report(connection, job, *report, actor, at));
        EW_TRY(job, load_row(connection, scope, job_id));
        return presenter.present(std::move(job));
    };
    auto reported = database_.database().begin_write(write);
    return [this, write = std::move(write), wait = std::move(reported)]() -> Result<Job> {
        auto first = wait();
        if (!JobDatabase::is_unknown(first)) return first;
        return database_.write_until_known(
            [&](Connection& connection, const Now&) { return write(connection); });
    };
}

}  // namespace export_worker::jobs
