#include "daemon/jobs/sqlite/job_lists.hpp"

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/sqlite/job_rows.hpp"
#include "daemon/sqlite/rows.hpp"

namespace export_worker::jobs {
namespace {

using model::OrganizationScope;
using sqlite::Connection;
using sqlite::Statement;
using Ids = std::vector<std::string>;

constexpr std::string_view kBehindAllIds = "~";

std::string_view before_of(const JobFilter& filter) {
    return filter.after.empty() ? kBehindAllIds : std::string_view(filter.after);
}

// One more than the page has, so that the last tells whether more follow.
std::size_t ids_wanted(const JobFilter& filter) {
    return filter.offset + filter.limit + 1;
}

std::optional<std::string_view> status_of(const JobFilter& filter) {
    return filter.status ? std::optional(model::to_string(*filter.status)) : std::nullopt;
}

struct Group {
    std::string status;
    std::string job_type;
    std::int64_t jobs = 0;
};

// The jobs that the filter wants, by status and type: as many groups as an organization uses.
Result<std::vector<Group>> groups_of(Connection& connection, const OrganizationScope& scope,
                                     const JobFilter& filter) {
    Statement rows = connection.statement(
        scope.organization_id()
            ? "SELECT status, job_type, jobs FROM job_count WHERE organization_id = ?1 AND (?2 IS "
              "NULL OR status = ?2) AND (?3 = '' OR job_type = ?3)"
            : "SELECT status, job_type, jobs FROM job_count_of_all WHERE ?1 IS NULL AND (?2 IS "
              "NULL "
              "OR status = ?2) AND (?3 = '' OR job_type = ?3)");
    rows.bind(scope.organization_id(), status_of(filter), filter.job_type);
    return sqlite::read_all(rows, [](const Statement& row) {
        return Group{row.string(0), row.string(1), row.integer(2)};
    });
}

Result<Ids> ids_of_all(Connection& connection, const OrganizationScope& scope,
                       const JobFilter& filter) {
    Statement rows = connection.statement(
        scope.organization_id()
            ? "SELECT job_id FROM job WHERE organization_id = ?1 AND job_id < ?2 ORDER BY job_id "
              "DESC LIMIT ?3"
            : "SELECT job_id FROM job WHERE ?1 IS NULL AND job_id < ?2 ORDER BY job_id DESC LIMIT "
              "?3");
    rows.bind(scope.organization_id(), before_of(filter),
              static_cast<std::int64_t>(ids_wanted(filter)));
    return sqlite::read_all(rows, sqlite::first_text);
}

Result<Ids> ids_of_group(Connection& connection, const OrganizationScope& scope,
                         const JobFilter& filter, const Group& group) {
    Statement rows = connection.statement(
        scope.organization_id()
            ? "SELECT job_id FROM job WHERE organization_id = ?1 AND job_type = ?4 AND status = ?5 "
              "AND job_id < ?2 ORDER BY job_id DESC LIMIT ?3"
            : "SELECT job_id FROM job WHERE ?1 IS NULL AND job_type = ?4 AND status = ?5 AND "
              "job_id < ?2 ORDER BY job_id DESC LIMIT ?3");
    rows.bind(scope.organization_id(), before_of(filter),
              static_cast<std::int64_t>(ids_wanted(filter)), group.job_type, group.status);
    return sqlite::read_all(rows, sqlite::first_text);
}

// The newest of each group, merged.
Result<Ids> ids_of_groups(Connection& connection, const OrganizationScope& scope,
                          const JobFilter& filter, const std::vector<Group>& groups) {
    Ids newest;
    for (const Group& group : groups) {
        EW_TRY(const Ids ids, ids_of_group(connection, scope, filter, group));
        const auto middle = newest.insert(newest.end(), ids.begin(), ids.end());
        std::ranges::inplace_merge(newest, middle, std::greater<>());
        if (newest.size() > ids_wanted(filter)) newest.resize(ids_wanted(filter));
    }
    return newest;
}

Result<void> read_page(Connection& connection, const Ids& ids, const JobFilter& filter,
                       JobPage& page) {
    std::size_t bytes = 0;
    for (std::size_t index = filter.offset; index < ids.size(); ++index) {
        page.more = true;
        if (page.jobs.size() == filter.limit) return {};
        Statement row =
            connection.statement("SELECT " EW_JOB_COLUMNS " FROM job WHERE job_id = ?1");
        EW_TRY(const bool found, row.bind(ids[index]).step());
        if (!found) return fail(ErrorCode::kInternal, "list: the job was there a moment ago");
        bytes += job_bytes(row);
        if (bytes > limits::kJobsPageBytesMax && !page.jobs.empty()) return {};
        page.jobs.push_back(read_job(row));
    }
    page.more = false;
    return {};
}

}  // namespace

Result<JobPage> list_jobs(Connection& connection, const OrganizationScope& scope,
                          const JobFilter& filter) {
    JobPage page;
    EW_TRY(const std::vector<Group> groups, groups_of(connection, scope, filter));
    for (const Group& group : groups) page.total += group.jobs;
    const bool all = !filter.status && filter.job_type.empty();
    EW_TRY(const Ids ids, all ? ids_of_all(connection, scope, filter)
                              : ids_of_groups(connection, scope, filter, groups));
    EW_CHECK(read_page(connection, ids, filter, page));
    return page;
}

Result<void> count_by_status(Connection& connection, JobCounts& out) {
    Statement rows =
        connection.statement("SELECT status, sum(jobs) FROM job_count_of_all GROUP BY status");
    return sqlite::for_each_row(rows, [&](const Statement& row) {
        const std::string_view status = row.text(0);
        std::int64_t& slot = status == "pending"       ? out.pending
                             : status == "in_progress" ? out.in_progress
                             : status == "failed"      ? out.failed
                             : status == "cancelled"   ? out.cancelled
                                                       : out.completed;
        slot += row.integer(1);
    });
}

}  // namespace export_worker::jobs
