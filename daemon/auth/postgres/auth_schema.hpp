// The tables of keys, members and sessions. Private to daemon/auth/postgres and daemon/migration.
//
// Texts that are compared or sorted are COLLATE "C": by their bytes, as in SQLite. Times are the
// callers' (key_records.hpp), in microseconds since 1970. changed_version: that of `change`
// ('auth') that the last write of the row has raised; uses raise none.
#pragma once

#include <array>

namespace export_worker::auth::pg {

// One entry a schema version; released entries never change.
inline constexpr std::array<const char*, 1> kAuthMigrations{R"sql(
CREATE TABLE api_key (
    id              text COLLATE "C" PRIMARY KEY,
    sha256          text NOT NULL,
    organization_id text COLLATE "C" NOT NULL,
    name            text NOT NULL,
    permissions     text NOT NULL,
    created_us      bigint NOT NULL,
    revoked_us      bigint,
    expires_us      bigint,
    last_used_us    bigint,
    changed_version bigint NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX api_key_by_age ON api_key (created_us, id);
CREATE INDEX api_key_changed ON api_key (changed_version);
CREATE TABLE member (
    subject         text COLLATE "C" NOT NULL,
    organization_id text COLLATE "C" NOT NULL,
    roles           text NOT NULL,
    active          boolean NOT NULL,
    changed_us      bigint NOT NULL,
    changed_version bigint NOT NULL,
    PRIMARY KEY (subject, organization_id)
);
CREATE INDEX member_listing ON member (organization_id, subject);
CREATE INDEX member_changed ON member (changed_version);
CREATE TABLE session (
    sha256          text COLLATE "C" PRIMARY KEY,
    id              text COLLATE "C" NOT NULL UNIQUE,
    subject         text COLLATE "C" NOT NULL,
    created_us      bigint NOT NULL,
    expires_us      bigint NOT NULL,
    revoked_us      bigint,
    changed_version bigint NOT NULL
);
CREATE INDEX session_by_age ON session (created_us, id);
CREATE INDEX session_expiry ON session (expires_us);
CREATE INDEX session_changed ON session (changed_version);
)sql"};

}  // namespace export_worker::auth::pg
