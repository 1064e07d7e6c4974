#include "daemon/jobs/postgres/job_lists.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/postgres/job_rows.hpp"

namespace export_worker::jobs::pg {
namespace {

using model::OrganizationScope;
using postgres::Connection;
using postgres::Row;
using postgres::Rows;
using Ids = std::vector<std::string>;

constexpr std::string_view kBehindAllIds = "~";

std::string_view before_of(const JobFilter& filter) {
    return filter.after.empty() ? kBehindAllIds : std::string_view(filter.after);
}

// One more than the page has, so that the last tells whether more follow.
std::int64_t ids_wanted(const JobFilter& filter) {
    return static_cast<std::int64_t>(filter.offset + filter.limit + 1);
}

// The jobs that the filter wants, by status and type: as many groups as an organization uses.
struct Groups {
    std::vector<std::string> statuses;
    std::vector<std::string> job_types;
    std::int64_t jobs = 0;
};

Result<Groups> groups_of(Connection& connection, const OrganizationScope& scope,
                         const JobFilter& filter) {
    const auto status =
        filter.status ? std::optional(model::to_string(*filter.status)) : std::nullopt;
    const char* sql =
        scope.organization_id()
            ? "SELECT status, job_type, sum(jobs)::bigint FROM job_counts WHERE organization_id = "
              "$1 AND ($2::text IS NULL OR status = $2) AND ($3 = '' OR job_type = $3) GROUP BY "
              "status, job_type HAVING sum(jobs) > 0"
            : "SELECT status, job_type, sum(jobs)::bigint FROM job_counts_of_all WHERE $1::text "
              "IS NULL AND ($2::text IS NULL OR status = $2) AND ($3 = '' OR job_type = $3) GROUP "
              "BY status, job_type HAVING sum(jobs) > 0";
    EW_TRY(const Rows rows,
           connection.query(sql, scope.organization_id(), status, filter.job_type));
    Groups out;
    for (const Row row : rows) {
        out.statuses.push_back(row.string(0));
        out.job_types.push_back(row.string(1));
        out.jobs += row.integer(2);
    }
    return out;
}

// Newest first: ids, and how much text each has.
Result<Rows> ids_of_all(Connection& connection, const OrganizationScope& scope,
                        const JobFilter& filter) {
    const char* sql =
        scope.organization_id()
            ? "SELECT job_id, octet_length(spec) + octet_length(metadata) FROM job WHERE "
              "organization_id = $1 AND job_id < $2 ORDER BY job_id DESC LIMIT $3"
            : "SELECT job_id, octet_length(spec) + octet_length(metadata) FROM job WHERE $1::text "
              "IS NULL AND job_id < $2 ORDER BY job_id DESC LIMIT $3";
    return connection.query(sql, scope.organization_id(), before_of(filter), ids_wanted(filter));
}

// The newest of each group, merged.
Result<Rows> ids_of_groups(Connection& connection, const OrganizationScope& scope,
                           const JobFilter& filter, const Groups& groups) {
#define EW_PG_IDS_OF_GROUPS(whose)                                                              \
    "SELECT newest.job_id, newest.bytes FROM unnest($4::text[], $5::text[]) AS g (status, "     \
    "job_type) CROSS JOIN LATERAL (SELECT job_id, octet_length(spec) + octet_length(metadata) " \
    "AS bytes FROM job WHERE " whose                                                            \
    " AND job.job_type = g.job_type AND job.status = g.status AND job_id < $2 ORDER BY job_id " \
    "DESC LIMIT $3) AS newest ORDER BY newest.job_id DESC LIMIT $3"
    const char* sql = scope.organization_id() ? EW_PG_IDS_OF_GROUPS("organization_id = $1")
                                              : EW_PG_IDS_OF_GROUPS("$1::text IS NULL");
    return connection.query(sql, scope.organization_id(), before_of(filter), ids_wanted(filter),
                            groups.statuses, groups.job_types);
}

// The ids that fit the page.
Ids cut_page(const Rows& rows, const JobFilter& filter, JobPage& page) {
    constexpr std::size_t kOtherColumns = 1024;
    Ids out;
    std::size_t bytes = 0;
    for (int index = static_cast<int>(filter.offset); index < rows.size(); ++index) {
        page.more = true;
        bytes += kOtherColumns + static_cast<std::size_t>(rows[index].integer(1));
        const bool is_full =
            out.size() == filter.limit || (bytes > limits::kJobsPageBytesMax && !out.empty());
        if (is_full) return out;
        out.push_back(rows[index].string(0));
    }
    page.more = false;
    return out;
}

}  // namespace

Result<JobPage> list_jobs(Connection& connection, const OrganizationScope& scope,
                          const JobFilter& filter) {
    JobPage page;
    EW_TRY(const Groups groups, groups_of(connection, scope, filter));
    page.total = groups.jobs;
    const bool all = !filter.status && filter.job_type.empty();
    EW_TRY(const Rows found, all ? ids_of_all(connection, scope, filter)
                                 : ids_of_groups(connection, scope, filter, groups));
    const Ids ids = cut_page(found, filter, page);
    EW_TRY(const Rows rows, connection.query("SELECT " EW_PG_JOB_COLUMNS
                                             " FROM job WHERE job_id = ANY ($1::text[]) ORDER BY "
                                             "job_id DESC",
                                             ids));
    page.jobs = rows.each(read_job);
    return page;
}

Result<void> count_by_status(Connection& connection, JobCounts& out) {
    EW_TRY(const Rows rows, connection.query("SELECT status, sum(jobs)::bigint FROM "
                                             "job_counts_of_all GROUP BY status"));
    for (const Row row : rows) {
        const std::string_view status = row.text(0);
        std::int64_t& slot = status == "pending"       ? out.pending
                             : status == "in_progress" ? out.in_progress
                             : status == "failed"      ? out.failed
                             : status == "cancelled"   ? out.cancelled
                                                       : out.completed;
        slot += row.integer(1);
    }
    return {};
}

Result<std::size_t> fold_counts(Connection& connection) {
    // In the order of their keys, so that two daemons do not wait for each other.
    EW_TRY(const Rows rows,
           connection.query(
               "WITH taken AS (DELETE FROM job_count_change WHERE ctid = ANY (ARRAY(SELECT ctid "
               "FROM job_count_change LIMIT $1 FOR UPDATE SKIP LOCKED)) RETURNING *), "
               "added AS (INSERT INTO job_count SELECT organization_id, runner, status, job_type, "
               "sum(jobs) FROM taken GROUP BY 1, 2, 3, 4 HAVING sum(jobs) <> 0 ORDER BY 1, 2, 3, 4 "
               "ON CONFLICT (organization_id, runner, status, job_type) DO UPDATE SET jobs = "
               "job_count.jobs + excluded.jobs), "
               "added_to_all AS (INSERT INTO job_count_of_all SELECT status, job_type, sum(jobs) "
               "FROM taken GROUP BY 1, 2 HAVING sum(jobs) <> 0 ORDER BY 1, 2 ON CONFLICT (status, "
               "job_type) DO UPDATE SET jobs = job_count_of_all.jobs + excluded.jobs) "
               "SELECT count(*) FROM taken",
               static_cast<std::int64_t>(limits::kCountChangesMax)));
    // What has become nothing is of no use to lists.
    EW_CHECK(connection.change("DELETE FROM job_count WHERE jobs = 0"));
    EW_CHECK(connection.change("DELETE FROM job_count_of_all WHERE jobs = 0"));
    return static_cast<std::size_t>(rows.front().integer(0));
}

}  // namespace export_worker::jobs::pg
