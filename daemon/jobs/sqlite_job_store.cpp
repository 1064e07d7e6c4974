#include "daemon/jobs/sqlite_job_store.hpp"

#include <array>
#include <nlohmann/json.hpp>

#include "base/crypto/uuid.hpp"
#include "base/limits.hpp"
#include "base/text.hpp"
#include "daemon/jobs/job_rows.hpp"
#include "daemon/jobs/job_schema.hpp"
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

// The text under `key`, or nothing when it is absent or no text.
std::string text_member(const json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

class SqliteJobStore final : public JobStore {
public:
    SqliteJobStore(std::unique_ptr<sqlite::Database> database, const Clock& clock)
        : database_(std::move(database)), clock_(clock) {}

    Result<Job> create(const NewJob& job) override {
        const std::int64_t now = clock_.unix_us();
        const std::string job_id = crypto::make_uuid7(now);
        EW_TRY(const json metadata, parse_metadata(job.metadata_json));
        return database_->write([&](Connection& connection) -> Result<Job> {
            EW_CHECK(connection
                         .statement(
                             "INSERT INTO job (job_id, organization_id, job_type, runner, status, "
                             "due_us, spec, "
                             "total_items, metadata, file_url, filename, triggered_by, created_us) "
                             "VALUES (?1, ?2, ?3, ?4, 'pending', ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?5)")
                         .bind(job_id, job.organization_id, job.job_type,
                               job.runner == JobRunner::kDaemon ? "daemon" : "external", now,
                               job.spec_json, job.total_items, job.metadata_json,
                               text_member(metadata, "file_url"), text_member(metadata, "filename"),
                               job.triggered_by)
                         .run());
            return load(connection, OrganizationScope::one(job.organization_id), job_id);
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

    Result<Job> request_cancel(const OrganizationScope& scope, std::string_view job_id) override {
        const std::int64_t now = clock_.unix_us();
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
            EW_CHECK(connection.statement(sql).bind(job_id, now).run());
            return load(connection, scope, job_id);
        });
    }

    Result<Job> retry(const OrganizationScope& scope, std::string_view job_id) override {
        const std::int64_t now = clock_.unix_us();
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
                               "cancel_us = NULL, "
                               "due_us = ?2, completed_us = NULL, error_message = '', stage = '', "
                               "processed_items = 0 WHERE job_id = ?1")
                    .bind(job_id, now)
                    .run());
            return load(connection, scope, job_id);
        });
    }

    Result<Job> report(const OrganizationScope& scope, std::string_view job_id,
                       const ProgressReport& report) override {
        if (report.mark_completed && report.mark_failed) {
            return fail(ErrorCode::kInvalidArgument,
                        "mark_completed and mark_failed: expected at most one of them");
        }
        return database_->write([&](Connection& connection) -> Result<Job> {
            EW_TRY(Job job, load(connection, scope, job_id));
            if (job.runner != JobRunner::kExternal) {
                return fail(ErrorCode::kConflict, "The job is run by the daemon itself");
            }
            if (model::is_final(job.status)) {
                return fail(ErrorCode::kConflict,
                            "The job is already " + std::string(model::to_string(job.status)));
            }
            EW_CHECK(apply(connection, job, report));
            return load(connection, scope, job_id);
        });
    }

    Result<std::optional<ClaimedJob>> claim() override {
        const std::int64_t now = clock_.unix_us();
        return database_->write([&](Connection& connection) -> Result<std::optional<ClaimedJob>> {
            Statement row = connection.statement(
                "UPDATE job SET status = 'in_progress', epoch = epoch + 1, attempt = attempt + 1, "
                "started_us = coalesce(started_us, ?1), stage = 'preparing', processed_items = 0 "
                "WHERE job_id = ("
                "SELECT job_id FROM job WHERE status = 'pending' AND runner = 'daemon' AND due_us "
                "<= ?1 "
                "ORDER BY due_us, job_id LIMIT 1) RETURNING job_id, epoch, organization_id, spec, "
                "attempt, created_us");
            EW_TRY(const bool claimed, row.bind(now).step());
            if (!claimed) return std::optional<ClaimedJob>();
            ClaimedJob job{{row.string(0), row.integer(1)},
                           row.string(2),
                           row.string(3),
                           static_cast<int>(row.integer(4)),
                           row.integer(5)};
            EW_TRY(const bool more, row.step());
            (void)more;
            return std::optional(std::move(job));
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
            if (!mine) return lease_lost(lease);
            // Looked at here: SQLite 3.40 answers 1 to "RETURNING cancel_us IS NOT NULL" even when
            // it is NULL.
            const bool cancel = row.optional_integer(0).has_value();
            EW_TRY(const bool more, row.step());
            (void)more;
            return cancel;
        });
    }

    Result<void> intend_file(const Lease& lease, const model::FileKey& key) override {
        const std::int64_t now = clock_.unix_us();
        return database_->write([&](Connection& connection) -> Result<void> {
            EW_CHECK(
                connection
                    .statement("INSERT INTO file (file_key, job_id, epoch, state, intended_us) "
                               "SELECT ?3, job_id, epoch, 'intended', ?4 FROM job "
                               "WHERE job_id = ?1 AND epoch = ?2 AND status = 'in_progress'")
                    .bind(lease.job_id, lease.epoch, key, now)
                    .run());
            if (connection.changes() == 0) return lease_lost(lease);
            return {};
        });
    }

    Result<void> complete(const Lease& lease, const Completion& completion) override {
        const std::int64_t now = clock_.unix_us();
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
                         .bind(lease.job_id, lease.epoch, now, completion.processed_items,
                               completion.file.file_url, completion.filename, patch_text,
                               completion.failed_items, completion.warned_items)
                         .run());
            if (connection.changes() == 0) return why_not_mine(connection, lease);
            for (const JobEntry& error : completion.errors) {
                EW_CHECK(append_entry(connection, lease.job_id, "error", error));
            }
            for (const JobEntry& warning : completion.warnings) {
                EW_CHECK(append_entry(connection, lease.job_id, "warning", warning));
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
            return {};
        });
    }

    Result<void> give_up_attempt(const Lease& lease, std::string_view error, bool permanent,
                                 std::int64_t delay_us) override {
        const std::int64_t now = clock_.unix_us();
        const std::string_view text = utf8_prefix(error, limits::kJobTextBytesMax);
        return database_->write([&](Connection& connection) -> Result<void> {
            EW_CHECK(connection
                         .statement("UPDATE job SET "
                                    "status = iif(?4 OR attempt >= ?5, 'failed', 'pending'), "
                                    "completed_us = iif(?4 OR attempt >= ?5, ?6, NULL), "
                                    "due_us = ?6 + ?7, stage = '', error_message = ?3 "
                                    "WHERE job_id = ?1 AND epoch = ?2 AND status = 'in_progress'")
                         .bind(lease.job_id, lease.epoch, text, permanent ? 1 : 0,
                               limits::kJobAttemptsMax, now, delay_us)
                         .run());
            return connection.changes() == 0 ? Result<void>(lease_lost(lease)) : Result<void>();
        });
    }

    Result<void> release(const Lease& lease) override {
        const std::int64_t now = clock_.unix_us();
        return database_->write([&](Connection& connection) -> Result<void> {
            EW_CHECK(connection
                         .statement("UPDATE job SET status = 'pending', attempt = attempt - 1, "
                                    "due_us = ?3, stage = '' "
                                    "WHERE job_id = ?1 AND epoch = ?2 AND status = 'in_progress'")
                         .bind(lease.job_id, lease.epoch, now)
                         .run());
            return connection.changes() == 0 ? Result<void>(lease_lost(lease)) : Result<void>();
        });
    }

    Result<void> cancelled(const Lease& lease) override {
        const std::int64_t now = clock_.unix_us();
        return database_->write([&](Connection& connection) -> Result<void> {
            EW_CHECK(
                connection
                    .statement("UPDATE job SET status = 'cancelled', completed_us = ?3, stage = '' "
                               "WHERE job_id = ?1 AND epoch = ?2 AND status = 'in_progress' AND "
                               "cancel_us IS NOT NULL")
                    .bind(lease.job_id, lease.epoch, now)
                    .run());
            return connection.changes() == 0 ? Result<void>(lease_lost(lease)) : Result<void>();
        });
    }

    Result<std::size_t> rescue() override {
        const std::int64_t now = clock_.unix_us();
        return database_->write([&](Connection& connection) -> Result<std::size_t> {
            // The attempt is given back: the job did not fail, its process died. Too many deaths
            // and it is the job.
            EW_CHECK(
                connection
                    .statement(
                        "UPDATE job SET crashes = crashes + 1, attempt = attempt - 1, due_us = ?1, "
                        "stage = '', "
                        "status = CASE WHEN cancel_us IS NOT NULL THEN 'cancelled' "
                        "WHEN crashes + 1 >= ?2 THEN 'failed' ELSE 'pending' END, "
                        "completed_us = iif(cancel_us IS NOT NULL OR crashes + 1 >= ?2, ?1, NULL), "
                        "error_message = iif(crashes + 1 >= ?2, "
                        "'the daemon died repeatedly while it ran this job', error_message) "
                        "WHERE status = 'in_progress' AND runner = 'daemon'")
                    .bind(now, limits::kJobCrashesMax)
                    .run());
            return static_cast<std::size_t>(connection.changes());
        });
    }

    Result<std::vector<UnpublishedFile>> unpublished_files() override {
        return database_->read([&](Connection& connection) -> Result<std::vector<UnpublishedFile>> {
            std::vector<UnpublishedFile> out;
            Statement rows = connection.statement(
                "SELECT file_key, job_id, epoch FROM file WHERE state = 'intended' AND NOT EXISTS "
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
            return connection
                .statement("DELETE FROM file WHERE file_key = ?1 AND state = 'intended'")
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
    static Result<json> parse_metadata(const std::string& text) {
        if (text.size() > limits::kJobMetadataBytesMax) {
            return fail(ErrorCode::kInvalidArgument,
                        "metadata: expected at most " +
                            std::to_string(limits::kJobMetadataBytesMax) + " bytes");
        }
        json object = json::parse(text, nullptr, false);
        if (!object.is_object())
            return fail(ErrorCode::kInvalidArgument, "metadata: expected an object");
        if (text_member(object, "file_url").size() > limits::kFileUrlBytesMax) {
            return fail(ErrorCode::kInvalidArgument, "metadata.file_url: expected at most " +
                                                         std::to_string(limits::kFileUrlBytesMax) +
                                                         " bytes");
        }
        return object;
    }

    static Result<void> why_not_mine(Connection& connection, const Lease& lease) {
        Statement row = connection.statement(
            "SELECT 1 FROM job WHERE job_id = ?1 AND epoch = ?2 AND status = 'in_progress' AND "
            "cancel_us IS NOT NULL");
        EW_TRY(const bool cancel_first, row.bind(lease.job_id, lease.epoch).step());
        if (cancel_first) return fail(ErrorCode::kCancelled, "job " + lease.job_id + ": cancelled");
        return lease_lost(lease);
    }

    Result<void> append_entry(Connection& connection, const std::string& job_id, const char* kind,
                              JobEntry entry) {
        entry.at_us = clock_.unix_us();
        return connection
            .statement(
                "INSERT INTO job_entry (job_id, kind, number, body) "
                "SELECT ?1, ?2, count(*), ?3 FROM job_entry WHERE job_id = ?1 AND kind = ?2 HAVING "
                "count(*) < ?4")
            .bind(job_id, kind, entry_to_json(entry),
                  static_cast<std::int64_t>(limits::kJobErrorsMax))
            .run();
    }

    Result<void> apply(Connection& connection, Job& job, const ProgressReport& report) {
        const std::int64_t now = clock_.unix_us();
        json metadata = json::parse(job.metadata_json, nullptr, false);
        if (!report.metadata_patch_json.empty()) {
            EW_TRY(const json patch, parse_metadata(report.metadata_patch_json));
            metadata.merge_patch(patch);
        }
        const std::string metadata_text =
            metadata.dump(-1, ' ', false, json::error_handler_t::replace);
        EW_CHECK(parse_metadata(metadata_text));
        if (report.error) EW_CHECK(append_entry(connection, job.job_id, "error", *report.error));
        if (report.warning)
            EW_CHECK(append_entry(connection, job.job_id, "warning", *report.warning));
        const std::int64_t failed = job.failed_items + (report.error ? 1 : 0);
        const std::int64_t warned = job.warned_items + (report.warning ? 1 : 0);
        JobStatus status = job.status;
        if (report.mark_started && status == JobStatus::kPending) status = JobStatus::kInProgress;
        if (report.mark_failed) status = JobStatus::kFailed;
        if (report.mark_completed) {
            status = failed > 0   ? JobStatus::kPartialSuccess
                     : warned > 0 ? JobStatus::kCompletedWithWarnings
                                  : JobStatus::kCompleted;
        }
        const bool started = job.started_us.has_value() || status != JobStatus::kPending;
        const bool finished = model::is_final(status);
        return connection
            .statement(
                "UPDATE job SET status = ?2, processed_items = ?3, total_items = ?4, stage = ?5, "
                "message = ?6, "
                "metadata = ?7, file_url = ?8, filename = ?9, error_message = ?10, failed_items = "
                "?11, "
                "warned_items = ?12, started_us = iif(?13, coalesce(started_us, ?14), NULL), "
                "completed_us = iif(?15, ?14, NULL) WHERE job_id = ?1")
            .bind(job.job_id, model::to_string(status),
                  report.processed_items.value_or(job.processed_items),
                  report.total_items.value_or(job.total_items), report.stage.value_or(job.stage),
                  report.message.value_or(job.message), metadata_text,
                  text_member(metadata, "file_url"), text_member(metadata, "filename"),
                  report.mark_failed.value_or(job.error_message), failed, warned, started ? 1 : 0,
                  now, finished ? 1 : 0)
            .run();
    }

    std::unique_ptr<sqlite::Database> database_;
    const Clock& clock_;
};

}  // namespace

Result<std::unique_ptr<JobStore>> open_sqlite_job_store(const std::string& path,
                                                        const Clock& clock) {
    EW_TRY(std::unique_ptr<sqlite::Database> database,
           sqlite::Database::open(
               {.path = path, .application_id = kJobApplicationId, .migrations = kJobMigrations}));
    return std::unique_ptr<JobStore>(std::make_unique<SqliteJobStore>(std::move(database), clock));
}

}  // namespace export_worker::jobs
