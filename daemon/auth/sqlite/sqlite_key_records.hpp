// The API keys, in auth.db.
#pragma once

#include "daemon/auth/key_records.hpp"
#include "daemon/sqlite/database.hpp"

namespace export_worker::auth {

class SqliteKeyRecords final : public KeyRecords {
public:
    // `database` outlives it.
    explicit SqliteKeyRecords(sqlite::Database& database) : database_(database) {}

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
    sqlite::Database& database_;
};

}  // namespace export_worker::auth
