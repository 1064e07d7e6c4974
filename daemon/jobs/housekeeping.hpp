// What time does to jobs: rescue, deadlines, silence, retention. Private to daemon/jobs; the
// functions are those of JobStore, each inside one transaction.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string_view>

#include "base/result.hpp"
#include "daemon/jobs/job_rows.hpp"
#include "daemon/sqlite/connection.hpp"

namespace export_worker::jobs {

[[nodiscard]] Result<std::size_t> rescue_jobs(sqlite::Connection& connection,
                                              std::string_view instance_id, const Now& now);
[[nodiscard]] Result<void> restart_silence(sqlite::Connection& connection, const Now& now);
[[nodiscard]] Result<std::size_t> enforce_limits(sqlite::Connection& connection,
                                                 std::string_view instance_id, const Now& now);
[[nodiscard]] Result<std::size_t> expire_files(sqlite::Connection& connection,
                                               std::string_view instance_id,
                                               std::chrono::seconds age, const Now& now);
[[nodiscard]] Result<std::optional<std::chrono::microseconds>> oldest_file_age(
    sqlite::Connection& connection, const Now& now);
[[nodiscard]] Result<Pruned> prune_jobs(sqlite::Connection& connection, std::chrono::seconds age,
                                        const Now& now);
[[nodiscard]] Result<void> withdraw_file(sqlite::Connection& connection, const model::FileKey& key,
                                         std::string_view event, std::string_view actor,
                                         std::string_view reason, const Now& now);

}  // namespace export_worker::jobs
