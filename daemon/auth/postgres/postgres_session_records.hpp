// The opaque sessions, in the schema that daemons share.
#pragma once

#include <vector>

#include "daemon/auth/auth_changes.hpp"
#include "daemon/auth/postgres/auth_database.hpp"
#include "daemon/auth/session_records.hpp"

namespace export_worker::auth::pg {

class PostgresSessionRecords final : public SessionRecords {
public:
    // `database` outlives it.
    explicit PostgresSessionRecords(AuthDatabase& database) : database_(database) {}

    Result<std::vector<StoredSession>> active(std::int64_t now_us) override;
    Result<void> insert(const StoredSession& session) override;
    Result<std::optional<std::string>> revoke(std::string_view id, std::int64_t now_us) override;
    Result<std::vector<StoredSession>> list(std::int64_t now_us, const AgeCursor& after,
                                            std::size_t rows_max) override;

private:
    AuthDatabase& database_;
};

// Sessions whose version is above `since`; `is_whole`: all that are not revoked instead.
[[nodiscard]] Result<std::vector<SessionChange>> changed_sessions(postgres::Connection& connection,
                                                                  std::int64_t since,
                                                                  bool is_whole);

}  // namespace export_worker::auth::pg
