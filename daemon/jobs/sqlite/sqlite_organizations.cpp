#include "daemon/jobs/sqlite/sqlite_organizations.hpp"

#include <optional>
#include <string>

#include "base/in_memory_error.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/sqlite/rows.hpp"

namespace export_worker::jobs {
namespace {

using sqlite::Connection;
using sqlite::Statement;

// What read_organization() reads.
#define EW_ORGANIZATION_COLUMNS                                                              \
    "organization_id, running_max, weight, held, pending, running, (SELECT "                 \
    "coalesce(sum(jobs), 0) FROM job_count WHERE job_count.organization_id = "               \
    "organization.organization_id AND status IN ('pending', 'in_progress')), stored_bytes, " \
    "unfinished_max, stored_bytes_max, requests_per_second_max"

OrganizationState read_organization(const Statement& row) {
    const auto as_int = [](const std::optional<std::int64_t>& value) {
        return value ? std::optional(static_cast<int>(*value)) : std::nullopt;
    };
    OrganizationState state;
    state.policy.organization_id = row.string(0);
    state.policy.running_max = as_int(row.optional_integer(1));
    state.policy.weight = static_cast<int>(row.integer(2));
    state.policy.held = row.integer(3) != 0;
    state.pending = row.integer(4);
    state.running = row.integer(5);
    state.unfinished = row.integer(6);
    state.stored_bytes = row.integer(7);
    state.policy.unfinished_max = row.optional_integer(8);
    state.policy.stored_bytes_max = row.optional_integer(9);
    state.policy.requests_per_second_max = as_int(row.optional_integer(10));
    return state;
}

Result<void> write_policy(Connection& connection, const OrganizationPolicy& policy) {
    const auto as_integer = [](const std::optional<int>& value) {
        return value ? std::optional<std::int64_t>(*value) : std::nullopt;
    };
    return connection
        .statement(
            "INSERT INTO organization (organization_id, running_max, weight, held, unfinished_max, "
            "stored_bytes_max, requests_per_second_max) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON "
            "CONFLICT DO UPDATE SET running_max = ?2, weight = ?3, held = ?4, unfinished_max = ?5, "
            "stored_bytes_max = ?6, requests_per_second_max = ?7")
        .bind(policy.organization_id, as_integer(policy.running_max), policy.weight,
              policy.held ? 1 : 0, policy.unfinished_max, policy.stored_bytes_max,
              as_integer(policy.requests_per_second_max))
        .run();
}

}  // namespace

Result<void> SqliteOrganizations::read_request_quotas() {
    return database_.read([&](Connection& connection) -> Result<void> {
        Statement rows = connection.statement(
            "SELECT organization_id, requests_per_second_max FROM organization WHERE "
            "requests_per_second_max IS NOT NULL");
        return sqlite::for_each_row(rows, [&](const Statement& row) {
            request_quotas_.set(row.text(0), static_cast<int>(row.integer(1)));
        });
    });
}

Result<void> SqliteOrganizations::set_organization(const OrganizationPolicy& policy) {
    const auto written = database_.write_until_known(
        [&](Connection& connection, const Now&) { return write_policy(connection, policy); });
    if (written || policy.held) unwritten_holds_.set(policy.organization_id, !written);
    if (!written && policy.held)
        return fail(in_memory_error("The organization '" + policy.organization_id + "' is held",
                                    written.error()));
    EW_CHECK(written);
    request_quotas_.set(policy.organization_id, policy.requests_per_second_max);
    return {};
}

Result<Page<OrganizationState>> SqliteOrganizations::organizations(std::string_view after) {
    EW_TRY(Page<OrganizationState> page, database_.read([&](Connection& connection)
                                                            -> Result<Page<OrganizationState>> {
        Page<OrganizationState> page;
        Statement rows = connection.statement(
            "SELECT " EW_ORGANIZATION_COLUMNS
            " FROM organization WHERE organization_id > ?1 AND (pending > 0 OR running > 0 OR "
            "running_max IS NOT NULL OR weight <> 1 OR held <> 0 OR unfinished_max IS NOT NULL OR "
            "stored_bytes_max IS NOT NULL OR requests_per_second_max IS NOT NULL) ORDER BY "
            "organization_id LIMIT ?2");
        rows.bind(after, static_cast<std::int64_t>(limits::kOrganizationsPage) + 1);
        for (;;) {
            EW_TRY(page.more, rows.step());
            if (!page.more || page.items.size() == limits::kOrganizationsPage) return page;
            page.items.push_back(read_organization(rows));
        }
    }));
    for (OrganizationState& state : page.items) add_unwritten_hold(state);
    return page;
}

Result<OrganizationState> SqliteOrganizations::organization(std::string_view id) {
    EW_TRY(OrganizationState state,
           database_.read([&](Connection& connection) -> Result<OrganizationState> {
               Statement row =
                   connection.statement("SELECT " EW_ORGANIZATION_COLUMNS
                                        " FROM organization WHERE organization_id = ?1");
               EW_TRY(const bool found, row.bind(id).step());
               if (found) return read_organization(row);
               OrganizationState state;
               state.policy.organization_id = id;
               return state;
           }));
    add_unwritten_hold(state);
    return state;
}

void SqliteOrganizations::add_unwritten_hold(OrganizationState& state) const {
    if (unwritten_holds_.contains(state.policy.organization_id)) state.policy.held = true;
}

}  // namespace export_worker::jobs
