#include "daemon/jobs/postgres/postgres_job_retention.hpp"

#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/postgres/access_rows.hpp"
#include "daemon/jobs/postgres/deadlines.hpp"
#include "daemon/jobs/postgres/file_changes.hpp"
#include "daemon/jobs/postgres/job_lists.hpp"
#include "daemon/jobs/postgres/settings.hpp"
#include "daemon/jobs/postgres/withdraw_file.hpp"

namespace export_worker::jobs::pg {
namespace {

using postgres::Connection;
using postgres::Row;
using postgres::Rows;
using postgres::UnixTime;

constexpr auto kBatch = static_cast<std::int64_t>(limits::kHousekeepingBatch);

// What the database's clock said when it was too far from kLastRun.
constexpr std::string_view kFound = "retention_paused_us";

UnixTime before(std::chrono::seconds age, const Now& now) {
    return {now.wall_us - us_of(age)};
}

// What is too old. A file is begun before its job ends: what was begun later is not due, and of
// what was begun earlier all is due but the files of the few jobs that ran at that moment.
#define EW_PG_OLD_FILES(before)                                                          \
    " FROM file JOIN job USING (job_id) WHERE state = 'live' AND intended_at <= " before \
    " AND completed_at <= " before
// Whatever still has a file is left until that is gone: a published one keeps its job out of the
// index, of the others there are few.
#define EW_PG_OLD_JOBS(before)                                                                 \
    " FROM job WHERE completed_at IS NOT NULL AND (runner = 'external' OR file_url = '') AND " \
    "completed_at <= " before                                                                  \
    " AND NOT EXISTS (SELECT 1 FROM file WHERE file.job_id = job.job_id)"
#define EW_PG_OLD_NOTICES(before) " FROM notice WHERE at <= " before " AND delivery <> 'pending'"

Result<std::size_t> changed_by(const Result<Rows>& rows) {
    if (!rows) return fail(rows.error());
    return static_cast<std::size_t>(rows->changed());
}

Result<std::size_t> forget_jobs(Connection& connection, UnixTime before) {
    return changed_by(
        connection.query("DELETE FROM job WHERE job_id IN (SELECT job_id" EW_PG_OLD_JOBS(
                             "$1") " ORDER BY completed_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
                         before, kBatch));
}

Result<std::size_t> forget_notices(Connection& connection, UnixTime before) {
    return changed_by(connection.query(
        "DELETE FROM notice WHERE notice_id IN (SELECT notice_id" EW_PG_OLD_NOTICES(
            "$1") " ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED)",
        before, kBatch));
}

struct SilenceSpan {
    std::int64_t end_us = 0;    // The first end of a silence that is looked at.
    std::int64_t since_us = 0;  // Jobs that were seen before this.
    std::int64_t now_us = 0;
};
struct SilenceBatch {
    std::size_t jobs = 0;
    std::int64_t end_us = 0;  // Of the last one's silence, as it was.
};
// Each change moves a job to a later end, so that one walk along the ends meets all of them. None
// while another daemon lives: workers could report to that one.
Result<SilenceBatch> restart_some(Connection& connection, const SilenceSpan& span,
                                  std::string_view instance_id) {
    EW_TRY(const Rows rows,
           connection.query(
               "WITH batch AS (SELECT job_id, silent_at FROM job WHERE silent_at >= $1 AND status "
               "= 'in_progress' AND seen_at < $2 AND NOT EXISTS (SELECT 1 FROM instance WHERE "
               "instance_id <> $4 AND lease_until > $3) ORDER BY silent_at LIMIT $5 FOR NO KEY "
               "UPDATE), seen AS (UPDATE job SET seen_at = $3, silent_at = $3 + silence_us * "
               "interval '1 us' FROM batch WHERE job.job_id = batch.job_id) SELECT count(*), "
               "max(silent_at) FROM batch",
               UnixTime{span.end_us}, UnixTime{span.since_us}, UnixTime{span.now_us}, instance_id,
               kBatch));
    return SilenceBatch{static_cast<std::size_t>(rows.front().integer(0)),
                        rows.front().optional_unix_us(1).value_or(span.end_us)};
}

}  // namespace

Result<std::size_t> PostgresJobRetention::enforce_limits() {
    EW_CHECK(
        database_.write_until_known([](Connection& connection, const Now& now) -> Result<void> {
            EW_TRY(const std::size_t folded, fold_counts(connection));
            (void)folded;
            return forget_file_changes(connection, now);
        }));
    EW_TRY(const std::size_t failed,
           database_.write_until_known(
               [&](Connection& connection, const Now& now) -> Result<std::size_t> {
                   const std::string actor = database_.instance_id();
                   EW_TRY(const std::size_t late, fail_late(connection, actor, now));
                   EW_TRY(const std::size_t silent, fail_silent(connection, actor, now));
                   EW_TRY(const std::size_t abandoned, fail_abandoned(connection, actor, now));
                   return late + silent + abandoned;
               }));
    return failed + database_.take_failed_by_claims();
}

Result<void> PostgresJobRetention::restart_silence(const std::function<bool()>& keep_going) {
    std::optional<std::int64_t> since_us;
    std::int64_t end_us = 0;  // Before every end.
    for (;;) {
        EW_TRY(const SilenceBatch batch, database_.write_until_known([&](Connection& connection,
                                                                         const Now& now)
                                                                         -> Result<SilenceBatch> {
            if (!since_us) since_us = now.us;
            return restart_some(connection, {end_us, *since_us, now.us}, database_.instance_id());
        }));
        if (batch.jobs < limits::kHousekeepingBatch) return {};
        if (keep_going && !keep_going())
            return fail(ErrorCode::kCancelled, "silence of jobs: stopped before all count anew");
        end_us = batch.end_us;
    }
}

Result<bool> PostgresJobRetention::check_retention_clock(std::chrono::seconds tolerance) {
    return database_.write_until_known([&](Connection& connection, const Now& now) -> Result<bool> {
        EW_TRY(const std::optional<std::int64_t> last_us, lock_setting(connection, kLastRun));
        if (last_us && std::abs(now.wall_us - *last_us) > us_of(tolerance)) {
            EW_CHECK(write_setting(connection, kFound, now.wall_us));
            return false;
        }
        EW_CHECK(write_setting(connection, kLastRun, now.wall_us));
        EW_CHECK(clear_setting(connection, kFound));
        return true;
    });
}

Result<bool> PostgresJobRetention::resume_retention() {
    bool was_paused = false;  // As the first run found it; it may have ended the pause.
    return database_.write_judged(
        [&](Connection& connection, const Now& now, Run run) -> Result<bool> {
            EW_TRY(const std::optional<std::int64_t> found_us, lock_setting(connection, kFound));
            if (run == Run::kFirst) was_paused = found_us.has_value();
            EW_CHECK(write_setting(connection, kLastRun, now.wall_us));
            EW_CHECK(clear_setting(connection, kFound));
            return was_paused || found_us.has_value();
        });
}

Result<std::optional<RetentionPause>> PostgresJobRetention::retention_pause() {
    using Pause = std::optional<RetentionPause>;
    return database_.read_at([](Connection& connection, const Now& now) -> Result<Pause> {
        EW_TRY(const std::optional<std::int64_t> found_us, read_setting(connection, kFound));
        if (!found_us) return Pause();
        EW_TRY(const std::optional<std::int64_t> last_us, read_setting(connection, kLastRun));
        return Pause(RetentionPause{last_us.value_or(0), now.wall_us});
    });
}

Result<std::size_t> PostgresJobRetention::expire_files(std::chrono::seconds age) {
    return database_.write_until_known(
        [&](Connection& connection, const Now& now) -> Result<std::size_t> {
            EW_CHECK(lock_file_version(connection));
            EW_TRY(const Rows rows,
                   connection.query(
                       "SELECT file_key FROM (SELECT file_key, organization_id" EW_PG_OLD_FILES(
                           "$1") " ORDER BY intended_at LIMIT $2 FOR NO KEY UPDATE OF job "
                                 "SKIP LOCKED) AS old ORDER BY organization_id, file_key",
                       before(age, now), kBatch));
            std::vector<std::string> withdrawn;
            for (const Row row : rows) {
                EW_TRY(std::string job_id,
                       withdraw_file(connection, row.string(0), "expired", database_.instance_id(),
                                     "older than the daemon keeps files", now));
                if (!job_id.empty()) withdrawn.push_back(std::move(job_id));
            }
            EW_CHECK(record_withdrawn(connection, withdrawn, now));
            return static_cast<std::size_t>(rows.size());
        });
}

Result<Pruned> PostgresJobRetention::prune(std::chrono::seconds age) {
    return database_.write_until_known(
        [&](Connection& connection, const Now& now) -> Result<Pruned> {
            const UnixTime too_old = before(age, now);
            Pruned out;
            EW_TRY(out.jobs, forget_jobs(connection, too_old));
            EW_TRY(out.notices, forget_notices(connection, too_old));
            EW_TRY(out.accesses, forget_accesses(connection, too_old.us));
            return out;
        });
}

Result<RetentionBacklog> PostgresJobRetention::retention_backlog(std::chrono::seconds file_age,
                                                                 std::chrono::seconds job_age) {
    return database_.read_at(
        [&](Connection& connection, const Now& now) -> Result<RetentionBacklog> {
            // No row is before NULL.
            const auto cut = [&](std::chrono::seconds age) {
                return age.count() > 0 ? std::optional(before(age, now)) : std::nullopt;
            };
            EW_TRY(const Rows rows,
                   connection.query(
                       "SELECT (SELECT count(*) FROM (SELECT 1" EW_PG_OLD_FILES(
                           "$1") " LIMIT $3) AS files), (SELECT count(*) FROM (SELECT "
                                 "1" EW_PG_OLD_JOBS("$2") " LIMIT $3) AS jobs), (SELECT count(*) "
                                                          "FROM (SELECT "
                                                          "1" EW_PG_OLD_NOTICES(
                                                              "$2") " LIMIT $3) AS notices)",
                       cut(file_age), cut(job_age),
                       static_cast<std::int64_t>(limits::kRetentionCountMax)));
            const Row row = rows.front();
            return RetentionBacklog{row.integer(0), row.integer(1), row.integer(2)};
        });
}

}  // namespace export_worker::jobs::pg
