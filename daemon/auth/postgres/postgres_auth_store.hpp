// Keys, members and sessions in a PostgreSQL schema that several daemons share.
//
// A key or session that one daemon has made is accepted by the others within about a second: with
// their next renewal of the lease. What takes access away (a revoked or rotated key, a changed
// member, an ended session) returns once no daemon grants it any more: usually within a second, and
// after the longest lease at the latest, because a daemon that cannot renew its lease stops
// answering kLeaseMargin before its end (is_current()).
#pragma once

#include <memory>

#include "daemon/auth/auth_store.hpp"
#include "daemon/cluster/membership.hpp"
#include "daemon/postgres/database.hpp"

namespace export_worker::auth {

// Brings the schema up to date; it is that of the membership, which outlives the store. While the
// membership lives the store stays open, or others wait for it. backup() and compact() are
// PostgreSQL's own: kFailedPrecondition. Errors: those of postgres::Database::open().
[[nodiscard]] Result<std::unique_ptr<AuthStore>> open_postgres_auth_store(
    const postgres::DatabaseOptions& options, cluster::Membership& membership);

}  // namespace export_worker::auth
