// The tables of jobs.db. Private to daemon/jobs/sqlite and daemon/migration.
#pragma once

#include <array>
#include <cstdint>

namespace export_worker::jobs {

inline constexpr std::int64_t kJobApplicationId = 0x45574a31;  // "EWJ1"

// One entry a schema version; released entries never change.
inline constexpr std::array<const char*, 13> kJobMigrations{R"sql(
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
)sql",
                                                            R"sql(
ALTER TABLE job ADD COLUMN priority INTEGER NOT NULL DEFAULT 1;
ALTER TABLE job ADD COLUMN attempts_max INTEGER NOT NULL DEFAULT 3;
ALTER TABLE job ADD COLUMN interruptions INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN owner TEXT NOT NULL DEFAULT '';
ALTER TABLE job ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN deadline_us INTEGER;
ALTER TABLE job ADD COLUMN silence_us INTEGER;
ALTER TABLE job ADD COLUMN seen_us INTEGER;
ALTER TABLE job ADD COLUMN idempotency_key TEXT;
ALTER TABLE job ADD COLUMN request_sha256 TEXT NOT NULL DEFAULT '';
ALTER TABLE job ADD COLUMN total_is_estimate INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN expired_us INTEGER;
DROP INDEX job_claimable;
DROP INDEX job_running;
CREATE INDEX job_claimable ON job (organization_id, priority DESC, due_us, job_id)
    WHERE status = 'pending' AND runner = 'daemon' AND held = 0;
CREATE INDEX job_running ON job (organization_id) WHERE status = 'in_progress' AND runner = 'daemon';
CREATE UNIQUE INDEX job_idempotency ON job (organization_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX job_deadline ON job (deadline_us)
    WHERE deadline_us IS NOT NULL AND status IN ('pending', 'in_progress');
CREATE INDEX job_silence ON job (job_id) WHERE silence_us IS NOT NULL AND status = 'in_progress';
CREATE INDEX job_ended ON job (completed_us) WHERE completed_us IS NOT NULL;
CREATE TABLE organization (
    organization_id TEXT PRIMARY KEY,
    running_max     INTEGER,
    weight          INTEGER NOT NULL DEFAULT 1 CHECK (weight > 0),
    held            INTEGER NOT NULL DEFAULT 0,
    virtual_time    INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TABLE instance (
    instance_id TEXT PRIMARY KEY,
    pid         INTEGER NOT NULL,
    boot_id     TEXT NOT NULL,
    version     TEXT NOT NULL,
    started_us  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE job_event (
    job_id TEXT NOT NULL REFERENCES job (job_id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    at_us  INTEGER NOT NULL,
    kind   TEXT NOT NULL,
    actor  TEXT NOT NULL,
    detail TEXT NOT NULL,
    count  INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (job_id, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE notice (
    sequence        INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id        TEXT NOT NULL,
    organization_id TEXT NOT NULL,
    job_id          TEXT NOT NULL,
    type            TEXT NOT NULL,
    body            TEXT NOT NULL,
    at_us           INTEGER NOT NULL,
    published       INTEGER NOT NULL DEFAULT 0,
    delivery        TEXT NOT NULL DEFAULT 'pending' CHECK (delivery IN ('pending', 'done', 'given_up')),
    attempts        INTEGER NOT NULL DEFAULT 0,
    due_us          INTEGER NOT NULL,
    answer          TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX notice_unpublished ON notice (sequence) WHERE published = 0;
CREATE INDEX notice_due ON notice (due_us) WHERE delivery = 'pending';
CREATE INDEX notice_age ON notice (at_us);
CREATE TABLE file_2 (
    file_key TEXT PRIMARY KEY,
    job_id   TEXT NOT NULL REFERENCES job (job_id),
    epoch    INTEGER NOT NULL,
    state    TEXT NOT NULL CHECK (state IN ('intended', 'live', 'expiring')),
    bytes    INTEGER,
    sha256   TEXT,
    intended_us INTEGER NOT NULL
) STRICT;
INSERT INTO file_2 SELECT file_key, job_id, epoch, state, bytes, sha256, intended_us FROM file;
DROP TABLE file;
ALTER TABLE file_2 RENAME TO file;
CREATE INDEX file_unpublished ON file (job_id) WHERE state <> 'live';
CREATE INDEX file_of_job ON file (job_id);
CREATE TABLE setting (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO setting VALUES ('virtual_time', 0);
)sql",
                                                            R"sql(
-- How many jobs of the daemon's wait and run, kept by the triggers: whose turn it is must not take longer
-- because many have been here.
ALTER TABLE organization ADD COLUMN pending INTEGER NOT NULL DEFAULT 0;
ALTER TABLE organization ADD COLUMN running INTEGER NOT NULL DEFAULT 0;
INSERT INTO organization (organization_id, pending, running)
    SELECT organization_id, sum(status = 'pending'), sum(status = 'in_progress') FROM job
    WHERE runner = 'daemon' AND status IN ('pending', 'in_progress') GROUP BY organization_id
    ON CONFLICT DO UPDATE SET pending = excluded.pending, running = excluded.running;
CREATE INDEX organization_turn ON organization (virtual_time, organization_id) WHERE pending > 0;
CREATE TRIGGER job_arrives AFTER INSERT ON job WHEN new.runner = 'daemon' BEGIN
    INSERT INTO organization (organization_id, pending, running)
        VALUES (new.organization_id, new.status = 'pending', new.status = 'in_progress')
        ON CONFLICT DO UPDATE SET pending = pending + excluded.pending, running = running + excluded.running;
END;
CREATE TRIGGER job_moves AFTER UPDATE OF status ON job WHEN new.runner = 'daemon' AND new.status <> old.status BEGIN
    UPDATE organization SET
        pending = pending + (new.status = 'pending') - (old.status = 'pending'),
        running = running + (new.status = 'in_progress') - (old.status = 'in_progress')
        WHERE organization_id = new.organization_id;
END;
CREATE TRIGGER job_goes AFTER DELETE ON job WHEN old.runner = 'daemon' BEGIN
    UPDATE organization SET
        pending = pending - (old.status = 'pending'), running = running - (old.status = 'in_progress')
        WHERE organization_id = old.organization_id;
END;
)sql",
                                                            R"sql(
-- Who inserts a job counts it: a trigger would make SQLite keep a copy of every page that the statement touches.
DROP TRIGGER job_arrives;
)sql",
                                                            R"sql(
-- Which registry this is, for clients of several daemons: made here, once.
CREATE TABLE registry (
    registry_id TEXT NOT NULL
) STRICT;
INSERT INTO registry VALUES (lower(hex(randomblob(16))));
)sql",
                                                            R"sql(
-- Quotas; NULL: none. stored_bytes is kept by the triggers.
ALTER TABLE organization ADD COLUMN unfinished_max INTEGER;
ALTER TABLE organization ADD COLUMN stored_bytes_max INTEGER;
ALTER TABLE organization ADD COLUMN requests_per_second_max INTEGER;
ALTER TABLE organization ADD COLUMN stored_bytes INTEGER NOT NULL DEFAULT 0;
INSERT INTO organization (organization_id, stored_bytes)
    SELECT organization_id, sum(coalesce(bytes, 0)) FROM file JOIN job USING (job_id)
    WHERE state = 'live' GROUP BY organization_id
    ON CONFLICT DO UPDATE SET stored_bytes = excluded.stored_bytes;
CREATE TRIGGER file_arrives AFTER UPDATE OF state ON file WHEN new.state = 'live' AND old.state <> 'live' BEGIN
    UPDATE organization SET stored_bytes = stored_bytes + coalesce(new.bytes, 0)
        WHERE organization_id = (SELECT organization_id FROM job WHERE job_id = new.job_id);
END;
CREATE TRIGGER file_goes AFTER UPDATE OF state ON file WHEN old.state = 'live' AND new.state <> 'live' BEGIN
    UPDATE organization SET stored_bytes = stored_bytes - coalesce(old.bytes, 0)
        WHERE organization_id = (SELECT organization_id FROM job WHERE job_id = old.job_id);
END;
CREATE INDEX job_unfinished ON job (organization_id) WHERE completed_us IS NULL;
CREATE INDEX job_external ON job (coalesce(seen_us, due_us)) WHERE runner = 'external' AND completed_us IS NULL;
)sql",
                                                            R"sql(
-- What a link says of its file, beside the metadata that has them too: reading JSON for each link takes as long as the rest of the lookup.
ALTER TABLE job ADD COLUMN content_type TEXT NOT NULL DEFAULT '';
ALTER TABLE job ADD COLUMN sha256 TEXT NOT NULL DEFAULT '';
UPDATE job SET content_type = coalesce(metadata ->> '$.content_type', ''), sha256 = coalesce(metadata ->> '$.sha256', '')
    WHERE file_url <> '';
)sql",
                                                            R"sql(
-- How long from the start (or the release of a hold) to the deadline. Deadlines counted from the submission before.
ALTER TABLE job ADD COLUMN deadline_length_us INTEGER;
UPDATE job SET deadline_length_us = max(deadline_us - created_us, 0) WHERE deadline_us IS NOT NULL AND status = 'pending';
UPDATE job SET deadline_us = due_us + deadline_length_us
    WHERE deadline_length_us IS NOT NULL AND started_us IS NULL AND due_us > created_us AND runner = 'daemon';
UPDATE job SET deadline_us = NULL WHERE deadline_length_us IS NOT NULL AND held = 1;
)sql",
                                                            R"sql(
-- Of the request that made the job (W3C Trace Context), 32 hex digits; empty: it had none.
ALTER TABLE job ADD COLUMN trace_id TEXT NOT NULL DEFAULT '';
-- Which file is the oldest, without a look at each.
CREATE INDEX file_live ON file (intended_us) WHERE state = 'live';
)sql",
                                                            R"sql(
-- No job of the organization that the daemon may start is due earlier: the claims raise it, what makes a job wait lowers it.
ALTER TABLE organization ADD COLUMN next_due_us INTEGER NOT NULL DEFAULT 0;
CREATE TRIGGER job_waits AFTER UPDATE OF status, held, due_us ON job
    WHEN new.runner = 'daemon' AND new.status = 'pending' AND new.held = 0 BEGIN
    UPDATE organization SET next_due_us = new.due_us
        WHERE organization_id = new.organization_id AND next_due_us > new.due_us;
END;
CREATE INDEX job_due ON job (due_us) WHERE status = 'pending' AND runner = 'daemon' AND held = 0;
-- How many jobs there are, kept by the triggers and by who inserts a job. A row that would be 0 is not there.
CREATE TABLE job_count (
    organization_id TEXT NOT NULL,
    status          TEXT NOT NULL,
    job_type        TEXT NOT NULL,
    jobs            INTEGER NOT NULL,
    PRIMARY KEY (organization_id, status, job_type)
) STRICT, WITHOUT ROWID;
CREATE TABLE job_count_of_all (
    status   TEXT NOT NULL,
    job_type TEXT NOT NULL,
    jobs     INTEGER NOT NULL,
    PRIMARY KEY (status, job_type)
) STRICT, WITHOUT ROWID;
INSERT INTO job_count SELECT organization_id, status, job_type, count(*) FROM job GROUP BY organization_id, status, job_type;
INSERT INTO job_count_of_all SELECT status, job_type, sum(jobs) FROM job_count GROUP BY status, job_type;
CREATE TRIGGER job_recounted AFTER UPDATE OF status ON job WHEN new.status <> old.status BEGIN
    UPDATE job_count SET jobs = jobs - 1
        WHERE organization_id = old.organization_id AND status = old.status AND job_type = old.job_type;
    UPDATE job_count_of_all SET jobs = jobs - 1 WHERE status = old.status AND job_type = old.job_type;
    DELETE FROM job_count
        WHERE organization_id = old.organization_id AND status = old.status AND job_type = old.job_type AND jobs = 0;
    DELETE FROM job_count_of_all WHERE status = old.status AND job_type = old.job_type AND jobs = 0;
    INSERT INTO job_count VALUES (new.organization_id, new.status, new.job_type, 1) ON CONFLICT DO UPDATE SET jobs = jobs + 1;
    INSERT INTO job_count_of_all VALUES (new.status, new.job_type, 1) ON CONFLICT DO UPDATE SET jobs = jobs + 1;
END;
CREATE TRIGGER job_uncounted AFTER DELETE ON job BEGIN
    UPDATE job_count SET jobs = jobs - 1
        WHERE organization_id = old.organization_id AND status = old.status AND job_type = old.job_type;
    UPDATE job_count_of_all SET jobs = jobs - 1 WHERE status = old.status AND job_type = old.job_type;
    DELETE FROM job_count
        WHERE organization_id = old.organization_id AND status = old.status AND job_type = old.job_type AND jobs = 0;
    DELETE FROM job_count_of_all WHERE status = old.status AND job_type = old.job_type AND jobs = 0;
END;
DROP INDEX job_unfinished;
-- Lists, newest first: a job's id begins with the time it was made.
DROP INDEX job_listing;
CREATE INDEX job_listing ON job (organization_id, job_id);
CREATE INDEX job_filtered ON job (organization_id, job_type, status, job_id);
CREATE INDEX job_filtered_of_all ON job (job_type, status, job_id);
CREATE INDEX notice_of_organization ON notice (organization_id, sequence);
INSERT INTO setting SELECT 'notices_pending', count(*) FROM notice WHERE delivery = 'pending';
CREATE TRIGGER notice_settled AFTER UPDATE OF delivery ON notice WHEN new.delivery <> old.delivery BEGIN
    UPDATE setting SET value = value + (new.delivery = 'pending') - (old.delivery = 'pending') WHERE name = 'notices_pending';
END;
-- What is due, and nothing else.
DROP INDEX job_silence;
CREATE INDEX job_silent ON job (seen_us + silence_us) WHERE silence_us IS NOT NULL AND status = 'in_progress';
DROP INDEX job_ended;
CREATE INDEX job_prunable ON job (completed_us) WHERE completed_us IS NOT NULL AND (runner = 'external' OR file_url = '');
DROP INDEX notice_age;
CREATE INDEX notice_prunable ON notice (at_us) WHERE delivery <> 'pending' AND published = 1;
-- Links and downloads, counted by the minute. By the day first, so that those of old jobs and of new ones are written to the same few pages.
CREATE TABLE job_access (
    access_id INTEGER PRIMARY KEY AUTOINCREMENT,
    day       INTEGER NOT NULL,
    job_id    TEXT NOT NULL,
    minute    INTEGER NOT NULL,
    kind      TEXT NOT NULL,
    actor     TEXT NOT NULL,
    at_us     INTEGER NOT NULL,
    count     INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX job_access_of_job ON job_access (day, job_id, minute, kind, actor);
)sql",
                                                            R"sql(
-- Of the last claim, 16 hex digits: a claim whose answer was lost is found by it.
ALTER TABLE job ADD COLUMN claim_token TEXT NOT NULL DEFAULT '';
-- Of the last report: the same report again changes nothing.
ALTER TABLE job ADD COLUMN report_id TEXT NOT NULL DEFAULT '';
-- When its life was over, as a later one found; NULL: it lives.
ALTER TABLE instance ADD COLUMN ended_us INTEGER;
)sql",
                                                            R"sql(
-- A withdrawn file is deleted once the links to it have ended, not before.
ALTER TABLE file ADD COLUMN delete_after_us INTEGER NOT NULL DEFAULT 0;
CREATE INDEX file_withdrawn ON file (delete_after_us) WHERE state = 'expiring';
DROP INDEX file_unpublished;
CREATE INDEX file_intended ON file (job_id) WHERE state = 'intended';
-- The start that was asked for, on the wall clock.
ALTER TABLE job ADD COLUMN start_us INTEGER;
UPDATE job SET start_us = due_us
    WHERE status = 'pending' AND runner = 'daemon' AND attempt = 0 AND started_us IS NULL AND due_us > created_us;
-- When it ended, in the registry's own time: what ended under a wrong clock is not as old as completed_us says.
ALTER TABLE job ADD COLUMN ended_us INTEGER;
CREATE INDEX job_scheduled ON job (start_us) WHERE start_us IS NOT NULL AND status = 'pending';
)sql",
                                                            R"sql(
-- What is due of each organization, whatever another has waiting.
DROP INDEX notice_due;
CREATE INDEX notice_due ON notice (organization_id, due_us, sequence) WHERE delivery = 'pending';
)sql"};

}  // namespace export_worker::jobs
