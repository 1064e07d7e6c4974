// The opaque sessions, in auth.db.
#pragma once

#include "daemon/auth/session_records.hpp"
#include "daemon/sqlite/database.hpp"

namespace export_worker::auth {

class SqliteSessionRecords final : public SessionRecords {
public:
    // `database` outlives it.
    explicit SqliteSessionRecords(sqlite::Database& database) : database_(database) {}

    Result<std::vector<StoredSession>> active(std::int64_t now_us) override;
    Result<void> insert(const StoredSession& session) override;
    Result<std::optional<std::string>> revoke(std::string_view id, std::int64_t now_us) override;
    Result<std::vector<StoredSession>> list(std::int64_t now_us, const AgeCursor& after,
                                            std::size_t rows_max) override;

private:
    sqlite::Database& database_;
};

}  // namespace export_worker::auth
