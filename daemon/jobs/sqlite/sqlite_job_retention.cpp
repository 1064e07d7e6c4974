#include "daemon/jobs/sqlite/sqlite_job_retention.hpp"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/sqlite/access_rows.hpp"
#include "daemon/jobs/sqlite/deadlines.hpp"
#include "daemon/jobs/sqlite/job_rows.hpp"
#include "daemon/jobs/sqlite/settings.hpp"
#include "daemon/jobs/sqlite/time_line.hpp"
#include "daemon/jobs/sqlite/withdraw_file.hpp"
#include "daemon/sqlite/rows.hpp"

namespace export_worker::jobs {
namespace {

using sqlite::Connection;
using sqlite::Statement;

constexpr auto kBatch = static_cast<std::int64_t>(limits::kHousekeepingBatch);

// Somebody else's jobs say by themselves how long they may be silent.
Result<std::size_t> fail_silent(Connection& connection, std::string_view actor, const Now& now) {
    EW_TRY(const std::vector<std::string> silent,
           sqlite::select_texts(
               connection,
               "SELECT job_id FROM job WHERE silence_us IS NOT NULL AND status = 'in_progress' AND "
               "seen_us + silence_us < ?1 ORDER BY seen_us + silence_us LIMIT ?2",
               now.us, kBatch));
    EW_CHECK(fail_jobs(connection, silent,
                       "its worker has not reported for longer than the job allows", actor, now));
    return silent.size();
}

// Nobody may ever report on them again, and what never ends is never pruned.
Result<std::size_t> fail_abandoned(Connection& connection, std::string_view actor, const Now& now) {
    EW_TRY(const std::vector<std::string> abandoned,
           sqlite::select_texts(
               connection,
               "SELECT job_id FROM job WHERE runner = 'external' AND completed_us IS NULL "
               "AND coalesce(seen_us, due_us) <= ?1 ORDER BY coalesce(seen_us, due_us) "
               "LIMIT ?2",
               now.us - us_of(limits::kExternalSilenceMax), kBatch));
    EW_CHECK(
        fail_jobs(connection, abandoned, "no worker has reported on it for 30 days", actor, now));
    return abandoned.size();
}

// External jobs that say how long they may be silent and were last seen before `since_us`, from the
// one on whose silence ends at `end_us`: each change moves a job to a later end, so that one walk
// along the ends meets all of them.
struct SilenceBatch {
    std::vector<std::string> job_ids;
    std::int64_t end_us = 0;  // Of the last one.
};
Result<SilenceBatch> silences_from(Connection& connection, std::int64_t end_us,
                                   std::int64_t since_us) {
    Statement rows = connection.statement(
        "SELECT job_id, seen_us + silence_us FROM job WHERE silence_us IS NOT NULL AND status = "
        "'in_progress' AND seen_us + silence_us >= ?1 AND seen_us < ?2 ORDER BY seen_us + "
        "silence_us LIMIT ?3");
    rows.bind(end_us, since_us, kBatch);
    SilenceBatch out;
    EW_CHECK(sqlite::for_each_row(rows, [&](const Statement& row) {
        out.job_ids.push_back(row.string(0));
        out.end_us = row.integer(1);
    }));
    return out;
}

Result<void> see_now(Connection& connection, const std::vector<std::string>& job_ids,
                     const Now& now) {
    return connection
        .statement("UPDATE job SET seen_us = ?2 WHERE job_id IN (SELECT value FROM json_each(?1))")
        .bind(dump_json(nlohmann::json(job_ids)), now.us)
        .run();
}

// What the clock said when it was too far from kLastRun.
constexpr const char* kFound = "retention_paused_us";

// Up to when an operator has said that the wall clock is right, in the registry's own time.
constexpr const char* kConfirmed = "retention_confirmed_us";

// What ended before is too old. By both clocks, because work that was done while the wall clock was
// behind is younger than it says; what ended before an operator confirmed the clock is judged by
// the wall clock alone.
struct Before {
    std::int64_t wall_us = 0;
    std::int64_t us = 0;
};
Result<Before> before(Connection& connection, std::chrono::seconds age, const Now& now) {
    EW_TRY(const std::optional<std::int64_t> confirmed_us, read_setting(connection, kConfirmed));
    return Before{now.wall_us - us_of(age),
                  std::max(now.us - us_of(age), confirmed_us.value_or(INT64_MIN))};
}

Result<std::size_t> forget_jobs(Connection& connection, const Before& before) {
    // Whatever still has a file is left until that is gone: a published one keeps its job out of
    // the index, of the others there are few.
    EW_CHECK(connection
                 .statement("DELETE FROM job WHERE job_id IN (SELECT job_id FROM job WHERE "
                            "completed_us IS NOT NULL AND (runner = 'external' OR file_url = '') "
                            "AND completed_us <= ?1 AND coalesce(ended_us, ?2) <= ?2 AND NOT "
                            "EXISTS (SELECT 1 FROM file WHERE file.job_id = job.job_id) ORDER BY "
                            "completed_us LIMIT ?3)")
                 .bind(before.wall_us, before.us, kBatch)
                 .run());
    return static_cast<std::size_t>(connection.changes());
}

// What the job of a notice says of its end holds for the notice.
#define EW_JOB_ENDED(line) \
    "coalesce((SELECT ended_us FROM job WHERE job.job_id = notice.job_id), " line ") <= " line

Result<std::size_t> forget_notices(Connection& connection, const Before& before) {
    EW_CHECK(
        connection
            .statement(
                "DELETE FROM notice WHERE sequence IN (SELECT sequence FROM notice "
                "WHERE at_us <= ?1 AND delivery <> 'pending' AND published = 1 AND " EW_JOB_ENDED(
                    "?2") " ORDER BY at_us LIMIT ?3)")
            .bind(before.wall_us, before.us, kBatch)
            .run());
    return static_cast<std::size_t>(connection.changes());
}

}  // namespace

Result<std::size_t> SqliteJobRetention::enforce_limits() {
    EW_CHECK(database_.finish_rescheduling());
    EW_TRY(const std::size_t failed,
           database_.write_until_known(
               [&](Connection& connection, const Now& now) -> Result<std::size_t> {
                   const std::string& actor = database_.instance_id();
                   EW_TRY(const std::size_t late, fail_late(connection, actor, now));
                   EW_TRY(const std::size_t silent, fail_silent(connection, actor, now));
                   EW_TRY(const std::size_t abandoned, fail_abandoned(connection, actor, now));
                   return late + silent + abandoned;
               }));
    return failed + database_.take_failed_by_claims();
}

Result<void> SqliteJobRetention::restart_silence(const std::function<bool()>& keep_going) {
    const std::int64_t since_us = database_.now().us;
    std::int64_t end_us = INT64_MIN;
    for (;;) {
        EW_TRY(const SilenceBatch batch,
               database_.write_until_known(
                   [&](Connection& connection, const Now& now) -> Result<SilenceBatch> {
                       EW_TRY(SilenceBatch some, silences_from(connection, end_us, since_us));
                       EW_CHECK(see_now(connection, some.job_ids, now));
                       return some;
                   }));
        if (batch.job_ids.size() < limits::kHousekeepingBatch) return {};
        if (keep_going && !keep_going())
            return fail(ErrorCode::kCancelled, "silence of jobs: stopped before all count anew");
        end_us = batch.end_us;
    }
}

Result<bool> SqliteJobRetention::check_retention_clock(std::chrono::seconds tolerance) {
    return database_.write_until_known([&](Connection& connection, const Now& now) -> Result<bool> {
        EW_CHECK(mark_time(connection, now));
        EW_TRY(const std::optional<std::int64_t> last_us, read_setting(connection, kLastRun));
        if (last_us && std::abs(now.wall_us - *last_us) > us_of(tolerance)) {
            EW_CHECK(write_setting(connection, kFound, now.wall_us));
            return false;
        }
        EW_CHECK(write_setting(connection, kLastRun, now.wall_us));
        EW_CHECK(clear_setting(connection, kFound));
        return true;
    });
}

Result<bool> SqliteJobRetention::resume_retention() {
    bool was_paused = false;  // As the first run found it; it may have ended the pause.
    return database_.write_until_known([&](Connection& connection, const Now& now) -> Result<bool> {
        EW_TRY(const std::optional<std::int64_t> found_us, read_setting(connection, kFound));
        was_paused = was_paused || found_us.has_value();
        EW_CHECK(write_setting(connection, kLastRun, now.wall_us));
        EW_CHECK(clear_setting(connection, kFound));
        if (was_paused) EW_CHECK(write_setting(connection, kConfirmed, now.us));
        return was_paused;
    });
}

Result<std::optional<RetentionPause>> SqliteJobRetention::retention_pause() {
    const Now now = database_.now();
    return database_.read([&](Connection& connection) -> Result<std::optional<RetentionPause>> {
        EW_TRY(const std::optional<std::int64_t> found_us, read_setting(connection, kFound));
        if (!found_us) return std::optional<RetentionPause>();
        EW_TRY(const std::optional<std::int64_t> last_us, read_setting(connection, kLastRun));
        return std::optional(RetentionPause{last_us.value_or(0), now.wall_us});
    });
}

Result<std::size_t> SqliteJobRetention::expire_files(std::chrono::seconds age) {
    return database_.write_until_known([&](Connection& connection,
                                           const Now& now) -> Result<std::size_t> {
        EW_TRY(const Before too_old, before(connection, age, now));
        // A file is begun before its job ends: what was begun later is not due, and of what was
        // begun earlier all is due but the files of the few jobs that ran at that moment.
        EW_TRY(const std::vector<std::string> keys,
               sqlite::select_texts(
                   connection,
                   "SELECT file_key FROM file CROSS JOIN job USING (job_id) WHERE state = 'live' "
                   "AND intended_us <= ?1 AND completed_us <= ?1 AND coalesce(ended_us, ?2) <= ?2 "
                   "ORDER BY intended_us LIMIT ?3",
                   too_old.wall_us, too_old.us, kBatch));
        for (const std::string& key : keys) {
            EW_CHECK(withdraw_file(connection, key, "expired", database_.instance_id(),
                                   "older than the daemon keeps files", now));
        }
        return keys.size();
    });
}

Result<Pruned> SqliteJobRetention::prune(std::chrono::seconds age) {
    return database_.write_until_known(
        [&](Connection& connection, const Now& now) -> Result<Pruned> {
            EW_TRY(const Before too_old, before(connection, age, now));
            Pruned out;
            EW_TRY(out.jobs, forget_jobs(connection, too_old));
            EW_TRY(out.notices, forget_notices(connection, too_old));
            EW_TRY(out.accesses, forget_accesses(connection, too_old.wall_us));
            return out;
        });
}

Result<RetentionBacklog> SqliteJobRetention::retention_backlog(std::chrono::seconds file_age,
                                                               std::chrono::seconds job_age) {
    const Now now = database_.now();
    return database_.read([&](Connection& connection) -> Result<RetentionBacklog> {
        EW_TRY(const Before old_files, before(connection, file_age, now));
        EW_TRY(const Before old_jobs, before(connection, job_age, now));
        // No row is before NULL.
        const auto wall_us = [](std::chrono::seconds age, const Before& before) {
            return age.count() > 0 ? std::optional(before.wall_us) : std::nullopt;
        };
        Statement row = connection.statement(
            "SELECT (SELECT count(*) FROM (SELECT 1 FROM file CROSS JOIN job USING (job_id) WHERE "
            "state = 'live' AND intended_us <= ?1 AND completed_us <= ?1 AND coalesce(ended_us, "
            "?4) <= ?4 LIMIT ?3)), "
            "(SELECT count(*) FROM (SELECT 1 FROM job WHERE completed_us IS NOT NULL AND "
            "(runner = 'external' OR file_url = '') AND completed_us <= ?2 AND coalesce(ended_us, "
            "?5) <= ?5 AND NOT EXISTS (SELECT 1 FROM file WHERE file.job_id = job.job_id) "
            "LIMIT ?3)), "
            "(SELECT count(*) FROM (SELECT 1 FROM notice WHERE at_us <= ?2 AND delivery <> "
            "'pending' AND published = 1 AND " EW_JOB_ENDED("?5") " LIMIT ?3))");
        row.bind(wall_us(file_age, old_files), wall_us(job_age, old_jobs),
                 static_cast<std::int64_t>(limits::kRetentionCountMax), old_files.us, old_jobs.us);
        EW_TRY(const bool found, row.step());
        if (!found) return RetentionBacklog();
        return RetentionBacklog{row.integer(0), row.integer(1), row.integer(2)};
    });
}

}  // namespace export_worker::jobs
