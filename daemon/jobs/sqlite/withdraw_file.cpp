#include "daemon/jobs/sqlite/withdraw_file.hpp"

#include <string>

#include "daemon/jobs/job_metadata.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/sqlite/job_rows.hpp"
#include "daemon/jobs/sqlite/settings.hpp"

namespace export_worker::jobs {

using sqlite::Connection;
using sqlite::Statement;

Result<void> withdraw_file(Connection& connection, const model::FileKey& key,
                           std::string_view event, std::string_view actor, std::string_view reason,
                           const Now& now) {
    std::string job_id;
    {
        Statement row = connection.statement(
            "UPDATE file SET state = 'expiring', delete_after_us = max(?2 + coalesce((SELECT value "
            "FROM setting WHERE name = ?3), 0), coalesce((SELECT value FROM setting WHERE name = "
            "?4), 0)) WHERE file_key = ?1 AND state = 'live' RETURNING job_id");
        row.bind(key, now.us + us_of(limits::kFileDeletionMargin), kLinkLifetime, kLinksEnd);
        EW_TRY(const bool found, row.step());
        if (!found) return {};
        job_id = row.string(0);
        EW_TRY(const bool more, row.step());
        (void)more;
    }
    EW_TRY(const model::Job job, load_row(connection, model::OrganizationScope::every(), job_id));
    EW_CHECK(connection
                 .statement("UPDATE job SET file_url = '', expired_us = ?2, metadata = ?3 WHERE "
                            "job_id = ?1")
                 .bind(job_id, now.wall_us, without_file_url(job.metadata_json))
                 .run());
    EW_CHECK(append_event(connection, job_id, {event, actor, reason}, now));
    return append_notice(connection, job, "job.expired", now);
}

}  // namespace export_worker::jobs
