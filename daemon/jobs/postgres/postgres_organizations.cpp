#include "daemon/jobs/postgres/postgres_organizations.hpp"

#include <optional>
#include <string>

#include "base/in_memory_error.hpp"
#include "daemon/jobs/limits.hpp"

namespace export_worker::jobs::pg {
namespace {

using postgres::Connection;
using postgres::Row;
using postgres::Rows;

// What read_organization() reads.
#define EW_PG_ORGANIZATION_COLUMNS                                                               \
    "organization_id, running_max, weight, held, "                                               \
    "coalesce((SELECT sum(jobs) FROM job_counts AS c WHERE c.organization_id = "                 \
    "organization.organization_id AND status = 'pending' AND runner = 'daemon'), 0)::bigint AS " \
    "pending, running, "                                                                         \
    "coalesce((SELECT sum(jobs) FROM job_counts AS c WHERE c.organization_id = "                 \
    "organization.organization_id AND status IN ('pending', 'in_progress')), 0)::bigint AS "     \
    "unfinished, stored_bytes, unfinished_max, stored_bytes_max, requests_per_second_max"

std::optional<int> as_int(const std::optional<std::int64_t>& value) {
    return value ? std::optional(static_cast<int>(*value)) : std::nullopt;
}

OrganizationState read_organization(const Row& row) {
    OrganizationState state;
    state.policy.organization_id = row.string(0);
    state.policy.running_max = as_int(row.optional_integer(1));
    state.policy.weight = static_cast<int>(row.integer(2));
    state.policy.held = row.boolean(3);
    state.pending = row.integer(4);
    state.running = row.integer(5);
    state.unfinished = row.integer(6);
    state.stored_bytes = row.integer(7);
    state.policy.unfinished_max = row.optional_integer(8);
    state.policy.stored_bytes_max = row.optional_integer(9);
    state.policy.requests_per_second_max = as_int(row.optional_integer(10));
    return state;
}

}  // namespace

Result<void> PostgresOrganizations::read_request_quotas() {
    return database_.read([&](Connection& connection) -> Result<void> {
        EW_TRY(const Rows rows,
               connection.query("SELECT organization_id, requests_per_second_max FROM organization "
                                "WHERE requests_per_second_max IS NOT NULL"));
        for (const Row row : rows)
            request_quotas_.set(row.text(0), static_cast<int>(row.integer(1)));
        return {};
    });
}

Result<void> PostgresOrganizations::set_organization(const OrganizationPolicy& policy) {
    const auto written = database_.write_until_known([&](Connection& connection, const Now&) {
        return connection.change(
            "INSERT INTO organization (organization_id, running_max, weight, held, unfinished_max, "
            "stored_bytes_max, requests_per_second_max) VALUES ($1, $2, $3, $4, $5, $6, $7) ON "
            "CONFLICT (organization_id) DO UPDATE SET running_max = $2, weight = $3, held = $4, "
            "unfinished_max = $5, stored_bytes_max = $6, requests_per_second_max = $7",
            policy.organization_id, policy.running_max, policy.weight, policy.held,
            policy.unfinished_max, policy.stored_bytes_max, policy.requests_per_second_max);
    });
    if (written || policy.held) unwritten_holds_.set(policy.organization_id, !written);
    if (!written && policy.held)
        return fail(in_memory_error("The organization '" + policy.organization_id + "' is held",
                                    written.error()));
    EW_CHECK(written);
    request_quotas_.set(policy.organization_id, policy.requests_per_second_max);
    return {};
}

Result<Page<OrganizationState>> PostgresOrganizations::organizations(std::string_view after) {
    return database_.read([&](Connection& connection) -> Result<Page<OrganizationState>> {
        EW_TRY(const Rows rows,
               connection.query(
                   "SELECT * FROM (SELECT " EW_PG_ORGANIZATION_COLUMNS
                   " FROM organization WHERE organization_id > $1) AS o WHERE pending > 0 OR "
                   "running > 0 OR running_max IS NOT NULL OR weight <> 1 OR held OR "
                   "unfinished_max IS NOT NULL OR stored_bytes_max IS NOT NULL OR "
                   "requests_per_second_max IS NOT NULL ORDER BY organization_id LIMIT $2",
                   after, static_cast<std::int64_t>(limits::kOrganizationsPage) + 1));
        Page<OrganizationState> page;
        for (const Row row : rows) {
            page.more = page.items.size() == limits::kOrganizationsPage;
            if (page.more) break;
            page.items.push_back(read_organization(row));
            add_unwritten_hold(page.items.back());
        }
        return page;
    });
}

Result<OrganizationState> PostgresOrganizations::organization(std::string_view id) {
    return database_.read([&](Connection& connection) -> Result<OrganizationState> {
        EW_TRY(const Rows rows, connection.query("SELECT " EW_PG_ORGANIZATION_COLUMNS
                                                 " FROM organization WHERE organization_id = $1",
                                                 id));
        OrganizationState state;
        state.policy.organization_id = id;
        if (!rows.empty()) state = read_organization(rows.front());
        add_unwritten_hold(state);
        return state;
    });
}

void PostgresOrganizations::add_unwritten_hold(OrganizationState& state) const {
    if (unwritten_holds_.contains(state.policy.organization_id)) state.policy.held = true;
}

}  // namespace export_worker::jobs::pg
