// Who may write the rows of an organization. Private to daemon/catalog/postgres.
#pragma once

#include <string_view>

#include "base/result.hpp"
#include "daemon/postgres/connection.hpp"

namespace export_worker::catalog::pg {

// Waits for the transaction that writes rows of the organization, and excludes others until this
// one ends. A transaction locks one organization, and locks it first: none waits in a circle.
// Errors: kDeadlineExceeded after kPostgresLockTimeout, and those of statements.
[[nodiscard]] Result<void> lock_organization(postgres::Connection& connection,
                                             std::string_view organization_id);

}  // namespace export_worker::catalog::pg
