// What can be wrong with the database itself, as an ordinary role can see it. Private to
// daemon/cluster.
#pragma once

#include <chrono>
#include <vector>

#include "base/result.hpp"
#include "daemon/cluster/cluster_problem.hpp"
#include "daemon/postgres/connection.hpp"

namespace export_worker::cluster {

struct DatabaseChecks {
    bool require_synchronous = true;
    std::chrono::microseconds snapshot_age_max;
};
// PostgreSQL shows the snapshots of other roles' sessions only to members of pg_read_all_stats.
[[nodiscard]] Result<std::vector<ClusterProblem>> check_database(postgres::Connection& connection,
                                                                 const DatabaseChecks& checks);

}  // namespace export_worker::cluster
