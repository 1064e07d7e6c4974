#include "daemon/jobs/sqlite_job_store.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <nlohmann/json.hpp>

#include "base/crypto/uuid.hpp"
#include "base/io.hpp"
#include "base/limits.hpp"
#include "base/text.hpp"
#include "daemon/jobs/claims.hpp"
#include "daemon/jobs/job_rows.hpp"
#include "daemon/jobs/job_schema.hpp"
#include "daemon/jobs/outbox.hpp"
#include "daemon/jobs/reports.hpp"
#include "daemon/jobs/upkeep.hpp"
#include "daemon/sqlite/database.hpp"

namespace export_worker::jobs {
namespace {

using model::Job;
using model::JobEntry;
using model::JobRunner;
using model::JobStatus;
using model::Lease;
using model::OrganizationScope;
using nlohmann::json;
using sqlite::Connection;
using sqlite::Statement;

class SqliteJobStore final : public JobStore {
public:
    SqliteJobStore(std::unique_ptr<sqlite::Database> database, const Clock& clock,
                   const JobPolicy& policy)
        : database_(std::move(database)),
          clock_(clock),
          policy_(policy),
          instance_id_(crypto::make_uuid7(clock.unix_us())),
          opened_wall_us_(clock.unix_us()),
          opened_(clock.steady()) {}

    // A number of its own for every start: process ids come again, and so do boots.
    Result<void> enter_instance() {
        const Now at = now();
        std::string boot_id;
        if (auto read = read_file("/proc/sys/kernel/random/boot_id", 64)) boot_id = *read;
        while (boot_id.ends_with('\n')) boot_id.pop_back();
        return database_->write([&](Connection& connection) -> Result<void> {
            EW_CHECK(connection
                         .statement("INSERT INTO instance (instance_id, pid, boot_id, version, "
                                    "started_us) VALUES (?1, ?2, ?3, ?4, ?5)")
                         .bind(instance_id_, static_cast<std::int64_t>(::getpid()), boot_id,
                               policy_.version, at.wall_us)
                         .run());
            return connection
                .statement(
                    "DELETE FROM instance WHERE started_us < ?1 AND instance_id NOT IN "
                    "(SELECT owner FROM job WHERE status = 'in_progress')")
                .bind(at.wall_us - us_of(limits::kJobTimesMax))
                .run();
        });
    }

    Result<CreatedJob> create(const NewJob& job) override {
        const Now at = now();
        const std::string job_id = crypto::make_uuid7(at.wall_us);
        EW_TRY(const json metadata, parse_metadata(job.metadata_json));
        const std::optional<std::string> key =
            job.idempotency_key.empty() ? std::nullopt : std::optional(job.idempotency_key);
        // As far from now on the steady clock as it is on the wall.
        const std::int64_t due_us =
            job.start_unix_us ? at.us + std::max<std::int64_t>(0, *job.start_unix_us - at.wall_us)
                              : at.us;
        const auto after = [&](const std::optional<std::chrono::seconds>& length,
                               std::int64_t from) -> std::optional<std::int64_t> {
            return length ? std::optional(from + us_of(*length)) : std::nullopt;
        };
        return database_->write([&](Connection& connection) -> Result<CreatedJob> {
            if (key) {
                EW_TRY(const std::optional<std::string> known, same_request(connection, job));
                if (known) {
                    EW_TRY(Job found,
                           load(connection, OrganizationScope::one(job.organization_id), *known));
                    return CreatedJob{std::move(found), true};
                }
            }
            EW_CHECK(
                connection
                    .statement(
                        "INSERT INTO job (job_id, organization_id, job_type, runner, status, "
                        "due_us, spec, total_items, metadata, file_url, filename, triggered_by, "
                        "created_us, priority, attempts_max, deadline_us, silence_us, "
                        "idempotency_key, request_sha256, total_is_estimate) "
                        "VALUES (?1, ?2, ?3, ?4, 'pending', ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, "
                        "?13, ?14, ?15, ?16, ?17, ?18, ?19)")
                    .bind(job_id, job.organization_id, job.job_type,
                          job.runner == JobRunner::kDaemon ? "daemon" : "external", due_us,
                          job.spec_json, job.total_items, job.metadata_json,
                          text_member(metadata, "file_url"), text_member(metadata, "filename"),
                          job.triggered_by, at.wall_us, static_cast<int>(job.priority),
                          job.attempts_max > 0 ? job.attempts_max : policy_.attempts_max,
                          after(job.deadline, at.us), after(job.silence_limit, 0), key,
                          job.request_sha256, job.total_is_estimate ? 1 : 0)
                    .run());
            EW_CHECK(append_event(connection, {job_id, "submitted", job.triggered_by, "", 1}, at));
            EW_TRY(Job created,
                   load(connection, OrganizationScope::one(job.organization_id), job_id));
            return CreatedJob{std::move(created), false};
        });
    }

    Result<Job> find(const OrganizationScope& scope, std::string_view job_id) override {
        return database_->read(
            [&](Connection& connection) { return load(connection, scope, job_id); });
    }

    Result<void> find_file(const OrganizationScope& scope, std::string_view job_id,
                           model::JobFile& file) override {
        return database_->read([&](Connection& connection) -> Result<void> {
            Statement row = connection.statement(
                "SELECT organization_id, job_type, status, file_url, filename FROM job "
                "WHERE job_id = ?1 AND (?2 IS NULL OR organization_id = ?2)");
            EW_TRY(const bool found, row.bind(job_id, scope.organization_id()).step());
            if (!found) return not_found();
            file.organization_id.assign(row.text(0));
            file.job_type.assign(row.text(1));
            file.status.assign(row.text(2));
            file.file_url.assign(row.text(3));
            file.filename.assign(row.text(4));
            return {};
        });
    }

    Result<JobPage> list(const OrganizationScope& scope, const JobFilter& filter) override {
        const std::optional<std::string_view> status =
            filter.status ? std::optional(model::to_string(*filter.status)) : std::nullopt;
        return database_->read([&](Connection& connection) -> Result<JobPage> {
            JobPage page;
            {
                Statement count = connection.statement(
                    "SELECT count(*) FROM job WHERE (?1 IS NULL OR organization_id = ?1) AND "
                    "(?2 IS NULL OR status = ?2) AND (?3 = '' OR job_type = ?3)");
                EW_TRY(const bool counted,
                       count.bind(scope.organization_id(), status, filter.job_type).step());
                page.total = counted ? count.integer(0) : 0;
            }
            Statement rows = connection.statement("SELECT " EW_JOB_COLUMNS
                                                  " FROM job WHERE (?1 IS NULL OR organization_id "
                                                  "= ?1) AND (?2 IS NULL OR status = ?2) AND "
                                                  "(?3 = '' OR job_type = ?3) ORDER BY created_us "
                                                  "DESC, job_id DESC LIMIT ?4 OFFSET ?5");
            rows.bind(scope.organization_id(), status, filter.job_type,
                      static_cast<std::int64_t>(filter.limit),
                      static_cast<std::int64_t>(filter.offset));
            for (;;) {
                EW_TRY(const bool more, rows.step());
                if (!more) return page;
                page.jobs.push_back(read_job(rows));
            }
        });
    }

    Result<Job> request_cancel(const OrganizationScope& scope, std::string_view job_id,
                               std::string_view actor) override {
        const Now at = now();
        return database_->write([&](Connection& connection) -> Result<Job> {
            EW_TRY(const Job job, load(connection, scope, job_id));
            if (model::is_final(job.status)) {
                return fail(ErrorCode::kConflict,
                            "The job is already " + std::string(model::to_string(job.status)));
            }
            // Nobody runs a pending job, and nobody of ours runs an external one: both are
            // cancelled here and now.
            const bool ours_and_running =
                job.status == JobStatus::kInProgress && job.runner == JobRunner::kDaemon;
            const char* sql =
                ours_and_running
                    ? "UPDATE job SET cancel_us = coalesce(cancel_us, ?2) WHERE job_id = ?1"
                    : "UPDATE job SET cancel_us = ?2, status = 'cancelled', completed_us = ?2 "
                      "WHERE job_id = ?1";
            EW_CHECK(connection.statement(sql).bind(job_id, at.wall_us).run());
            if (ours_and_running) {
                EW_CHECK(append_event(
                    connection, {job.job_id, "cancel_requested", std::string(actor), "", 1}, at));
            } else {
                EW_CHECK(note_end_of(connection, job_id, actor, at));
            }
            return load(connection, scope, job_id);
        });
    }

    Result<Job> retry(const OrganizationScope& scope, std::string_view job_id,
                      std::string_view actor) override {
        const Now at = now();
        return database_->write([&](Connection& connection) -> Result<Job> {
            EW_TRY(const Job job, load(connection, scope, job_id));
            if (job.runner != JobRunner::kDaemon ||
                (job.status != JobStatus::kFailed && job.status != JobStatus::kCancelled)) {
                return fail(ErrorCode::kConflict,
                            "Only a failed or cancelled export can be retried; this job is " +
                                std::string(model::to_string(job.status)));
            }
            EW_CHECK(
                connection
                    .statement("UPDATE job SET status = 'pending', attempt = 0, crashes = 0, "
                               "interruptions = 0, cancel_us = NULL, held = 0, deadline_us = NULL, "
                               "due_us = ?2, completed_us = NULL, error_message = '', stage = '', "
                               "processed_items = 0 WHERE job_id = ?1")
                    .bind(job_id, at.us)
                    .run());
            EW_CHECK(
                append_event(connection, {job.job_id, "retried", std::string(actor), "", 1}, at));
            return load(connection, scope, job_id);
        });
    }

    Result<Job> hold(const OrganizationScope& scope, std::string_view job_id,
                     std::string_view actor) override {
        return set_held(scope, job_id, actor, true);
    }
    Result<Job> release_hold(const OrganizationScope& scope, std::string_view job_id,
                             std::string_view actor) override {
        return set_held(scope, job_id, actor, false);
    }

    Result<Job> report(const OrganizationScope& scope, std::string_view job_id,
                       const ProgressReport& report, std::string_view actor) override {
        if (report.mark_completed && report.mark_failed) {
            return fail(ErrorCode::kInvalidArgument,
                        "mark_completed and mark_failed: expected at most one of them");
        }
        const Now at = now();
        return database_->write([&](Connection& connection) -> Result<Job> {
            EW_TRY(const Job job, load(connection, scope, job_id));
            if (job.runner != JobRunner::kExternal) {
                return fail(ErrorCode::kConflict, "The job is run by the daemon itself");
            }
            if (model::is_final(job.status)) {
                return fail(ErrorCode::kConflict,
                            "The job is already " + std::string(model::to_string(job.status)));
            }
            EW_CHECK(apply_report(connection, job, report, actor, at));
            return load(connection, scope, job_id);
        });
    }

    Result<std::vector<model::JobEvent>> events(const OrganizationScope& scope,
                                                std::string_view job_id,
                                                std::int64_t after) override {
        return database_->read([&](Connection& connection) -> Result<std::vector<model::JobEvent>> {
            {
                Statement known = connection.statement(
                    "SELECT 1 FROM job WHERE job_id = ?1 AND (?2 IS NULL OR organization_id = ?2)");
                EW_TRY(const bool found, known.bind(job_id, scope.organization_id()).step());
                if (!found) return not_found();
            }
            std::vector<model::JobEvent> out;
            Statement rows = connection.statement(
                "SELECT number, at_us, kind, actor, detail, count FROM job_event WHERE job_id = ?1 "
                "AND number > ?2 ORDER BY number LIMIT ?3");
            rows.bind(job_id, after, static_cast<std::int64_t>(limits::kJobEventsPage));
            for (;;) {
                EW_TRY(const bool more, rows.step());
                if (!more) return out;
                out.push_back({rows.integer(0), rows.integer(1), rows.string(2), rows.string(3),
                               rows.string(4), rows.integer(5)});
            }
        });
    }

    Result<void> add_events(std::span<const NewEvent> events) override {
        const Now at = now();
        return database_->write([&](Connection& connection) -> Result<void> {
            for (const NewEvent& event : events) EW_CHECK(append_event(connection, event, at));
            return {};
        });
    }

    Result<void> set_organization(const OrganizationPolicy& policy) override {
        return database_->write(
            [&](Connection& connection) { return jobs::set_organization(connection, policy); });
    }

    Result<std::vector<OrganizationState>> organizations() override {
        return database_->read(
            [](Connection& connection) { return organization_states(connection); });
    }

    Result<std::optional<ClaimedJob>> claim() override {
        const Now at = now();
        {
            // Workers that find nothing look every second: not through the writer.
            EW_TRY(const bool any, has_pending());
            if (!any) return std::optional<ClaimedJob>();
        }
        return database_->write([&](Connection& connection) {
            return claim_next(connection, policy_, instance_id_, at);
        });
    }

    Result<bool> heartbeat(const Lease& lease, const Progress& progress) override {
        return database_->write([&](Connection& connection) -> Result<bool> {
            Statement row = connection.statement(
                "UPDATE job SET processed_items = ?3, total_items = coalesce(?4, total_items), "
                "stage = ?5 "
                "WHERE job_id = ?1 AND epoch = ?2 AND status = 'in_progress' RETURNING cancel_us");
            row.bind(lease.job_id, lease.epoch, progress.processed_items, progress.total_items,
                     progress.stage);
            EW_TRY(const bool mine, row.step());
            if (!mine) return fenced(lease);
            // Looked at here: SQLite 3.40 answers 1 to "RETURNING cancel_us IS NOT NULL" even when
            // it is NULL.
            const bool cancel = row.optional_integer(0).has_value();
            EW_TRY(const bool more, row.step());
            (void)more;
            return cancel;
        });
    }

    Result<void> intend_file(const Lease& lease, const model::FileKey& key) override {
        const std::int64_t now_us = clock_.unix_us();
        return database_->write([&](Connection& connection) -> Result<void> {
            EW_CHECK(
                connection
                    .statement("INSERT INTO file (file_key, job_id, epoch, state, intended_us) "
                               "SELECT ?3, job_id, epoch, 'intended', ?4 FROM job "
                               "WHERE job_id = ?1 AND epoch = ?2 AND status = 'in_progress'")
                    .bind(lease.job_id, lease.epoch, key, now_us)
                    .run());
            if (connection.changes() == 0) return fenced(lease);
            return {};
        });
    }

    Result<void> complete(const Lease& lease, const Completion& completion) override {
        const Now at = now();
        EW_TRY(json patch, parse_metadata(completion.metadata_json));
        patch["file_url"] = completion.file.file_url;
        patch["filename"] = completion.filename;
        const std::string patch_text = patch.dump(-1, ' ', false, json::error_handler_t::replace);
        return database_->write([&](Connection& connection) -> Result<void> {
            EW_CHECK(connection
                         .statement("UPDATE job SET status = CASE WHEN ?8 > 0 THEN "
                                    "'partial_success' WHEN ?9 > 0 THEN "
                                    "'completed_with_warnings' ELSE 'completed' END, "
                                    "completed_us = ?3, stage = '', error_message = '', "
                                    "processed_items = ?4, total_items = ?4 + ?8, "
                                    "failed_items = ?8, warned_items = ?9, "
                                    "file_url = ?5, filename = ?6, "
                                    "metadata = json_patch(metadata, ?7) "
                                    "WHERE job_id = ?1 AND epoch = ?2 AND status = 'in_progress' "
                                    "AND cancel_us IS NULL")
                         .bind(lease.job_id, lease.epoch, at.wall_us, completion.processed_items,
                               completion.file.file_url, completion.filename, patch_text,
                               completion.failed_items, completion.warned_items)
                         .run());
            if (connection.changes() == 0) return why_not_mine(connection, lease);
            for (const JobEntry& error : completion.errors) {
                EW_CHECK(append_entry(connection, lease.job_id, "error", error, at));
            }
            for (const JobEntry& warning : completion.warnings) {
                EW_CHECK(append_entry(connection, lease.job_id, "warning", warning, at));
            }
            EW_CHECK(connection
                         .statement("UPDATE file SET state = 'live', bytes = ?2, sha256 = ?3 WHERE "
                                    "file_key = ?1")
                         .bind(completion.file.key,
                               static_cast<std::int64_t>(completion.file.bytes),
                               completion.file.sha256)
                         .run());
            if (connection.changes() == 0)
                return fail(ErrorCode::kInternal, "the file was never announced");
            return note_end_of(connection, lease.job_id, instance_id_, at);
        });
    }

    Result<void> give_up_attempt(const Lease& lease, std::string_view error, bool permanent,
                                 std::int64_t delay_us) override {
        const Now at = now();
        const std::string text(utf8_prefix(error, limits::kJobTextBytesMax));
        return database_->write([&](Connection& connection) -> Result<void> {
            EW_CHECK(
                connection
                    .statement("UPDATE job SET owner = '', stage = '', error_message = ?3, "
                               "due_us = ?6 + ?7, status = CASE WHEN cancel_us IS NOT NULL THEN "
                               "'cancelled' WHEN ?4 OR attempt >= attempts_max THEN 'failed' ELSE "
                               "'pending' END, completed_us = iif(cancel_us IS NOT NULL OR ?4 OR "
                               "attempt >= attempts_max, ?5, NULL) "
                               "WHERE job_id = ?1 AND epoch = ?2 AND status = 'in_progress'")
                    .bind(lease.job_id, lease.epoch, text, permanent ? 1 : 0, at.wall_us, at.us,
                          delay_us)
                    .run());
            if (connection.changes() == 0) return fenced(lease);
            EW_CHECK(append_event(connection,
                                  {lease.job_id, "attempt_failed", instance_id_, text, 1}, at));
            return note_end_if_final(connection, lease.job_id, at);
        });
    }

    Result<void> release(const Lease& lease) override {
        const Now at = now();
        return database_->write([&](Connection& connection) -> Result<void> {
            EW_CHECK(connection
                         .statement(
                             "UPDATE job SET status = iif(interruptions >= ?4 AND attempt >= "
                             "attempts_max, 'failed', 'pending'), completed_us = iif(interruptions "
                             ">= ?4 AND attempt >= attempts_max, ?5, NULL), attempt = attempt - "
                             "iif(interruptions >= ?4, 0, 1), interruptions = interruptions + 1, "
                             "owner = '', due_us = ?3, stage = '' "
                             "WHERE job_id = ?1 AND epoch = ?2 AND status = 'in_progress'")
                         .bind(lease.job_id, lease.epoch, at.us, limits::kJobInterruptionsMax,
                               at.wall_us)
                         .run());
            if (connection.changes() == 0) return fenced(lease);
            EW_CHECK(
                append_event(connection, {lease.job_id, "interrupted", instance_id_, "", 1}, at));
            return note_end_if_final(connection, lease.job_id, at);
        });
    }

    Result<void> cancelled(const Lease& lease) override {
        const Now at = now();
        return database_->write([&](Connection& connection) -> Result<void> {
            EW_CHECK(
                connection
                    .statement("UPDATE job SET status = 'cancelled', completed_us = ?3, stage = '' "
                               "WHERE job_id = ?1 AND epoch = ?2 AND status = 'in_progress' AND "
                               "cancel_us IS NOT NULL")
                    .bind(lease.job_id, lease.epoch, at.wall_us)
                    .run());
            if (connection.changes() == 0) return fenced(lease);
            return note_end_of(connection, lease.job_id, instance_id_, at);
        });
    }

    Result<std::size_t> rescue() override {
        const Now at = now();
        return database_->write(
            [&](Connection& connection) { return rescue_jobs(connection, instance_id_, at); });
    }

    Result<std::size_t> enforce_limits() override {
        const Now at = now();
        return database_->write([&](Connection& connection) {
            return jobs::enforce_limits(connection, instance_id_, at);
        });
    }

    Result<std::size_t> expire_files(std::chrono::seconds age) override {
        const Now at = now();
        return database_->write([&](Connection& connection) {
            return jobs::expire_files(connection, instance_id_, age, at);
        });
    }

    Result<std::size_t> prune(std::chrono::seconds age) override {
        const Now at = now();
        return database_->write(
            [&](Connection& connection) { return prune_jobs(connection, age, at); });
    }

    Result<std::vector<PublishedFile>> published_files(const model::FileKey& after) override {
        return database_->read([&](Connection& connection) -> Result<std::vector<PublishedFile>> {
            std::vector<PublishedFile> out;
            Statement rows = connection.statement(
                "SELECT file_key, job_id, organization_id, bytes, sha256 FROM file JOIN job USING "
                "(job_id) WHERE state = 'live' AND file_key > ?1 ORDER BY file_key LIMIT ?2");
            rows.bind(after, static_cast<std::int64_t>(limits::kFsckPage));
            for (;;) {
                EW_TRY(const bool more, rows.step());
                if (!more) return out;
                out.push_back({rows.string(0), rows.string(1), rows.string(2),
                               static_cast<std::uint64_t>(rows.integer(3)), rows.string(4)});
            }
        });
    }

    Result<void> withdraw_file(const model::FileKey& key, std::string_view reason) override {
        const Now at = now();
        return database_->write([&](Connection& connection) {
            return jobs::withdraw_file(connection, key, "withdrawn", instance_id_, reason, at);
        });
    }

    Result<std::vector<model::Notice>> unpublished_notices() override {
        return database_->read(
            [](Connection& connection) { return jobs::unpublished_notices(connection); });
    }

    Result<void> mark_published(std::int64_t last_sequence) override {
        return database_->write([&](Connection& connection) {
            return jobs::mark_published(connection, last_sequence);
        });
    }

    Result<std::vector<model::Notice>> due_notices() override {
        const Now at = now();
        return database_->read(
            [&](Connection& connection) { return jobs::due_notices(connection, at); });
    }

    Result<void> mark_delivery(std::int64_t sequence, Delivery delivery, std::string_view answer,
                               std::int64_t delay_us) override {
        const std::int64_t due_us = now().us + delay_us;
        return database_->write([&](Connection& connection) {
            return jobs::mark_delivery(connection, sequence, delivery, answer, due_us);
        });
    }

    Result<std::vector<model::Notice>> notices(const OrganizationScope& scope,
                                               std::int64_t after) override {
        return database_->read(
            [&](Connection& connection) { return notices_after(connection, scope, after); });
    }

    Result<void> backup(const std::string& path) override { return database_->backup(path); }

    Result<std::vector<UnpublishedFile>> unpublished_files() override {
        return database_->read([&](Connection& connection) -> Result<std::vector<UnpublishedFile>> {
            std::vector<UnpublishedFile> out;
            Statement rows = connection.statement(
                "SELECT file_key, job_id, epoch FROM file WHERE state <> 'live' AND NOT EXISTS "
                "(SELECT 1 FROM job WHERE job.job_id = file.job_id AND job.epoch = file.epoch AND "
                "job.status = 'in_progress')");
            for (;;) {
                EW_TRY(const bool more, rows.step());
                if (!more) return out;
                out.push_back({rows.string(0), {rows.string(1), rows.integer(2)}});
            }
        });
    }

    Result<void> forget_file(const model::FileKey& key) override {
        return database_->write([&](Connection& connection) {
            return connection.statement("DELETE FROM file WHERE file_key = ?1 AND state <> 'live'")
                .bind(key)
                .run();
        });
    }

    Result<bool> is_orphan(const model::FileKey& key, std::string_view job_id) override {
        return database_->read([&](Connection& connection) -> Result<bool> {
            Statement row = connection.statement(
                "SELECT 1 FROM job WHERE job_id = ?1 AND NOT EXISTS "
                "(SELECT 1 FROM file WHERE file_key = ?2)");
            row.bind(job_id, key);
            return row.step();
        });
    }

    Result<JobCounts> counts() override {
        return database_->read([&](Connection& connection) -> Result<JobCounts> {
            JobCounts out;
            Statement rows =
                connection.statement("SELECT status, count(*) FROM job GROUP BY status");
            {
                Statement waiting = connection.statement(
                    "SELECT (SELECT min(due_us) FROM job WHERE status = 'pending' AND runner = "
                    "'daemon' AND held = 0), (SELECT count(*) FROM notice WHERE delivery = "
                    "'pending')");
                EW_TRY(const bool found, waiting.step());
                if (found && waiting.integer(0) > 0 && waiting.integer(0) <= now().us)
                    out.oldest_due_us = wall_of(waiting.integer(0));
                if (found) out.notices_pending = waiting.integer(1);
            }
            out.fenced = fenced_.load();
            for (;;) {
                EW_TRY(const bool more, rows.step());
                if (!more) return out;
                const std::string_view status = rows.text(0);
                std::int64_t& slot = status == "pending"       ? out.pending
                                     : status == "in_progress" ? out.in_progress
                                     : status == "failed"      ? out.failed
                                     : status == "cancelled"   ? out.cancelled
                                                               : out.completed;
                slot += rows.integer(1);
            }
        });
    }

private:
    // Wall time, and time that no setting of the wall clock moves.
    [[nodiscard]] Now now() const {
        const auto lived =
            std::chrono::duration_cast<std::chrono::microseconds>(clock_.steady() - opened_);
        return {opened_wall_us_ + lived.count(), clock_.unix_us()};
    }
    [[nodiscard]] std::int64_t wall_of(std::int64_t us) const {
        const Now at = now();
        return at.wall_us - (at.us - us);
    }

    // A write that came too late changes nothing; how often that happens is a metric.
    tl::unexpected<Error> fenced(const Lease& lease) {
        fenced_.fetch_add(1);
        return lease_lost(lease);
    }

    // The job the idempotency key already made; kConflict when it was made by another request.
    static Result<std::optional<std::string>> same_request(Connection& connection,
                                                           const NewJob& job) {
        Statement row = connection.statement(
            "SELECT job_id, request_sha256 FROM job WHERE organization_id = ?1 AND idempotency_key "
            "= ?2");
        EW_TRY(const bool found, row.bind(job.organization_id, job.idempotency_key).step());
        if (!found) return std::optional<std::string>();
        if (row.text(1) != job.request_sha256)
            return fail(ErrorCode::kConflict,
                        "idempotency_key: another request has used this key; expected the same "
                        "request or a new key");
        return std::optional(row.string(0));
    }

    Result<bool> has_pending() {
        return database_->read([](Connection& connection) -> Result<bool> {
            Statement row = connection.statement(
                "SELECT 1 FROM job WHERE status = 'pending' AND runner = 'daemon' AND held = 0 "
                "LIMIT 1");
            return row.step();
        });
    }

    Result<Job> set_held(const OrganizationScope& scope, std::string_view job_id,
                         std::string_view actor, bool held) {
        const Now at = now();
        return database_->write([&](Connection& connection) -> Result<Job> {
            EW_TRY(const Job job, load(connection, scope, job_id));
            if (job.runner != JobRunner::kDaemon || job.status != JobStatus::kPending)
                return fail(ErrorCode::kConflict,
                            "Only a pending export can be held; this job is " +
                                std::string(model::to_string(job.status)));
            if (job.held == held) return job;
            EW_CHECK(connection.statement("UPDATE job SET held = ?2 WHERE job_id = ?1")
                         .bind(job_id, held ? 1 : 0)
                         .run());
            EW_CHECK(append_event(
                connection, {job.job_id, held ? "held" : "released", std::string(actor), "", 1},
                at));
            return load(connection, scope, job_id);
        });
    }

    Result<void> note_end_if_final(Connection& connection, const std::string& job_id,
                                   const Now& at) {
        EW_TRY(const Job job, load(connection, OrganizationScope::every(), job_id));
        if (!model::is_final(job.status)) return {};
        return note_end(connection, job, instance_id_, at);
    }

    Result<void> why_not_mine(Connection& connection, const Lease& lease) {
        Statement row = connection.statement(
            "SELECT 1 FROM job WHERE job_id = ?1 AND epoch = ?2 AND status = 'in_progress' AND "
            "cancel_us IS NOT NULL");
        EW_TRY(const bool cancel_first, row.bind(lease.job_id, lease.epoch).step());
        if (cancel_first) return fail(ErrorCode::kCancelled, "job " + lease.job_id + ": cancelled");
        return fenced(lease);
    }

    std::unique_ptr<sqlite::Database> database_;
    const Clock& clock_;
    const JobPolicy policy_;
    const std::string instance_id_;
    const std::int64_t opened_wall_us_;
    const SteadyTime opened_;
    std::atomic<std::int64_t> fenced_{0};
};

}  // namespace

Result<std::unique_ptr<JobStore>> open_sqlite_job_store(const std::string& path, const Clock& clock,
                                                        const JobPolicy& policy) {
    EW_TRY(std::unique_ptr<sqlite::Database> database,
           sqlite::Database::open(
               {.path = path, .application_id = kJobApplicationId, .migrations = kJobMigrations}));
    auto store = std::make_unique<SqliteJobStore>(std::move(database), clock, policy);
    EW_CHECK(store->enter_instance());
    return std::unique_ptr<JobStore>(std::move(store));
}

}  // namespace export_worker::jobs
