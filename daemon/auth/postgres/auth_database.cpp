#include "daemon/auth/postgres/auth_database.hpp"

#include "base/log.hpp"
#include "daemon/auth/postgres/auth_schema.hpp"

namespace export_worker::auth::pg {

Result<std::unique_ptr<AuthDatabase>> AuthDatabase::open(const postgres::DatabaseOptions& options,
                                                         cluster::Membership& membership) {
    EW_TRY(std::unique_ptr<postgres::Database> database,
           postgres::Database::open(options, {.component = "auth", .steps = kAuthMigrations}));
    std::unique_ptr<AuthDatabase> out(new AuthDatabase(std::move(database), membership));
    EW_CHECK(out->follower_.start());
    return out;
}

Result<void> AuthDatabase::spread(Reach reach, std::int64_t version) {
    // What is not told now, the feed's thread tells within the second.
    if (const auto told = follower_.catch_up(); !told)
        log_warn("auth: version {} is written and not in memory yet: {}", version,
                 told.error().message);
    if (reach == Reach::kThisDaemon) return {};
    return membership_.wait_until_seen(cluster::ChangeKind::kAuth, version);
}

}  // namespace export_worker::auth::pg
