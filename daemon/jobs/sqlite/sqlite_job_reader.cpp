#include "daemon/jobs/sqlite/sqlite_job_reader.hpp"

#include <optional>

#include "daemon/jobs/sqlite/access_rows.hpp"
#include "daemon/jobs/sqlite/job_lists.hpp"
#include "daemon/jobs/sqlite/job_rows.hpp"
#include "daemon/jobs/sqlite/notice_rows.hpp"
#include "daemon/jobs/sqlite/waiting.hpp"
#include "daemon/sqlite/rows.hpp"

namespace export_worker::jobs {

using model::Job;
using model::OrganizationScope;
using sqlite::Connection;
using sqlite::Statement;

Result<Job> SqliteJobReader::find(const OrganizationScope& scope, std::string_view job_id) {
    return database_.read([&](Connection& connection) {
        return JobPresenter(connection, database_.policy(), unwritten_holds_, database_.now())
            .load(scope, job_id);
    });
}

Result<void> SqliteJobReader::find_file(const OrganizationScope& scope, std::string_view job_id,
                                        model::JobFile& file) {
    return database_.read([&](Connection& connection) -> Result<void> {
        Statement row = connection.statement(
            "SELECT organization_id, job_type, status, file_url, filename, "
            "content_type, sha256 FROM job "
            "WHERE job_id = ?1 AND (?2 IS NULL OR organization_id = ?2)");
        EW_TRY(const bool found, row.bind(job_id, scope.organization_id()).step());
        if (!found) return not_found();
        file.organization_id.assign(row.text(0));
        file.job_type.assign(row.text(1));
        file.status.assign(row.text(2));
        file.file_url.assign(row.text(3));
        file.filename.assign(row.text(4));
        file.content_type.assign(row.text(5));
        file.sha256.assign(row.text(6));
        return {};
    });
}

Result<JobPage> SqliteJobReader::list(const OrganizationScope& scope, const JobFilter& filter) {
    return database_.read([&](Connection& connection) -> Result<JobPage> {
        EW_TRY(JobPage page, list_jobs(connection, scope, filter));
        JobPresenter presenter(connection, database_.policy(), unwritten_holds_, database_.now());
        for (Job& job : page.jobs) {
            EW_TRY(job, presenter.present(std::move(job)));
        }
        return page;
    });
}

Result<Page<model::JobEvent>> SqliteJobReader::events(const OrganizationScope& scope,
                                                      std::string_view job_id, std::int64_t after) {
    return database_.read(
        [&](Connection& connection) { return events_after(connection, scope, job_id, after); });
}

Result<Page<model::Notice>> SqliteJobReader::notices(const OrganizationScope& scope,
                                                     std::int64_t after) {
    return database_.read([&](Connection& connection) {
        // A statement for each, so that an organization's looks at its own notices only.
        Statement rows = connection.statement(
            scope.organization_id()
                ? "SELECT " EW_NOTICE_COLUMNS
                  " FROM notice WHERE sequence > ?2 AND organization_id = ?3 ORDER BY sequence "
                  "LIMIT ?1"
                : "SELECT " EW_NOTICE_COLUMNS
                  " FROM notice WHERE sequence > ?2 AND ?3 IS NULL ORDER BY sequence LIMIT ?1");
        rows.bind(kNoticeRowsMax, after, scope.organization_id());
        return read_notices(rows);
    });
}

Result<JobCounts> SqliteJobReader::counts() {
    return database_.read([&](Connection& connection) -> Result<JobCounts> {
        JobCounts out;
        {
            Statement waiting = connection.statement(
                "SELECT (SELECT min(due_us) FROM job WHERE status = 'pending' AND runner = "
                "'daemon' AND held = 0), (SELECT value FROM setting WHERE name = "
                "'notices_pending')");
            EW_TRY(const bool found, waiting.step());
            if (found && waiting.integer(0) > 0 && waiting.integer(0) <= database_.now().us)
                out.oldest_due_us = database_.wall_of(waiting.integer(0));
            if (found) out.notices_pending = waiting.integer(1);
        }
        out.fenced = fenced_.load();
        EW_CHECK(count_by_status(connection, out));
        return out;
    });
}

Result<WaitingJobs> SqliteJobReader::waiting(std::size_t queues_max) {
    return database_.read([&](Connection& connection) -> Result<WaitingJobs> {
        WaitingJobs out;
        Statement rows = connection.statement(
            "SELECT organization_id, pending, sum(pending) OVER () FROM organization WHERE pending "
            "> 0 "
            "ORDER BY pending DESC, organization_id LIMIT ?1");
        rows.bind(static_cast<std::int64_t>(queues_max));
        EW_CHECK(sqlite::for_each_row(rows, [&](const Statement& row) {
            if (out.longest.empty()) out.others = row.integer(2);
            out.longest.push_back({row.string(0), row.integer(1)});
            out.others -= row.integer(1);
        }));
        return out;
    });
}

}  // namespace export_worker::jobs
