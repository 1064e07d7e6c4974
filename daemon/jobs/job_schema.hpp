// The tables of jobs.db. Private to daemon/jobs.
#pragma once

#include <array>
#include <cstdint>

namespace export_worker::jobs {

inline constexpr std::int64_t kJobApplicationId = 0x45574a31;  // "EWJ1"

// One entry a schema version; released entries never change.
inline constexpr std::array<const char*, 1> kJobMigrations{R"sql(
CREATE TABLE job (
    job_id          TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL,
    job_type        TEXT NOT NULL,
    runner          TEXT NOT NULL CHECK (runner IN ('daemon', 'external')),
    status          TEXT NOT NULL CHECK (status IN ('pending', 'in_progress', 'completed', 'completed_with_warnings',
                                                    'partial_success', 'failed', 'cancelled')),
    epoch           INTEGER NOT NULL DEFAULT 0,
    attempt         INTEGER NOT NULL DEFAULT 0,
    crashes         INTEGER NOT NULL DEFAULT 0,
    cancel_us       INTEGER,
    due_us          INTEGER NOT NULL,
    spec            TEXT NOT NULL,
    total_items     INTEGER NOT NULL CHECK (total_items >= 0),
    processed_items INTEGER NOT NULL DEFAULT 0 CHECK (processed_items >= 0),
    failed_items    INTEGER NOT NULL DEFAULT 0,
    warned_items    INTEGER NOT NULL DEFAULT 0,
    stage           TEXT NOT NULL DEFAULT '',
    message         TEXT NOT NULL DEFAULT '',
    metadata        TEXT NOT NULL,
    file_url        TEXT NOT NULL DEFAULT '',
    filename        TEXT NOT NULL DEFAULT '',
    error_message   TEXT NOT NULL DEFAULT '',
    triggered_by    TEXT NOT NULL DEFAULT '',
    created_us      INTEGER NOT NULL,
    started_us      INTEGER,
    completed_us    INTEGER,
    CHECK ((completed_us IS NOT NULL) = (status NOT IN ('pending', 'in_progress')))
) STRICT;
CREATE INDEX job_claimable ON job (due_us, job_id) WHERE status = 'pending' AND runner = 'daemon';
CREATE INDEX job_running ON job (job_id) WHERE status = 'in_progress' AND runner = 'daemon';
CREATE INDEX job_listing ON job (organization_id, created_us DESC, job_id DESC);
CREATE TABLE job_entry (
    job_id   TEXT NOT NULL REFERENCES job (job_id) ON DELETE CASCADE,
    kind     TEXT NOT NULL CHECK (kind IN ('error', 'warning')),
    number   INTEGER NOT NULL,
    body     TEXT NOT NULL,
    PRIMARY KEY (job_id, kind, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE file (
    file_key TEXT PRIMARY KEY,
    job_id   TEXT NOT NULL REFERENCES job (job_id),
    epoch    INTEGER NOT NULL,
    state    TEXT NOT NULL CHECK (state IN ('intended', 'live')),
    bytes    INTEGER,
    sha256   TEXT,
    intended_us INTEGER NOT NULL
) STRICT;
CREATE INDEX file_unpublished ON file (job_id) WHERE state = 'intended';
)sql"};

}  // namespace export_worker::jobs
