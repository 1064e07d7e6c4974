// What the worker that holds a job's lease writes: every change is conditional on the lease's
// epoch. Private to daemon/jobs; the functions are those of JobStore, each on the connection it is
// given. kConflict: the lease is lost, and nothing has changed.
#pragma once

#include <string_view>

#include "base/result.hpp"
#include "daemon/jobs/job_rows.hpp"
#include "daemon/sqlite/connection.hpp"

namespace export_worker::jobs {

[[nodiscard]] Result<bool> heartbeat(sqlite::Connection& connection, const model::Lease& lease,
                                     const Progress& progress);
[[nodiscard]] Result<void> intend_file(sqlite::Connection& connection, const model::Lease& lease,
                                       const model::FileKey& key, const Now& now);
[[nodiscard]] Result<void> complete(sqlite::Connection& connection, const model::Lease& lease,
                                    const Completion& completion, std::string_view actor,
                                    const Now& now);
[[nodiscard]] Result<void> give_up_attempt(sqlite::Connection& connection,
                                           const model::Lease& lease, std::string_view error,
                                           bool permanent, std::int64_t delay_us,
                                           std::string_view actor, const Now& now);
[[nodiscard]] Result<void> release(sqlite::Connection& connection, const model::Lease& lease,
                                   std::string_view actor, const Now& now);
[[nodiscard]] Result<void> cancelled(sqlite::Connection& connection, const model::Lease& lease,
                                     std::string_view actor, const Now& now);

}  // namespace export_worker::jobs
