#include "daemon/jobs/postgres/postgres_job_accesses.hpp"

#include <algorithm>

#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/postgres/access_rows.hpp"

namespace export_worker::jobs::pg {

Result<void> PostgresJobAccesses::add(std::span<const JobAccess> accesses) {
    while (!accesses.empty()) {
        const auto some = accesses.first(std::min(accesses.size(), limits::kAccessesBatch));
        EW_CHECK(database_.write([&](postgres::Connection& connection, const Now& at) {
            return count_accesses(connection, some, at);
        }));
        accesses = accesses.subspan(some.size());
    }
    return {};
}

}  // namespace export_worker::jobs::pg
