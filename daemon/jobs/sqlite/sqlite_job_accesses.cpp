#include "daemon/jobs/sqlite/sqlite_job_accesses.hpp"

#include <algorithm>

#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/sqlite/access_rows.hpp"

namespace export_worker::jobs {

Result<void> SqliteJobAccesses::add(std::span<const JobAccess> accesses) {
    while (!accesses.empty()) {
        const auto some = accesses.first(std::min(accesses.size(), limits::kAccessesBatch));
        EW_CHECK(database_.write([&](sqlite::Connection& connection, const Now& at) {
            return count_accesses(connection, some, at);
        }));
        accesses = accesses.subspan(some.size());
    }
    return {};
}

}  // namespace export_worker::jobs
