// The tables of the cluster. Private to daemon/cluster; daemon/jobs/postgres references `instance`.
#pragma once

#include <array>

namespace export_worker::cluster {

// One entry a schema version; released entries never change.
inline constexpr std::array<const char*, 1> kClusterMigrations{R"sql(
-- One life of a daemon. It is over when lease_until has passed; what it owned is put back, and then its row goes.
-- answers_until: until then it may answer from its memory; an eviction ends lease_until alone, because the daemon does not know
-- of it yet. seen_*: the version of `change` up to which its memory follows. file_hashes: lines "SHA256 NAME".
CREATE TABLE instance (
    instance_id     text COLLATE "C" PRIMARY KEY,
    name            text NOT NULL,
    version         text NOT NULL,
    started_at      timestamptz NOT NULL,
    lease_until     timestamptz NOT NULL,
    answers_until   timestamptz NOT NULL,
    seen_auth       bigint NOT NULL DEFAULT 0,
    seen_file       bigint NOT NULL DEFAULT 0,
    clock_offset_us bigint,
    file_hashes     text NOT NULL DEFAULT ''
) WITH (fillfactor = 50);
-- Raised by every transaction that changes what daemons keep in memory: its row's lock puts these transactions in the order of
-- their versions, so that who sees a version sees all before it.
CREATE TABLE change (
    kind    text COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL
) WITH (fillfactor = 50);
CREATE TABLE leader (
    name        text COLLATE "C" PRIMARY KEY,
    instance_id text COLLATE "C" NOT NULL,
    until       timestamptz NOT NULL,
    term        bigint NOT NULL
) WITH (fillfactor = 50);
INSERT INTO leader VALUES ('housekeeping', '', '-infinity', 0);
)sql"};

}  // namespace export_worker::cluster
