#include "daemon/jobs/sqlite/sqlite_job_queue.hpp"

#include <string>
#include <utility>
#include <vector>

#include "base/json.hpp"
#include "base/text.hpp"
#include "daemon/jobs/job_metadata.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/sqlite/job_rows.hpp"
#include "daemon/sqlite/rows.hpp"

namespace export_worker::jobs {
namespace {

using model::Job;
using model::JobEntry;
using model::Lease;
using model::OrganizationScope;
using nlohmann::json;
using sqlite::Connection;
using sqlite::Statement;

Result<void> record_end_if_final(Connection& connection, const std::string& job_id,
                                 std::string_view actor, const Now& now) {
    EW_TRY(const Job job, load_row(connection, OrganizationScope::every(), job_id));
    if (!model::is_final(job.status)) return {};
    return record_end(connection, job, actor, now);
}

// The final commit found the job otherwise than it expected.
Result<void> why_not_mine(Connection& connection, const Lease& lease) {
    Statement row = connection.statement(
        "SELECT 1 FROM job WHERE job_id = ?1 AND epoch = ?2 AND status = 'in_progress' AND "
        "cancel_us IS NOT NULL");
    EW_TRY(const bool cancel_first, row.bind(lease.job_id, lease.epoch).step());
    if (cancel_first) return fail(ErrorCode::kCancelled, "job " + lease.job_id + ": cancelled");
    return lease_lost(lease);
}

// The metadata of the lease's job; nullopt: it is not to be completed under this lease.
Result<std::optional<std::string>> metadata_under(Connection& connection, const Lease& lease) {
    Statement row = connection.statement(
        "SELECT metadata FROM job WHERE job_id = ?1 AND epoch = ?2 AND status = 'in_progress' AND "
        "cancel_us IS NULL");
    EW_TRY(const bool found, row.bind(lease.job_id, lease.epoch).step());
    return found ? std::optional(row.string(0)) : std::nullopt;
}

Result<void> publish(Connection& connection, const Lease& lease, const Completion& completion,
                     std::string_view actor, const Now& now) {
    EW_TRY(const std::optional<std::string> before, metadata_under(connection, lease));
    if (!before) return why_not_mine(connection, lease);
    EW_TRY(const json metadata, completed_metadata(*before, completion));
    EW_CHECK(connection
                 .statement("UPDATE job SET status = CASE WHEN ?7 > 0 THEN "
                            "'partial_success' WHEN ?8 > 0 THEN "
                            "'completed_with_warnings' ELSE 'completed' END, "
                            "completed_us = ?2, stage = '', error_message = '', "
                            "processed_items = ?3, total_items = ?3 + ?7, "
                            "failed_items = ?7, warned_items = ?8, "
                            "file_url = ?4, filename = ?5, metadata = ?6, "
                            "content_type = coalesce(?6 ->> '$.content_type', ''), "
                            "sha256 = coalesce(?6 ->> '$.sha256', '') WHERE job_id = ?1")
                 .bind(lease.job_id, now.wall_us, completion.processed_items,
                       completion.file.file_url, completion.filename, dump_json(metadata),
                       completion.failed_items, completion.warned_items)
                 .run());
    for (const JobEntry& error : completion.errors) {
        EW_CHECK(append_entry(connection, lease.job_id, "error", error, now));
    }
    for (const JobEntry& warning : completion.warnings) {
        EW_CHECK(append_entry(connection, lease.job_id, "warning", warning, now));
    }
    EW_CHECK(connection
                 .statement("UPDATE file SET state = 'live', bytes = ?2, sha256 = ?3 WHERE "
                            "file_key = ?1")
                 .bind(completion.file.key, static_cast<std::int64_t>(completion.file.bytes),
                       completion.file.sha256)
                 .run());
    if (connection.changes() == 0)
        return fail(ErrorCode::kInternal, "the file was never announced");
    return record_end_of(connection, lease.job_id, actor, now);
}

std::string json_of(const std::vector<std::string>& ids) {
    return dump_json(json(ids));
}

// Has the attempt of this lease been recorded as ended?
Result<bool> has_ended(Connection& connection, const Lease& lease) {
    Statement row = connection.statement(
        "SELECT 1 FROM job WHERE job_id = ?1 AND epoch = ?2 AND status <> 'in_progress'");
    return row.bind(lease.job_id, lease.epoch).step();
}

Result<bool> has_intended(Connection& connection, const Lease& lease, const model::FileKey& key) {
    Statement row = connection.statement(
        "SELECT 1 FROM file WHERE file_key = ?1 AND job_id = ?2 AND epoch = ?3");
    return row.bind(key, lease.job_id, lease.epoch).step();
}

Result<bool> has_published(Connection& connection, const Lease& lease, const model::FileKey& key) {
    Statement row = connection.statement(
        "SELECT 1 FROM file WHERE file_key = ?1 AND job_id = ?2 AND epoch = ?3 AND state <> "
        "'intended'");
    return row.bind(key, lease.job_id, lease.epoch).step();
}

Result<void> put_back(Connection& connection, const std::string& job_id,
                      const std::string& instance_id, const Now& now) {
    // The attempt is given back: the job did not fail, its process died. Too many deaths and it
    // is the job.
    EW_CHECK(
        connection
            .statement("UPDATE job SET crashes = crashes + 1, attempt = attempt - 1, due_us = ?2, "
                       "owner = '', stage = '', "
                       "status = CASE WHEN cancel_us IS NOT NULL THEN 'cancelled' "
                       "WHEN crashes + 1 >= ?3 THEN 'failed' ELSE 'pending' END, "
                       "completed_us = iif(cancel_us IS NOT NULL OR crashes + 1 >= ?3, ?4, NULL), "
                       "error_message = iif(crashes + 1 >= ?3, "
                       "'the daemon died repeatedly while it ran this job', error_message) "
                       "WHERE job_id = ?1")
            .bind(job_id, now.us, limits::kJobCrashesMax, now.wall_us)
            .run());
    EW_TRY(const model::Job job, load_row(connection, model::OrganizationScope::every(), job_id));
    if (model::is_final(job.status)) return record_end(connection, job, instance_id, now);
    return append_event(connection, job_id, {"rescued", instance_id}, now);
}

}  // namespace

Result<bool> SqliteJobQueue::has_due() {
    const Now at = database_.now();
    return database_.read([&](Connection& connection) -> Result<bool> {
        Statement row = connection.statement(
            "SELECT 1 FROM job WHERE status = 'pending' AND runner = 'daemon' AND held = 0 "
            "AND due_us <= ?1 LIMIT 1");
        return row.bind(at.us).step();
    });
}

Result<std::optional<ClaimedJob>> SqliteJobQueue::claim() {
    EW_CHECK(database_.finish_rescheduling());
    const std::optional<std::string> unresolved = unresolved_.take();
    if (!unresolved) {
        // Workers that find nothing look every second: not through the writer.
        EW_TRY(const bool any, has_due());
        if (!any) return std::optional<ClaimedJob>();
    }
    const Claimer claimer{database_.instance_id(), unresolved ? *unresolved : new_claim_token()};
    auto job = take_next(claimer, unresolved.has_value());
    if (!job && (unresolved || JobDatabase::is_unknown(job))) unresolved_.keep(claimer.claim_token);
    return job;
}

Result<std::optional<ClaimedJob>> SqliteJobQueue::take_next(const Claimer& claimer,
                                                            bool run_before) {
    for (;; run_before = false) {
        EW_TRY(Claim claim, database_.write_until_known([&](Connection& connection,
                                                            const Now& now) -> Result<Claim> {
            if (std::exchange(run_before, true)) {
                EW_TRY(std::optional<ClaimedJob> claimed, find_claimed(connection, claimer));
                if (claimed) return Claim{.job = std::move(claimed)};
            }
            return claim_next(connection, database_.policy(), json_of(unwritten_holds_.ids()),
                              claimer, now);
        }));
        database_.add_failed_by_claims(claim.failed);
        if (!claim.again) return std::move(claim.job);
    }
}

Result<bool> SqliteJobQueue::heartbeat(const Lease& lease, const Progress& progress) {
    return write(
        Run::kFirst,
        [&](Connection& connection, const Now&) -> Result<bool> {
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
        },
        [](Connection&) -> Result<bool> { return false; });
}

Result<void> SqliteJobQueue::intend_file(const Lease& lease, const model::FileKey& key, Run run) {
    return write(
        run,
        [&](Connection& connection, const Now& now) -> Result<void> {
            EW_CHECK(
                connection
                    .statement("INSERT INTO file (file_key, job_id, epoch, state, intended_us) "
                               "SELECT ?3, job_id, epoch, 'intended', ?4 FROM job "
                               "WHERE job_id = ?1 AND epoch = ?2 AND status = 'in_progress'")
                    .bind(lease.job_id, lease.epoch, key, now.wall_us)
                    .run());
            if (connection.changes() == 0) return lease_lost(lease);
            return {};
        },
        [&](Connection& connection) { return has_intended(connection, lease, key); });
}

Result<void> SqliteJobQueue::complete(const Lease& lease, const Completion& completion, Run run) {
    return write(
        run,
        [&](Connection& connection, const Now& now) {
            return publish(connection, lease, completion, database_.instance_id(), now);
        },
        [&](Connection& connection) {
            return has_published(connection, lease, completion.file.key);
        });
}

Result<void> SqliteJobQueue::give_up_attempt(const Lease& lease, std::string_view error,
                                             bool permanent, std::int64_t delay_us, Run run) {
    return write(
        run,
        [&](Connection& connection, const Now& now) -> Result<void> {
            const std::string text(utf8_prefix(error, limits::kJobTextBytesMax));
            EW_CHECK(
                connection
                    .statement("UPDATE job SET owner = '', stage = '', error_message = ?3, "
                               "due_us = ?6 + ?7, status = CASE WHEN cancel_us IS NOT NULL THEN "
                               "'cancelled' WHEN ?4 OR attempt >= attempts_max THEN 'failed' ELSE "
                               "'pending' END, completed_us = iif(cancel_us IS NOT NULL OR ?4 OR "
                               "attempt >= attempts_max, ?5, NULL) "
                               "WHERE job_id = ?1 AND epoch = ?2 AND status = 'in_progress'")
                    .bind(lease.job_id, lease.epoch, text, permanent ? 1 : 0, now.wall_us, now.us,
                          delay_us)
                    .run());
            if (connection.changes() == 0) return lease_lost(lease);
            EW_CHECK(append_event(connection, lease.job_id,
                                  {"attempt_failed", database_.instance_id(), text}, now));
            return record_end_if_final(connection, lease.job_id, database_.instance_id(), now);
        },
        [&](Connection& connection) { return has_ended(connection, lease); });
}

Result<void> SqliteJobQueue::release(const Lease& lease, Run run) {
    return write(
        run,
        [&](Connection& connection, const Now& now) -> Result<void> {
            EW_CHECK(connection
                         .statement(
                             "UPDATE job SET status = iif(interruptions >= ?4 AND attempt >= "
                             "attempts_max, 'failed', 'pending'), completed_us = iif(interruptions "
                             ">= ?4 AND attempt >= attempts_max, ?5, NULL), attempt = attempt - "
                             "iif(interruptions >= ?4, 0, 1), interruptions = interruptions + 1, "
                             "owner = '', due_us = ?3, stage = '' "
                             "WHERE job_id = ?1 AND epoch = ?2 AND status = 'in_progress'")
                         .bind(lease.job_id, lease.epoch, now.us, limits::kJobInterruptionsMax,
                               now.wall_us)
                         .run());
            if (connection.changes() == 0) return lease_lost(lease);
            EW_CHECK(append_event(connection, lease.job_id,
                                  {"interrupted", database_.instance_id()}, now));
            return record_end_if_final(connection, lease.job_id, database_.instance_id(), now);
        },
        [&](Connection& connection) { return has_ended(connection, lease); });
}

Result<void> SqliteJobQueue::cancelled(const Lease& lease, Run run) {
    return write(
        run,
        [&](Connection& connection, const Now& now) -> Result<void> {
            EW_CHECK(
                connection
                    .statement("UPDATE job SET status = 'cancelled', completed_us = ?3, stage = '' "
                               "WHERE job_id = ?1 AND epoch = ?2 AND status = 'in_progress' AND "
                               "cancel_us IS NOT NULL")
                    .bind(lease.job_id, lease.epoch, now.wall_us)
                    .run());
            if (connection.changes() == 0) return lease_lost(lease);
            return record_end_of(connection, lease.job_id, database_.instance_id(), now);
        },
        [&](Connection& connection) { return has_ended(connection, lease); });
}

Result<std::size_t> SqliteJobQueue::rescue() {
    std::size_t all = 0;
    for (std::size_t some = limits::kHousekeepingBatch; some == limits::kHousekeepingBatch;
         all += some) {
        EW_TRY(some, database_.write_until_known([&](Connection& connection,
                                                     const Now& now) -> Result<std::size_t> {
            EW_TRY(const std::vector<std::string> orphaned,
                   sqlite::select_texts(
                       connection,
                       "SELECT job_id FROM job WHERE status = 'in_progress' AND runner = "
                       "'daemon' AND NOT EXISTS (SELECT 1 FROM instance WHERE instance_id = "
                       "job.owner AND ended_us IS NULL) LIMIT ?1",
                       static_cast<std::int64_t>(limits::kHousekeepingBatch)));
            for (const std::string& job_id : orphaned)
                EW_CHECK(put_back(connection, job_id, database_.instance_id(), now));
            return orphaned.size();
        }));
    }
    return all;
}

}  // namespace export_worker::jobs
