#include "daemon/jobs/sqlite/sqlite_job_reader.hpp"

#include <optional>

#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/sqlite/job_rows.hpp"
#include "daemon/jobs/sqlite/notice_rows.hpp"
#include "daemon/jobs/sqlite/waiting.hpp"
#include "daemon/sqlite/rows.hpp"

namespace export_worker::jobs {

using model::Job;
using model::OrganizationScope;
using sqlite::Connection;
using sqlite::Statement;

// What list() asks for, behind the organization.
#define EW_JOB_FILTER " AND (?2 IS NULL OR status = ?2) AND (?3 = '' OR job_type = ?3)"
#define EW_JOB_PAGE " ORDER BY created_us DESC, job_id DESC LIMIT ?4 OFFSET ?5"

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
    const std::optional<std::string_view> status =
        filter.status ? std::optional(model::to_string(*filter.status)) : std::nullopt;
    return database_.read([&](Connection& connection) -> Result<JobPage> {
        JobPage page;
        JobPresenter presenter(connection, database_.policy(), unwritten_holds_, database_.now());
        // A statement for each, so that an organization's listing looks at its own jobs only.
        const bool one = scope.organization_id().has_value();
        {
            Statement count = connection.statement(
                one ? "SELECT count(*) FROM job WHERE organization_id = ?1" EW_JOB_FILTER
                    : "SELECT count(*) FROM job WHERE ?1 IS NULL" EW_JOB_FILTER);
            EW_TRY(const bool counted,
                   count.bind(scope.organization_id(), status, filter.job_type).step());
            page.total = counted ? count.integer(0) : 0;
        }
        Statement rows = connection.statement(
            one ? "SELECT " EW_JOB_COLUMNS
                  " FROM job WHERE organization_id = ?1" EW_JOB_FILTER EW_JOB_PAGE
                : "SELECT " EW_JOB_COLUMNS " FROM job WHERE ?1 IS NULL" EW_JOB_FILTER EW_JOB_PAGE);
        rows.bind(scope.organization_id(), status, filter.job_type,
                  static_cast<std::int64_t>(filter.limit),
                  static_cast<std::int64_t>(filter.offset));
        std::size_t bytes = 0;
        for (;;) {
            EW_TRY(const bool more, rows.step());
            if (!more) return page;
            bytes += job_bytes(rows);
            if (bytes > limits::kJobsPageBytesMax && !page.jobs.empty()) return page;
            EW_TRY(Job job, presenter.present(read_job(rows)));
            page.jobs.push_back(std::move(job));
        }
    });
}

Result<Page<model::JobEvent>> SqliteJobReader::events(const OrganizationScope& scope,
                                                      std::string_view job_id, std::int64_t after) {
    return database_.read([&](Connection& connection) -> Result<Page<model::JobEvent>> {
        std::string trace_id;
        {
            Statement known = connection.statement(
                "SELECT trace_id FROM job WHERE job_id = ?1 AND (?2 IS NULL OR organization_id = "
                "?2)");
            EW_TRY(const bool found, known.bind(job_id, scope.organization_id()).step());
            if (!found) return not_found();
            trace_id = known.string(0);
        }
        Page<model::JobEvent> page;
        Statement rows = connection.statement(
            "SELECT number, at_us, kind, actor, detail, count FROM job_event WHERE job_id = ?1 "
            "AND number > ?2 ORDER BY number LIMIT ?3");
        rows.bind(job_id, after, static_cast<std::int64_t>(limits::kJobEventsPage) + 1);
        std::size_t bytes = 0;
        for (;;) {
            EW_TRY(page.more, rows.step());
            if (!page.more || page.items.size() == limits::kJobEventsPage) return page;
            bytes += rows.text(3).size() + rows.text(4).size();
            if (bytes > limits::kJobsPageBytesMax && !page.items.empty()) return page;
            page.items.push_back({rows.integer(0), rows.integer(1), rows.string(2), rows.string(3),
                                  rows.string(4), rows.integer(5), trace_id});
        }
    });
}

Result<Page<model::Notice>> SqliteJobReader::notices(const OrganizationScope& scope,
                                                     std::int64_t after) {
    return database_.read([&](Connection& connection) {
        Statement rows = connection.statement(
            "SELECT " EW_NOTICE_COLUMNS
            " FROM notice WHERE sequence > ?2 AND (?3 IS NULL OR organization_id = ?3) ORDER BY "
            "sequence LIMIT ?1");
        rows.bind(kNoticeRowsMax, after, scope.organization_id());
        return read_notices(rows);
    });
}

Result<JobCounts> SqliteJobReader::counts() {
    return database_.read([&](Connection& connection) -> Result<JobCounts> {
        JobCounts out;
        Statement rows = connection.statement("SELECT status, count(*) FROM job GROUP BY status");
        {
            Statement waiting = connection.statement(
                "SELECT (SELECT min(due_us) FROM job WHERE status = 'pending' AND runner = "
                "'daemon' AND held = 0), (SELECT count(*) FROM notice WHERE delivery = "
                "'pending')");
            EW_TRY(const bool found, waiting.step());
            if (found && waiting.integer(0) > 0 && waiting.integer(0) <= database_.now().us)
                out.oldest_due_us = database_.wall_of(waiting.integer(0));
            if (found) out.notices_pending = waiting.integer(1);
        }
        out.fenced = fenced_.load();
        EW_CHECK(sqlite::for_each_row(rows, [&](const Statement& row) {
            const std::string_view status = row.text(0);
            std::int64_t& slot = status == "pending"       ? out.pending
                                 : status == "in_progress" ? out.in_progress
                                 : status == "failed"      ? out.failed
                                 : status == "cancelled"   ? out.cancelled
                                                           : out.completed;
            slot += row.integer(1);
        }));
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
