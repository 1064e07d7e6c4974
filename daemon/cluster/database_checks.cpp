#include "daemon/cluster/database_checks.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

namespace export_worker::cluster {
namespace {

using postgres::Connection;
using postgres::Rows;

// PostgreSQL 15, "synchronous_commit": from "on" upwards a commit is on the standby's disk.
bool waits_for_standby(std::string_view synchronous_commit) {
    constexpr std::array<std::string_view, 2> kGood{"on", "remote_apply"};
    return std::ranges::find(kGood, synchronous_commit) != kGood.end();
}

Result<void> check_synchronous(Connection& connection, std::vector<ClusterProblem>& problems) {
    EW_TRY(const Rows rows, connection.query("SELECT current_setting('synchronous_standby_names'), "
                                             "current_setting('synchronous_commit')"));
    const std::string_view names = rows.front().text(0);
    const std::string_view commit = rows.front().text(1);
    if (!names.empty() && waits_for_standby(commit)) return {};
    problems.push_back(
        {{names.empty() ? "PostgreSQL has no synchronous standby (synchronous_standby_names is "
                          "empty): a failover may lose jobs that were accepted"
                        : "PostgreSQL's synchronous_commit is '" + std::string(commit) +
                              "': a failover may lose jobs that were accepted",
          "set synchronous_standby_names, and synchronous_commit to on; or accept the loss with "
          "require_synchronous = off in [database]"},
         "standby"});
    return {};
}

Result<void> check_snapshots(Connection& connection, std::chrono::microseconds age_max,
                             std::vector<ClusterProblem>& problems) {
    EW_TRY(const Rows rows,
           connection.query("SELECT pid::bigint, application_name, (extract(epoch FROM "
                            "clock_timestamp() - xact_start) * 1000000)::bigint FROM "
                            "pg_stat_activity WHERE datname = current_database() AND backend_xmin "
                            "IS NOT NULL AND xact_start IS NOT NULL AND pid <> pg_backend_pid() "
                            "ORDER BY xact_start LIMIT 1"));
    if (rows.empty()) return {};
    const std::chrono::microseconds age(rows.front().integer(2));
    if (age <= age_max) return {};
    const std::string pid = std::to_string(rows.front().integer(0));
    problems.push_back(
        {{"a transaction in PostgreSQL (process " + pid + ", '" + rows.front().string(1) +
              "') has been open for " +
              std::to_string(std::chrono::duration_cast<std::chrono::seconds>(age).count()) +
              " s: dead rows cannot be removed, and claims become slower",
          "end it: SELECT pg_terminate_backend(" + pid + ")"},
         "transaction"});
    return {};
}

}  // namespace

Result<std::vector<ClusterProblem>> check_database(Connection& connection,
                                                   const DatabaseChecks& checks) {
    std::vector<ClusterProblem> problems;
    if (checks.require_synchronous) EW_CHECK(check_synchronous(connection, problems));
    EW_CHECK(check_snapshots(connection, checks.snapshot_age_max, problems));
    return problems;
}

}  // namespace export_worker::cluster
