#include "daemon/catalog/postgres/organization_lock.hpp"

namespace export_worker::catalog::pg {
namespace {

using postgres::Connection;
using postgres::Rows;

constexpr const char* kLock =
    "SELECT products FROM product_count WHERE organization_id = $1 FOR NO KEY UPDATE";

}  // namespace

Result<void> lock_organization(Connection& connection, std::string_view organization_id) {
    EW_TRY(const Rows locked, connection.query(kLock, organization_id));
    if (!locked.empty()) return {};
    // Another transaction may add it at the same time: the insertion waits for its end.
    EW_CHECK(connection.change("INSERT INTO product_count VALUES ($1, 0) ON CONFLICT DO NOTHING",
                               organization_id));
    return connection.change(kLock, organization_id);
}

}  // namespace export_worker::catalog::pg
