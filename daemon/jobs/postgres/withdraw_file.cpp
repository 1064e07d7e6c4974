#include "daemon/jobs/postgres/withdraw_file.hpp"

#include <algorithm>
#include <string>

#include "daemon/jobs/job_metadata.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/notice_body.hpp"
#include "daemon/jobs/postgres/job_rows.hpp"
#include "daemon/jobs/postgres/notice_rows.hpp"
#include "daemon/jobs/postgres/settings.hpp"

namespace export_worker::jobs::pg {
namespace {

using postgres::Connection;
using postgres::Rows;
using postgres::UnixTime;

Result<std::int64_t> end_of_links(Connection& connection, const Now& now) {
    EW_TRY(const auto lifetime_us, read_setting(connection, kLinkLifetime));
    EW_TRY(const auto end_us, read_setting(connection, kLinksEnd));
    return std::max(now.us + us_of(limits::kFileDeletionMargin) + lifetime_us.value_or(0),
                    end_us.value_or(0));
}

}  // namespace

Result<std::string> withdraw_file(Connection& connection, const model::FileKey& key,
                                  std::string_view event, std::string_view actor,
                                  std::string_view reason, const Now& now) {
    EW_TRY(const std::int64_t links_end_us, end_of_links(connection, now));
    // The job first, as everywhere: its lock is who waits for whom.
    EW_TRY(const Rows jobs,
           connection.query("SELECT " EW_PG_JOB_COLUMNS
                            " FROM job WHERE job_id = (SELECT job_id FROM file WHERE file_key = "
                            "$1 AND state = 'live') FOR NO KEY UPDATE",
                            key));
    if (jobs.empty()) return std::string();
    EW_TRY(const Rows withdrawn,
           connection.query("UPDATE file SET state = 'expiring', delete_after = $2 WHERE file_key "
                            "= $1 AND state = 'live'",
                            key, UnixTime{links_end_us}));
    if (withdrawn.changed() == 0) return std::string();
    model::Job job = read_job(jobs.front());
    job.metadata_json = without_file_url(job.metadata_json);
    EW_CHECK(connection.change(
        "UPDATE job SET file_url = '', expired_at = $2, metadata = $3 WHERE job_id = $1",
        job.job_id, UnixTime{now.wall_us}, job.metadata_json));
    EW_CHECK(append_event(connection, {job.job_id, std::string(event), std::string(reason)}, actor,
                          now));
    const model::Notice notice = make_notice(job, "job.expired", now.wall_us);
    EW_CHECK(append_notices(connection, std::span(&notice, 1), now));
    return std::move(job.job_id);
}

}  // namespace export_worker::jobs::pg
