// Unfinished jobs, types of jobs and stored bytes that an organization may have. Private to
// daemon/jobs/postgres.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "daemon/model/job.hpp"
#include "daemon/postgres/connection.hpp"

namespace export_worker::jobs::pg {

using UnlimitedOrganizations = std::set<std::string, std::less<>>;

// May the organization have one more unfinished job? Only where it has such a quota, its row is
// locked until the transaction ends, so that two do not take the last place. Errors:
// kQuotaExceeded, naming the quota. `unlimited`: those that were found without quotas, which are
// not looked at again; of one transaction.
[[nodiscard]] Result<void> check_job_quotas(postgres::Connection& connection,
                                            std::string_view organization_id,
                                            model::JobRunner runner,
                                            UnlimitedOrganizations& unlimited);
// May it have a job of this type? Errors: kQuotaExceeded: it has kJobTypesMax others. Requests at
// the same moment may pass it by their number.
[[nodiscard]] Result<void> check_job_type(postgres::Connection& connection,
                                          std::string_view organization_id,
                                          std::string_view job_type);

}  // namespace export_worker::jobs::pg
