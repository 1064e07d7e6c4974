// The notices the outside is still to be told. Private to daemon/jobs; the functions are those of
// JobStore, each on the connection it is given.
#pragma once

#include <vector>

#include "base/result.hpp"
#include "daemon/jobs/job_rows.hpp"
#include "daemon/sqlite/connection.hpp"

namespace export_worker::jobs {

[[nodiscard]] Result<std::vector<model::Notice>> unpublished_notices(
    sqlite::Connection& connection);
[[nodiscard]] Result<std::vector<model::Notice>> due_notices(sqlite::Connection& connection,
                                                             const Now& now);
[[nodiscard]] Result<Page<model::Notice>> notices_after(sqlite::Connection& connection,
                                                        const model::OrganizationScope& scope,
                                                        std::int64_t after);
[[nodiscard]] Result<void> mark_published(sqlite::Connection& connection,
                                          std::int64_t last_sequence);
[[nodiscard]] Result<void> mark_delivery(sqlite::Connection& connection, std::int64_t sequence,
                                         JobStore::Delivery delivery, std::string_view answer,
                                         std::int64_t due_us);

}  // namespace export_worker::jobs
