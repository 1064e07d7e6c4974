#include "daemon/jobs/sqlite/sqlite_job_queue.hpp"

#include <string>
#include <utility>
#include <vector>

#include "base/json.hpp"
#include "daemon/jobs/attempt_rules.hpp"
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

Result<void> record_end_if_final(Connection& connection, const Job& job, std::string_view actor,
                                 const Now& now) {
    return model::is_final(job.status) ? record_end(connection, job, actor, now) : Result<void>();
}

// The job of an attempt that still runs: ?1 to ?3 are the lease.
#define EW_LEASED "job_id = ?1 AND epoch = ?2 AND claim_token = ?3 AND status = 'in_progress'"

// Before the state of the job: the index of what retention may forget then never has it.
Result<void> write_metadata(Connection& connection, const Job& job, const Completion& completion) {
    return connection
        .statement(
            "UPDATE job SET metadata = ?2, file_url = ?3, filename = ?4, content_type = "
            "coalesce(?2 ->> '$.content_type', ''), sha256 = coalesce(?2 ->> '$.sha256', "
            "'') WHERE job_id = ?1")
        .bind(job.job_id, job.metadata_json, completion.file.file_url, completion.filename)
        .run();
}

Result<void> publish_file(Connection& connection, const model::FileReceipt& file) {
    EW_CHECK(connection
                 .statement("UPDATE file SET state = 'live', bytes = ?2, sha256 = ?3 WHERE "
                            "file_key = ?1")
                 .bind(file.key, static_cast<std::int64_t>(file.bytes), file.sha256)
                 .run());
    if (connection.changes() == 0)
        return fail(ErrorCode::kInternal, "the file was never announced");
    return {};
}

Result<void> publish(Connection& connection, Job job, const Completion& completion,
                     std::string_view actor, const Now& now) {
    EW_TRY(const json metadata, completed_metadata(job.metadata_json, completion));
    job.metadata_json = dump_json(metadata);
    complete_attempt(job, completion, now);
    EW_CHECK(write_metadata(connection, job, completion));
    EW_CHECK(write_state(connection, job, now));
    for (const JobEntry& error : completion.errors)
        EW_CHECK(append_entry(connection, job.job_id, "error", error, now));
    for (const JobEntry& warning : completion.warnings)
        EW_CHECK(append_entry(connection, job.job_id, "warning", warning, now));
    EW_CHECK(publish_file(connection, completion.file));
    return record_end(connection, job, actor, now);
}

std::string json_of(const std::vector<std::string>& ids) {
    return dump_json(json(ids));
}

// Has the attempt of this lease been recorded as ended?
Result<bool> has_ended(Connection& connection, const Lease& lease) {
    Statement row = connection.statement(
        "SELECT 1 FROM job WHERE job_id = ?1 AND epoch = ?2 AND claim_token = ?3 AND status <> "
        "'in_progress'");
    return row.bind(lease.job_id, lease.epoch, lease.claim_token).step();
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
    EW_TRY(Job job, load_row(connection, OrganizationScope::every(), job_id));
    rescue_attempt(job, now);
    EW_CHECK(write_state(connection, job, now));
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
                "UPDATE job SET processed_items = ?4, total_items = coalesce(?5, total_items), "
                "stage = ?6 WHERE " EW_LEASED " RETURNING cancel_us");
            row.bind(lease.job_id, lease.epoch, lease.claim_token, progress.processed_items,
                     progress.total_items, progress.stage);
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
                               "SELECT ?4, job_id, epoch, 'intended', ?5 FROM job "
                               "WHERE " EW_LEASED)
                    .bind(lease.job_id, lease.epoch, lease.claim_token, key, now.wall_us)
                    .run());
            if (connection.changes() == 0) return lease_lost(lease);
            return {};
        },
        [&](Connection& connection) { return has_intended(connection, lease, key); });
}

Result<void> SqliteJobQueue::complete(const Lease& lease, const Completion& completion, Run run) {
    return write(
        run,
        [&](Connection& connection, const Now& now) -> Result<void> {
            EW_TRY(Job job, load_leased(connection, lease));
            if (job.cancel_requested)
                return fail(ErrorCode::kCancelled, "job " + lease.job_id + ": cancelled");
            return publish(connection, std::move(job), completion, database_.instance_id(), now);
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
            EW_TRY(Job job, load_leased(connection, lease));
            jobs::give_up_attempt(job, error, permanent, delay_us, now);
            EW_CHECK(write_state(connection, job, now));
            EW_CHECK(append_event(connection, lease.job_id,
                                  {"attempt_failed", database_.instance_id(), job.error_message},
                                  now));
            return record_end_if_final(connection, job, database_.instance_id(), now);
        },
        [&](Connection& connection) { return has_ended(connection, lease); });
}

Result<void> SqliteJobQueue::release(const Lease& lease, Run run) {
    return write(
        run,
        [&](Connection& connection, const Now& now) -> Result<void> {
            EW_TRY(Job job, load_leased(connection, lease));
            release_attempt(job, now);
            EW_CHECK(write_state(connection, job, now));
            EW_CHECK(append_event(connection, lease.job_id,
                                  {"interrupted", database_.instance_id()}, now));
            return record_end_if_final(connection, job, database_.instance_id(), now);
        },
        [&](Connection& connection) { return has_ended(connection, lease); });
}

Result<void> SqliteJobQueue::cancelled(const Lease& lease, Run run) {
    return write(
        run,
        [&](Connection& connection, const Now& now) -> Result<void> {
            EW_TRY(Job job, load_leased(connection, lease));
            if (!job.cancel_requested) return lease_lost(lease);
            cancel_job(job, now);
            EW_CHECK(write_state(connection, job, now));
            return record_end(connection, job, database_.instance_id(), now);
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

Result<std::vector<Lease>> SqliteJobQueue::owned_jobs() {
    return database_.read([&](Connection& connection) {
        Statement rows = connection.statement(
            "SELECT job_id, epoch, claim_token FROM job WHERE status = 'in_progress' AND runner = "
            "'daemon' AND owner = ?1");
        rows.bind(database_.instance_id());
        return sqlite::read_all(rows, [](const Statement& row) {
            return Lease{row.string(0), row.integer(1), row.string(2)};
        });
    });
}

}  // namespace export_worker::jobs
