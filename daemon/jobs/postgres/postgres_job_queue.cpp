#include "daemon/jobs/postgres/postgres_job_queue.hpp"

#include <string>
#include <utility>
#include <vector>

#include "base/json.hpp"
#include "daemon/jobs/attempt_rules.hpp"
#include "daemon/jobs/job_metadata.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/postgres/deadlines.hpp"
#include "daemon/jobs/postgres/job_rows.hpp"

namespace export_worker::jobs::pg {
namespace {

using model::Job;
using model::JobEntry;
using model::Lease;
using nlohmann::json;
using postgres::Connection;
using postgres::Row;
using postgres::Rows;
using postgres::UnixTime;

Result<bool> finds(const Result<Rows>& rows) {
    if (!rows) return fail(rows.error());
    return !rows->empty();
}

// Has the attempt of this lease been recorded as ended?
Result<bool> has_ended(Connection& connection, const Lease& lease) {
    return finds(connection.query(
        "SELECT 1 FROM job WHERE job_id = $1 AND epoch = $2 AND claim_token = $3 AND status <> "
        "'in_progress'",
        lease.job_id, lease.epoch, lease.claim_token));
}

Result<bool> has_intended(Connection& connection, const Lease& lease, const model::FileKey& key) {
    return finds(
        connection.query("SELECT 1 FROM file WHERE file_key = $1 AND job_id = $2 AND epoch = $3 "
                         "AND claim_token = $4",
                         key, lease.job_id, lease.epoch, lease.claim_token));
}

Result<bool> has_published(Connection& connection, const Lease& lease, const model::FileKey& key) {
    return finds(connection.query(
        "SELECT 1 FROM file WHERE file_key = $1 AND job_id = $2 AND epoch = $3 AND claim_token = "
        "$4 AND state <> 'intended'",
        key, lease.job_id, lease.epoch, lease.claim_token));
}

Result<void> record_end_if_final(Connection& connection, const Job& job, std::string_view actor,
                                 const Now& now) {
    return model::is_final(job.status) ? record_end(connection, job, actor, now) : Result<void>();
}

Result<void> publish_file(Connection& connection, const model::FileReceipt& file) {
    EW_TRY(const Rows published,
           connection.query(
               "UPDATE file SET state = 'live', bytes = $2, sha256 = $3 WHERE file_key = $1",
               file.key, static_cast<std::int64_t>(file.bytes), file.sha256));
    if (published.changed() == 0) return fail(ErrorCode::kInternal, "the file was never announced");
    return {};
}

Result<void> publish(Connection& connection, Job job, const Completion& completion,
                     std::string_view actor, const Now& now) {
    EW_TRY(const json metadata, completed_metadata(job.metadata_json, completion));
    complete_attempt(job, completion, now);
    job.metadata_json = dump_json(metadata);
    EW_CHECK(write_state(connection, job, now));
    EW_CHECK(write_metadata(connection, job.job_id, metadata));
    for (const JobEntry& error : completion.errors)
        EW_CHECK(append_entry(connection, job.job_id, "error", error, now));
    for (const JobEntry& warning : completion.warnings)
        EW_CHECK(append_entry(connection, job.job_id, "warning", warning, now));
    EW_CHECK(publish_file(connection, completion.file));
    return record_end(connection, job, actor, now);
}

}  // namespace

Result<bool> PostgresJobQueue::may_claim() {
    return database_.read_at([&](Connection& connection, const Now& at) {
        return has_turn(connection, database_.policy(), unwritten_holds_.ids(), at);
    });
}

Result<std::optional<ClaimedJob>> PostgresJobQueue::claim() {
    const std::optional<std::string> unresolved = unresolved_.take();
    if (!unresolved) {
        // Workers that find nothing look every second: without a transaction that locks.
        EW_TRY(const bool any, may_claim());
        if (!any) return std::optional<ClaimedJob>();
    }
    const Claimer claimer{database_.instance_id(), unresolved ? *unresolved : new_claim_token()};
    auto job = take_next(claimer, unresolved.has_value());
    if (!job && (unresolved || JobDatabase::is_unknown(job))) unresolved_.keep(claimer.claim_token);
    return job;
}

Result<PostgresJobQueue::Step> PostgresJobQueue::claim_once(const Claimer& claimer, Locked locked,
                                                            bool& run_before) {
    const auto once = [&] {
        auto step = database_.write([&](Connection& connection, const Now& now) -> Result<Step> {
            if (run_before) {
                EW_TRY(std::optional<ClaimedJob> claimed, find_claimed(connection, claimer));
                if (claimed) return Step{.claim = {std::move(claimed), ""}};
            }
            // First, so that no search has to pass by jobs that may not start any more.
            EW_TRY(const std::size_t late, fail_late(connection, claimer.instance_id, now));
            if (late > 0) return Step{.failed = late};
            EW_TRY(Claim claim, claim_next(connection, database_.policy(), unwritten_holds_.ids(),
                                           claimer, locked, now));
            return Step{.claim = std::move(claim)};
        });
        run_before = true;
        return is_conflict(step) ? resolve_conflict(claimer) : step;
    };
    auto step = once();
    for (int tries = 1; JobDatabase::is_unknown(step) && tries < limits::kOutcomeTriesMax; ++tries)
        step = once();
    return step;
}

Result<PostgresJobQueue::Step> PostgresJobQueue::resolve_conflict(const Claimer& claimer) {
    EW_TRY(std::optional<ClaimedJob> claimed, database_.read([&](Connection& connection) {
        return find_claimed(connection, claimer);
    }));
    if (claimed) return Step{.claim = {std::move(claimed), ""}};
    return fail(ErrorCode::kUnavailable, "claim: the lease of instance " + claimer.instance_id +
                                             " has ended; it enters anew within a second");
}

Result<std::optional<ClaimedJob>> PostgresJobQueue::take_next(const Claimer& claimer,
                                                              bool run_before) {
    Locked locked = Locked::kPass;
    std::size_t looks = 0;  // Without progress.
    while (looks < limits::kClaimLooksMax) {
        EW_TRY(Step step, claim_once(claimer, locked, run_before));
        if (step.claim.job) return std::move(step.claim.job);
        database_.add_failed_by_claims(step.failed);
        if (step.failed > 0) continue;
        locked = Locked::kPass;
        if (step.claim.without_work.empty()) {
            // Who has a turn may be locked by another claim, or by the end of a job.
            EW_TRY(const bool any, may_claim());
            if (!any) return std::optional<ClaimedJob>();
            locked = Locked::kWait;
            ++looks;
            continue;
        }
        EW_TRY(const bool is_due,
               database_.write_until_known([&](Connection& connection, const Now& now) {
                   return raise_next_due(connection, step.claim.without_work, now);
               }));
        if (is_due) ++looks;
    }
    return std::optional<ClaimedJob>();
}

Result<bool> PostgresJobQueue::heartbeat(const Lease& lease, const Progress& progress) {
    return write(
        Run::kFirst,
        [&](Connection& connection, const Now&) -> Result<bool> {
            // What has not changed is not written: no heartbeat keeps a job, its daemon's lease
            // does.
            EW_TRY(const Rows rows,
                   connection.query(
                       "WITH mine AS (SELECT job_id, cancel_at IS NOT NULL AS is_cancelled FROM "
                       "job WHERE job_id = $1 AND epoch = $2 AND claim_token = $3 AND owner = "
                       "$4), written AS (UPDATE job SET processed_items = $5, total_items = "
                       "coalesce($6, total_items), stage = $7 WHERE job_id = $1 AND epoch = $2 "
                       "AND claim_token = $3 AND owner = $4 AND (processed_items, total_items, "
                       "stage) IS DISTINCT FROM ($5, coalesce($6, total_items), $7)) SELECT "
                       "is_cancelled FROM mine",
                       lease.job_id, lease.epoch, lease.claim_token, database_.instance_id(),
                       progress.processed_items, progress.total_items, progress.stage));
            if (rows.empty()) return lease_lost(lease);
            return rows.front().boolean(0);
        },
        [](Connection&) -> Result<bool> { return false; });
}

Result<void> PostgresJobQueue::intend_file(const Lease& lease, const model::FileKey& key, Run run) {
    return write(
        run,
        [&](Connection& connection, const Now& now) -> Result<void> {
            EW_TRY(const Job job, lock_leased(connection, lease, database_.instance_id()));
            EW_TRY(const Rows inserted,
                   connection.query(
                       "INSERT INTO file (file_key, job_id, epoch, claim_token, state, "
                       "intended_at) VALUES ($1, $2, $3, $4, 'intended', $5) ON "
                       "CONFLICT (file_key) DO NOTHING",
                       key, job.job_id, job.epoch, lease.claim_token, UnixTime{now.wall_us}));
            if (inserted.changed() > 0) return {};
            return fail(ErrorCode::kConflict, "file " + key + ": its key is in use");
        },
        [&](Connection& connection) { return has_intended(connection, lease, key); });
}

Result<void> PostgresJobQueue::complete(const Lease& lease, const Completion& completion, Run run) {
    return write(
        run,
        [&](Connection& connection, const Now& now) -> Result<void> {
            const std::string instance_id = database_.instance_id();
            EW_TRY(Job job, lock_leased(connection, lease, instance_id));
            if (job.cancel_requested)
                return fail(ErrorCode::kCancelled, "job " + lease.job_id + ": cancelled");
            return publish(connection, std::move(job), completion, instance_id, now);
        },
        [&](Connection& connection) {
            return has_published(connection, lease, completion.file.key);
        });
}

Result<void> PostgresJobQueue::give_up_attempt(const Lease& lease, std::string_view error,
                                               bool permanent, std::int64_t delay_us, Run run) {
    return write(
        run,
        [&](Connection& connection, const Now& now) -> Result<void> {
            const std::string instance_id = database_.instance_id();
            EW_TRY(Job job, lock_leased(connection, lease, instance_id));
            jobs::give_up_attempt(job, error, permanent, delay_us, now);
            EW_CHECK(write_state(connection, job, now));
            EW_CHECK(append_event(connection, {job.job_id, "attempt_failed", job.error_message},
                                  instance_id, now));
            return record_end_if_final(connection, job, instance_id, now);
        },
        [&](Connection& connection) { return has_ended(connection, lease); });
}

Result<void> PostgresJobQueue::release(const Lease& lease, Run run) {
    return write(
        run,
        [&](Connection& connection, const Now& now) -> Result<void> {
            const std::string instance_id = database_.instance_id();
            EW_TRY(Job job, lock_leased(connection, lease, instance_id));
            release_attempt(job, now);
            EW_CHECK(write_state(connection, job, now));
            EW_CHECK(append_event(connection, {job.job_id, "interrupted", ""}, instance_id, now));
            return record_end_if_final(connection, job, instance_id, now);
        },
        [&](Connection& connection) { return has_ended(connection, lease); });
}

Result<void> PostgresJobQueue::cancelled(const Lease& lease, Run run) {
    return write(
        run,
        [&](Connection& connection, const Now& now) -> Result<void> {
            const std::string instance_id = database_.instance_id();
            EW_TRY(Job job, lock_leased(connection, lease, instance_id));
            if (!job.cancel_requested) return lease_lost(lease);
            cancel_job(job, now);
            EW_CHECK(write_state(connection, job, now));
            return record_end(connection, job, instance_id, now);
        },
        [&](Connection& connection) { return has_ended(connection, lease); });
}

Result<std::size_t> PostgresJobQueue::rescue_some() {
    return database_.write_until_known(
        [&](Connection& connection, const Now& now) -> Result<std::size_t> {
            const std::string instance_id = database_.instance_id();
            EW_TRY(const Rows orphaned,
                   connection.query("SELECT " EW_PG_JOB_COLUMNS
                                    " FROM job WHERE owner IN (SELECT instance_id FROM instance "
                                    "WHERE lease_until <= $1) LIMIT $2 FOR NO KEY UPDATE SKIP "
                                    "LOCKED",
                                    UnixTime{now.us},
                                    static_cast<std::int64_t>(limits::kHousekeepingBatch)));
            std::vector<Job> ended;
            std::vector<NewEvent> put_back;
            for (Job& job : in_order_of_organizations(orphaned)) {
                rescue_attempt(job, now);
                EW_CHECK(write_state(connection, job, now));
                if (model::is_final(job.status)) {
                    ended.push_back(std::move(job));
                } else {
                    put_back.push_back({job.job_id, "rescued", ""});
                }
            }
            EW_CHECK(append_events(connection, put_back, instance_id, now));
            EW_CHECK(record_ends(connection, ended, instance_id, now));
            return static_cast<std::size_t>(orphaned.size());
        });
}

// A claim that is on its way holds the row of its instance: the deletion waits for it, and then
// fails, because a job has that owner. Then there is something to put back again.
Result<void> PostgresJobQueue::forget_ended_instances() {
    auto forgotten = database_.write_until_known([&](Connection& connection, const Now& now) {
        return connection.change(
            "DELETE FROM instance WHERE lease_until <= $1 AND answers_until <= $1 AND instance_id "
            "<> $2 AND NOT EXISTS (SELECT 1 FROM job WHERE owner = instance_id)",
            UnixTime{now.us}, database_.instance_id());
    });
    if (forgotten || is_conflict(forgotten)) return {};
    return forgotten;
}

Result<std::size_t> PostgresJobQueue::rescue() {
    // Whoever can write is alive.
    EW_CHECK(database_.membership().renew());
    std::size_t all = 0;
    for (std::size_t some = limits::kHousekeepingBatch; some == limits::kHousekeepingBatch;
         all += some) {
        EW_TRY(some, rescue_some());
    }
    EW_CHECK(forget_ended_instances());
    return all;
}

Result<std::vector<Lease>> PostgresJobQueue::owned_jobs() {
    return database_.read([&](Connection& connection) -> Result<std::vector<Lease>> {
        EW_TRY(const Rows rows,
               connection.query("SELECT job_id, epoch, claim_token FROM job WHERE owner = $1",
                                database_.instance_id()));
        return rows.each([](const Row& row) {
            return Lease{row.string(0), row.integer(1), row.string(2)};
        });
    });
}

}  // namespace export_worker::jobs::pg
