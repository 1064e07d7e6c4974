#include "daemon/jobs/postgres/postgres_job_reader.hpp"

#include "daemon/jobs/postgres/access_rows.hpp"
#include "daemon/jobs/postgres/job_lists.hpp"
#include "daemon/jobs/postgres/job_rows.hpp"
#include "daemon/jobs/postgres/notice_rows.hpp"
#include "daemon/jobs/postgres/waiting.hpp"

namespace export_worker::jobs::pg {

using model::Job;
using model::OrganizationScope;
using postgres::Connection;
using postgres::Row;
using postgres::Rows;
using postgres::UnixTime;

namespace {

// The last column: a published file of a finished job, which nothing changes but its withdrawal.
constexpr const char* kFindFiles =
    "SELECT job_id, organization_id, job_type, status, file_url, filename, content_type, sha256, "
    "runner = 'daemon' AND completed_at IS NOT NULL AND file_url <> '' FROM job WHERE job_id = ANY "
    "($1::text[])";
constexpr int kIsSettledColumn = 8;

void read_file(const Row& row, model::JobFile& file) {
    file.organization_id.assign(row.text(1));
    file.job_type.assign(row.text(2));
    file.status.assign(row.text(3));
    file.file_url.assign(row.text(4));
    file.filename.assign(row.text(5));
    file.content_type.assign(row.text(6));
    file.sha256.assign(row.text(7));
}

}  // namespace

PostgresJobReader::PostgresJobReader(JobDatabase& database, const UnwrittenHolds& unwritten_holds,
                                     const std::atomic<std::int64_t>& fenced,
                                     std::size_t lookup_cache)
    : database_(database),
      unwritten_holds_(unwritten_holds),
      fenced_(fenced),
      lookup_cache_(lookup_cache),
      lookups_(database.database(), kFindFiles),
      files_(lookup_cache, limits::kFileCacheBytesMax),
      file_changes_(database, files_) {}

Result<void> PostgresJobReader::start() {
    return lookup_cache_ > 0 ? file_changes_.start() : Result<void>();
}

Result<Job> PostgresJobReader::find(const OrganizationScope& scope, std::string_view job_id) {
    return database_.read_at([&](Connection& connection, const Now& at) {
        return JobPresenter(connection, database_.policy(), unwritten_holds_, at)
            .load(scope, job_id);
    });
}

Result<void> PostgresJobReader::find_file(const OrganizationScope& scope, std::string_view job_id,
                                          model::JobFile& file) {
    if (file_changes_.is_current()) {
        const FileCache::Found known = files_.find(scope, job_id, file);
        if (known == FileCache::Found::kYes) return {};
        if (known == FileCache::Found::kOutsideScope) return not_found();
    }
    const std::uint64_t generation = files_.generation();
    EW_TRY(const postgres::FoundRow found, lookups_.find(job_id));
    if (found.empty()) return not_found();
    const Row row = found.row();
    const auto& organization_id = scope.organization_id();
    if (organization_id && row.text(1) != *organization_id) return not_found();
    read_file(row, file);
    if (row.boolean(kIsSettledColumn)) files_.add(job_id, file, generation);
    return {};
}

Result<JobPage> PostgresJobReader::list(const OrganizationScope& scope, const JobFilter& filter) {
    return database_.read_at([&](Connection& connection, const Now& at) -> Result<JobPage> {
        EW_TRY(JobPage page, list_jobs(connection, scope, filter));
        JobPresenter presenter(connection, database_.policy(), unwritten_holds_, at);
        for (Job& job : page.jobs) {
            EW_TRY(job, presenter.present(std::move(job)));
        }
        return page;
    });
}

Result<Page<model::JobEvent>> PostgresJobReader::events(const OrganizationScope& scope,
                                                        std::string_view job_id,
                                                        std::int64_t after) {
    return database_.read(
        [&](Connection& connection) { return events_after(connection, scope, job_id, after); });
}

Result<Page<model::Notice>> PostgresJobReader::notices(const OrganizationScope& scope,
                                                       std::int64_t after) {
    EW_CHECK(number_fresh_notices(database_));
    return database_.read([&](Connection& connection) -> Result<Page<model::Notice>> {
        // A statement for each, so that an organization's looks at its own notices only.
        const char* sql =
            scope.organization_id()
                ? "SELECT " EW_PG_NOTICE_COLUMNS
                  " FROM notice WHERE sequence > $2 AND organization_id = $3 ORDER BY sequence "
                  "LIMIT $1"
                : "SELECT " EW_PG_NOTICE_COLUMNS
                  " FROM notice WHERE sequence > $2 AND $3::text IS NULL ORDER BY sequence LIMIT "
                  "$1";
        EW_TRY(const Rows rows,
               connection.query(sql, kNoticeRowsMax, after, scope.organization_id()));
        return notices_of(rows);
    });
}

Result<JobCounts> PostgresJobReader::counts() {
    return database_.read_at([&](Connection& connection, const Now& at) -> Result<JobCounts> {
        JobCounts out;
        EW_TRY(const Rows rows,
               connection.query(
                   "SELECT (SELECT min(due_at) FROM job WHERE status = 'pending' AND runner = "
                   "'daemon' AND NOT held AND due_at <= $1), (SELECT count(*) FROM (SELECT 1 FROM "
                   "notice WHERE delivery = 'pending' LIMIT $2) AS waiting)",
                   UnixTime{at.us}, static_cast<std::int64_t>(limits::kRetentionCountMax)));
        out.oldest_due_us = rows.front().optional_unix_us(0).value_or(0);
        out.notices_pending = rows.front().integer(1);
        out.fenced = fenced_.load();
        EW_CHECK(count_by_status(connection, out));
        return out;
    });
}

Result<WaitingJobs> PostgresJobReader::waiting(std::size_t queues_max) {
    return database_.read([&](Connection& connection) -> Result<WaitingJobs> {
        EW_TRY(const Rows rows,
               connection.query(
                   "SELECT organization_id, pending, (sum(pending) OVER ())::bigint FROM (SELECT "
                   "organization_id, sum(jobs)::bigint AS pending FROM job_counts WHERE runner = "
                   "'daemon' AND status = 'pending' GROUP BY organization_id) AS queues WHERE "
                   "pending > 0 ORDER BY pending DESC, organization_id LIMIT $1",
                   static_cast<std::int64_t>(queues_max)));
        WaitingJobs out;
        for (const Row row : rows) {
            if (out.longest.empty()) out.others = row.integer(2);
            out.longest.push_back({row.string(0), row.integer(1)});
            out.others -= row.integer(1);
        }
        return out;
    });
}

}  // namespace export_worker::jobs::pg
