// The API keys, in the schema that daemons share.
#pragma once

#include <vector>

#include "daemon/auth/key_records.hpp"
#include "daemon/auth/postgres/auth_database.hpp"
#include "daemon/auth/postgres/use_writer.hpp"

namespace export_worker::auth::pg {

class PostgresKeyRecords final : public KeyRecords {
public:
    // `database` outlives it.
    explicit PostgresKeyRecords(AuthDatabase& database)
        : database_(database), uses_(database.database()) {}

    Result<std::vector<StoredKey>> active(std::int64_t now_us) override;
    Result<void> insert(const StoredKey& key) override;
    Result<void> insert_successor(const StoredKey& key, std::string_view old_id,
                                  std::int64_t old_expires_us) override;
    Result<std::optional<ApiKey>> find(std::string_view id) override;
    Result<std::optional<ApiKey>> revoke(std::string_view id, std::int64_t now_us,
                                         std::int64_t used_us) override;
    Result<std::vector<ApiKey>> list(std::string_view organization_id, const AgeCursor& after,
                                     std::size_t rows_max) override;
    void begin_record_uses(std::vector<KeyUse> uses) override;

private:
    AuthDatabase& database_;
    UseWriter uses_;
};

// Keys whose version is above `since`; `is_whole`: all that are not revoked instead.
[[nodiscard]] Result<std::vector<StoredKey>> changed_keys(postgres::Connection& connection,
                                                          std::int64_t since, bool is_whole);

}  // namespace export_worker::auth::pg
