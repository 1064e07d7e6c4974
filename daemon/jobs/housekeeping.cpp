#include "daemon/jobs/housekeeping.hpp"

#include <string>
#include <vector>

#include "daemon/jobs/limits.hpp"
#include "daemon/sqlite/rows.hpp"

namespace export_worker::jobs {
namespace {

using sqlite::Connection;
using sqlite::Statement;

constexpr auto kBatch = static_cast<std::int64_t>(limits::kHousekeepingBatch);

// The first column of all rows.
template <typename... Values>
Result<std::vector<std::string>> select_texts(Connection& connection, const char* sql,
                                              const Values&... values) {
    Statement rows = connection.statement(sql);
    rows.bind(values...);
    return sqlite::read_all(rows, sqlite::first_text);
}

Result<void> fail_job(Connection& connection, std::string_view job_id, std::string_view why,
                      std::string_view actor, const Now& now) {
    EW_CHECK(connection
                 .statement("UPDATE job SET status = 'failed', completed_us = ?2, stage = '', "
                            "error_message = ?3 WHERE job_id = ?1")
                 .bind(job_id, now.wall_us, why)
                 .run());
    return record_end_of(connection, job_id, actor, now);
}

Result<std::string> why_late(Connection& connection, std::string_view job_id) {
    Statement row = connection.statement(
        "SELECT stored_bytes_max, stored_bytes FROM job JOIN organization USING (organization_id) "
        "WHERE job_id = ?1 AND status = 'pending' AND runner = 'daemon' AND stored_bytes >= "
        "stored_bytes_max");
    EW_TRY(const bool over_quota, row.bind(job_id).step());
    if (!over_quota) return std::string("its deadline has passed");
    return "its deadline has passed while it waited: its organization may store " +
           std::to_string(row.integer(0)) + " bytes of exports, and stores " +
           std::to_string(row.integer(1)) + "; retry it when some have expired";
}

// Somebody else's jobs say by themselves how long they may be silent.
Result<std::size_t> fail_silent(Connection& connection, std::string_view actor, const Now& now) {
    EW_TRY(const std::vector<std::string> silent,
           select_texts(
               connection,
               "SELECT job_id FROM job WHERE silence_us IS NOT NULL AND status = 'in_progress' AND "
               "seen_us + silence_us < ?1 LIMIT ?2",
               now.us, kBatch));
    for (const std::string& job_id : silent) {
        EW_CHECK(fail_job(connection, job_id,
                          "its worker has not reported for longer than the job allows", actor,
                          now));
    }
    return silent.size();
}

// Nobody may ever report on them again, and what never ends is never pruned.
Result<std::size_t> fail_abandoned(Connection& connection, std::string_view actor, const Now& now) {
    EW_TRY(const std::vector<std::string> abandoned,
           select_texts(connection,
                        "SELECT job_id FROM job WHERE runner = 'external' AND completed_us IS NULL "
                        "AND coalesce(seen_us, due_us) <= ?1 ORDER BY coalesce(seen_us, due_us) "
                        "LIMIT ?2",
                        now.us - us_of(limits::kExternalSilenceMax), kBatch));
    for (const std::string& job_id : abandoned) {
        EW_CHECK(
            fail_job(connection, job_id, "no worker has reported on it for 30 days", actor, now));
    }
    return abandoned.size();
}

}  // namespace

Result<std::size_t> rescue_jobs(Connection& connection, std::string_view instance_id,
                                const Now& now) {
    EW_TRY(
        const std::vector<std::string> orphaned,
        select_texts(
            connection,
            "SELECT job_id FROM job WHERE status = 'in_progress' AND runner = 'daemon' AND owner "
            "<> ?1 LIMIT ?2",
            instance_id, kBatch));
    for (const std::string& job_id : orphaned) {
        // The attempt is given back: the job did not fail, its process died. Too many deaths and it
        // is the job.
        EW_CHECK(
            connection
                .statement(
                    "UPDATE job SET crashes = crashes + 1, attempt = attempt - 1, due_us = ?2, "
                    "owner = '', stage = '', "
                    "status = CASE WHEN cancel_us IS NOT NULL THEN 'cancelled' "
                    "WHEN crashes + 1 >= ?3 THEN 'failed' ELSE 'pending' END, "
                    "completed_us = iif(cancel_us IS NOT NULL OR crashes + 1 >= ?3, ?4, NULL), "
                    "error_message = iif(crashes + 1 >= ?3, "
                    "'the daemon died repeatedly while it ran this job', error_message) "
                    "WHERE job_id = ?1")
                .bind(job_id, now.us, limits::kJobCrashesMax, now.wall_us)
                .run());
        EW_TRY(const model::Job job,
               load_row(connection, model::OrganizationScope::every(), job_id));
        if (model::is_final(job.status)) {
            EW_CHECK(record_end(connection, job, instance_id, now));
        } else {
            EW_CHECK(append_event(connection, {job_id, "rescued", std::string(instance_id), "", 1},
                                  now));
        }
    }
    return orphaned.size();
}

Result<std::size_t> enforce_limits(Connection& connection, std::string_view instance_id,
                                   const Now& now) {
    EW_TRY(const std::vector<std::string> late,
           select_texts(
               connection,
               "SELECT job_id FROM job WHERE deadline_us IS NOT NULL AND status IN ('pending', "
               "'in_progress') AND deadline_us <= ?1 ORDER BY deadline_us LIMIT ?2",
               now.us, kBatch));
    for (const std::string& job_id : late) {
        EW_TRY(const std::string why, why_late(connection, job_id));
        EW_CHECK(fail_job(connection, job_id, why, instance_id, now));
    }
    EW_TRY(const std::size_t silent, fail_silent(connection, instance_id, now));
    EW_TRY(const std::size_t abandoned, fail_abandoned(connection, instance_id, now));
    return late.size() + silent + abandoned;
}

Result<void> restart_silence(Connection& connection, const Now& now) {
    return connection
        .statement(
            "UPDATE job SET seen_us = ?1 WHERE silence_us IS NOT NULL AND "
            "status = 'in_progress'")
        .bind(now.us)
        .run();
}

Result<void> withdraw_file(Connection& connection, const model::FileKey& key,
                           std::string_view event, std::string_view actor, std::string_view reason,
                           const Now& now) {
    std::string job_id;
    {
        Statement row = connection.statement(
            "UPDATE file SET state = 'expiring' WHERE file_key = ?1 AND state = 'live' RETURNING "
            "job_id");
        EW_TRY(const bool found, row.bind(key).step());
        if (!found) return {};
        job_id = row.string(0);
        EW_TRY(const bool more, row.step());
        (void)more;
    }
    EW_CHECK(connection
                 .statement("UPDATE job SET file_url = '', expired_us = ?2, metadata = "
                            "json_remove(metadata, '$.file_url') WHERE job_id = ?1")
                 .bind(job_id, now.wall_us)
                 .run());
    EW_CHECK(append_event(
        connection, {job_id, std::string(event), std::string(actor), std::string(reason), 1}, now));
    EW_TRY(const model::Job job, load_row(connection, model::OrganizationScope::every(), job_id));
    return append_notice(connection, job, "job.expired", now);
}

Result<std::size_t> expire_files(Connection& connection, std::string_view instance_id,
                                 std::chrono::seconds age, const Now& now) {
    EW_TRY(const std::vector<std::string> keys,
           select_texts(
               connection,
               "SELECT file_key FROM job CROSS JOIN file USING (job_id) WHERE completed_us IS NOT "
               "NULL AND completed_us <= ?1 AND state = 'live' ORDER BY completed_us LIMIT ?2",
               now.wall_us - us_of(age), kBatch));
    for (const std::string& key : keys) {
        EW_CHECK(withdraw_file(connection, key, "expired", instance_id,
                               "older than the daemon keeps files", now));
    }
    return keys.size();
}

Result<std::optional<std::chrono::microseconds>> oldest_file_age(Connection& connection,
                                                                 const Now& now) {
    Statement row = connection.statement(
        "SELECT completed_us FROM job WHERE job_id = (SELECT job_id FROM file WHERE state = 'live' "
        "ORDER BY intended_us LIMIT 1)");
    EW_TRY(const bool found, row.step());
    if (!found) return std::optional<std::chrono::microseconds>();
    return std::optional(std::chrono::microseconds(now.wall_us - row.integer(0)));
}

Result<Pruned> prune_jobs(Connection& connection, std::chrono::seconds age, const Now& now) {
    const std::int64_t before_us = now.wall_us - us_of(age);
    // Whatever still has a file, published or not, is left until that is gone.
    EW_CHECK(connection
                 .statement("DELETE FROM job WHERE job_id IN (SELECT job_id FROM job WHERE "
                            "completed_us IS NOT NULL AND completed_us <= ?1 AND NOT EXISTS "
                            "(SELECT 1 FROM file WHERE file.job_id = job.job_id) ORDER BY "
                            "completed_us LIMIT ?2)")
                 .bind(before_us, kBatch)
                 .run());
    Pruned out;
    out.jobs = static_cast<std::size_t>(connection.changes());
    EW_CHECK(connection
                 .statement("DELETE FROM notice WHERE sequence IN (SELECT sequence FROM notice "
                            "WHERE at_us <= ?1 AND delivery <> 'pending' AND published = 1 ORDER "
                            "BY at_us LIMIT ?2)")
                 .bind(before_us, kBatch)
                 .run());
    out.notices = static_cast<std::size_t>(connection.changes());
    return out;
}

}  // namespace export_worker::jobs
