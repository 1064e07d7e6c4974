// The tables of auth.db. Private to daemon/auth/sqlite and daemon/migration.
#pragma once

#include <array>
#include <cstdint>

namespace export_worker::auth {

inline constexpr std::int64_t kAuthApplicationId = 0x45574b31;  // "EWK1"

// One entry a schema version; released entries never change.
inline constexpr std::array<const char*, 3> kAuthMigrations{R"sql(
CREATE TABLE api_key (
    id              TEXT PRIMARY KEY,
    sha256          TEXT NOT NULL,
    organization_id TEXT NOT NULL,
    name            TEXT NOT NULL,
    permissions     TEXT NOT NULL,
    created_us      INTEGER NOT NULL,
    revoked_us      INTEGER
) STRICT;
)sql",
                                                            R"sql(
CREATE TABLE member (
    subject         TEXT NOT NULL,
    organization_id TEXT NOT NULL,
    roles           TEXT NOT NULL,
    active          INTEGER NOT NULL,
    changed_us      INTEGER NOT NULL,
    PRIMARY KEY (subject, organization_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE session (
    sha256     TEXT PRIMARY KEY,
    id         TEXT NOT NULL UNIQUE,
    subject    TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    expires_us INTEGER NOT NULL,
    revoked_us INTEGER
) STRICT, WITHOUT ROWID;
)sql",
                                                            R"sql(
ALTER TABLE api_key ADD COLUMN expires_us INTEGER;
ALTER TABLE api_key ADD COLUMN last_used_us INTEGER;
CREATE INDEX api_key_by_age ON api_key (created_us, id);
)sql"};

}  // namespace export_worker::auth
