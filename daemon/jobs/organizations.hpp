// How much of the workers an organization gets, and its quotas. [any-thread]
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "daemon/jobs/page.hpp"

namespace export_worker::jobs {

// Absent quotas: none.
struct OrganizationPolicy {
    std::string organization_id;
    std::optional<int> running_max;                   // Absent: the policy's.
    int weight = 1;                                   // Its share, against others' weights.
    bool held = false;                                // None of its jobs is started.
    std::optional<std::int64_t> unfinished_max = {};  // Jobs of either runner that have not ended.
    std::optional<std::int64_t> stored_bytes_max =
        {};  // Of published files; at it no export is taken.
    std::optional<int> requests_per_second_max = {};
};

struct OrganizationState {
    OrganizationPolicy policy;
    std::int64_t pending = 0;
    std::int64_t running = 0;
    std::int64_t unfinished = 0;    // External jobs, too.
    std::int64_t stored_bytes = 0;  // Of published files.
};

// Errors: those of job_store.hpp.
class Organizations {
public:
    virtual ~Organizations() = default;

    // Durable when it returns. A hold that cannot be written holds until the store is opened again.
    [[nodiscard]] virtual Result<void> set_organization(const OrganizationPolicy& policy) = 0;
    // Those with a policy of their own, and those with jobs that are not finished, by id, behind
    // `after`; at most kOrganizationsPage.
    [[nodiscard]] virtual Result<Page<OrganizationState>> organizations(std::string_view after) = 0;
    // One that has neither has the policy of all.
    [[nodiscard]] virtual Result<OrganizationState> organization(std::string_view id) = 0;
    // Counts a request. kQuotaExceeded: the organization sends more a second than it may. No I/O.
    [[nodiscard]] virtual Result<void> admit_request(std::string_view organization_id) = 0;
};

}  // namespace export_worker::jobs
