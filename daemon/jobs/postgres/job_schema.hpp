// The tables of the job registry. Private to daemon/jobs/postgres. Jobs reference `instance`, a
// table of daemon/cluster.
//
// Texts that are compared or sorted are COLLATE "C": by their bytes, as in SQLite, whatever the
// locale of the database. JSON is kept as text: jsonb changes bytes and refuses \u0000.
#pragma once

#include <array>

namespace export_worker::jobs::pg {

// One entry a schema version; released entries never change.
inline constexpr std::array<const char*, 1> kJobMigrations{R"sql(
CREATE TABLE registry (
    registry_id text NOT NULL
);
INSERT INTO registry VALUES (replace(gen_random_uuid()::text, '-', ''));
CREATE TABLE setting (
    name  text PRIMARY KEY,
    value bigint NOT NULL
);

-- next_due: no job of the organization that a daemon may start is due earlier; NULL: none waits. What makes a job wait lowers
-- it under the triggers' locks; a claim that finds none due raises it. running and stored_bytes are kept by the triggers and
-- by claims. The virtual times are those of start-time fair queueing: where the next turn may begin, and where the last began.
CREATE TABLE organization (
    organization_id         text COLLATE "C" PRIMARY KEY,
    running_max             integer,
    weight                  integer NOT NULL DEFAULT 1 CHECK (weight > 0),
    held                    boolean NOT NULL DEFAULT false,
    unfinished_max          bigint,
    stored_bytes_max        bigint,
    requests_per_second_max integer,
    virtual_time            bigint NOT NULL DEFAULT 0,
    virtual_start           bigint NOT NULL DEFAULT 0,
    running                 integer NOT NULL DEFAULT 0,
    stored_bytes            bigint NOT NULL DEFAULT 0,
    next_due                timestamptz
) WITH (fillfactor = 20);
CREATE INDEX organization_turn ON organization (virtual_time, organization_id) WHERE next_due IS NOT NULL;
CREATE INDEX organization_start ON organization (virtual_start);

CREATE TABLE job (
    job_id             text COLLATE "C" PRIMARY KEY,
    organization_id    text COLLATE "C" NOT NULL,
    job_type           text COLLATE "C" NOT NULL,
    runner             text COLLATE "C" NOT NULL CHECK (runner IN ('daemon', 'external')),
    status             text COLLATE "C" NOT NULL CHECK (status IN (
        'pending', 'in_progress', 'completed', 'completed_with_warnings', 'partial_success', 'failed', 'cancelled')),
    epoch              bigint NOT NULL DEFAULT 0,
    owner              text COLLATE "C" REFERENCES instance (instance_id),
    claim_token        text COLLATE "C",
    attempt            integer NOT NULL DEFAULT 0,
    attempts_max       integer NOT NULL,
    crashes            integer NOT NULL DEFAULT 0,
    interruptions      integer NOT NULL DEFAULT 0,
    priority           smallint NOT NULL,
    held               boolean NOT NULL DEFAULT false,
    cancel_at          timestamptz,
    start_at           timestamptz,
    due_at             timestamptz NOT NULL,
    deadline_at        timestamptz,
    deadline_length_us bigint,
    silence_us         bigint,
    seen_at            timestamptz,
    silent_at          timestamptz,
    created_at         timestamptz NOT NULL,
    started_at         timestamptz,
    completed_at       timestamptz,
    expired_at         timestamptz,
    spec               text NOT NULL,
    metadata           text NOT NULL,
    total_items        bigint NOT NULL CHECK (total_items >= 0),
    total_is_estimate  boolean NOT NULL DEFAULT false,
    processed_items    bigint NOT NULL DEFAULT 0 CHECK (processed_items >= 0),
    failed_items       bigint NOT NULL DEFAULT 0,
    warned_items       bigint NOT NULL DEFAULT 0,
    stage              text NOT NULL DEFAULT '',
    message            text NOT NULL DEFAULT '',
    error_message      text NOT NULL DEFAULT '',
    file_url           text NOT NULL DEFAULT '',
    filename           text NOT NULL DEFAULT '',
    content_type       text NOT NULL DEFAULT '',
    sha256             text NOT NULL DEFAULT '',
    triggered_by       text NOT NULL DEFAULT '',
    trace_id           text NOT NULL DEFAULT '',
    report_id          text NOT NULL DEFAULT '',
    idempotency_key    text COLLATE "C",
    request_sha256     text NOT NULL DEFAULT '',
    CHECK ((completed_at IS NOT NULL) = (status NOT IN ('pending', 'in_progress'))),
    CHECK ((owner IS NOT NULL) = (status = 'in_progress' AND runner = 'daemon'))
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX job_claimable ON job (organization_id, priority, due_at, job_id)
    WHERE status = 'pending' AND runner = 'daemon' AND NOT held;
CREATE INDEX job_due ON job (due_at) WHERE status = 'pending' AND runner = 'daemon' AND NOT held;
CREATE INDEX job_owned ON job (owner) WHERE owner IS NOT NULL;
-- A claim that runs again with its token waits here for the first, and then finds it.
CREATE UNIQUE INDEX job_claim ON job (claim_token) WHERE owner IS NOT NULL;
CREATE UNIQUE INDEX job_idempotency ON job (organization_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX job_deadline ON job (deadline_at) WHERE deadline_at IS NOT NULL AND completed_at IS NULL;
CREATE INDEX job_silent ON job (silent_at) WHERE silent_at IS NOT NULL AND status = 'in_progress';
CREATE INDEX job_external ON job ((coalesce(seen_at, due_at))) WHERE runner = 'external' AND completed_at IS NULL;
CREATE INDEX job_prunable ON job (completed_at) WHERE completed_at IS NOT NULL AND (runner = 'external' OR file_url = '');
CREATE INDEX job_listing ON job (organization_id, job_id);
CREATE INDEX job_filtered ON job (organization_id, job_type, status, job_id);
CREATE INDEX job_filtered_of_all ON job (job_type, status, job_id);

CREATE TABLE job_entry (
    job_id text COLLATE "C" NOT NULL REFERENCES job (job_id) ON DELETE CASCADE,
    kind   text COLLATE "C" NOT NULL CHECK (kind IN ('error', 'warning')),
    number integer NOT NULL,
    body   text NOT NULL,
    PRIMARY KEY (job_id, kind, number)
);
CREATE TABLE job_event (
    job_id text COLLATE "C" NOT NULL REFERENCES job (job_id) ON DELETE CASCADE,
    number integer NOT NULL,
    at     timestamptz NOT NULL,
    kind   text COLLATE "C" NOT NULL,
    actor  text NOT NULL,
    detail text NOT NULL,
    count  bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (job_id, number)
);
-- Links and downloads, counted by the minute. By the day first, so that those of old jobs and of new ones are written to the
-- same few pages.
CREATE TABLE job_access (
    access_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    day       integer NOT NULL,
    job_id    text COLLATE "C" NOT NULL,
    minute    bigint NOT NULL,
    kind      text COLLATE "C" NOT NULL,
    actor     text COLLATE "C" NOT NULL,
    at        timestamptz NOT NULL,
    count     bigint NOT NULL
);
CREATE UNIQUE INDEX job_access_of_job ON job_access (day, job_id, minute, kind, hashtextextended(actor, 0));
CREATE TABLE file (
    file_key     text COLLATE "C" PRIMARY KEY,
    job_id       text COLLATE "C" NOT NULL REFERENCES job (job_id),
    epoch        bigint NOT NULL,
    claim_token  text COLLATE "C" NOT NULL,
    state        text COLLATE "C" NOT NULL CHECK (state IN ('intended', 'live', 'expiring')),
    bytes        bigint,
    sha256       text,
    intended_at  timestamptz NOT NULL,
    delete_after timestamptz
);
CREATE INDEX file_of_job ON file (job_id);
CREATE INDEX file_intended ON file (job_id) WHERE state = 'intended';
CREATE INDEX file_live ON file (intended_at) WHERE state = 'live';
CREATE INDEX file_withdrawn ON file (delete_after) WHERE state = 'expiring';
-- Withdrawn files, for daemons that keep files in memory. Whoever withdraws takes the one row of file_version first, so that
-- versions are committed in their order.
CREATE TABLE file_version (
    version bigint NOT NULL
);
INSERT INTO file_version VALUES (0);
CREATE TABLE file_change (
    version bigint NOT NULL,
    job_id  text COLLATE "C" NOT NULL,
    at      timestamptz NOT NULL,
    PRIMARY KEY (version, job_id)
);
CREATE INDEX file_change_age ON file_change (at);
-- A notice is written with the end of its job and without a number. Those that are committed are numbered together under the
-- lock of the one row of notice_number: no number is missing, and none appears behind one that was read.
CREATE TABLE notice (
    notice_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sequence        bigint UNIQUE,
    event_id        text NOT NULL,
    organization_id text COLLATE "C" NOT NULL,
    job_id          text COLLATE "C" NOT NULL,
    type            text NOT NULL,
    body            text NOT NULL,
    at              timestamptz NOT NULL,
    delivery        text COLLATE "C" NOT NULL DEFAULT 'pending' CHECK (delivery IN ('pending', 'done', 'given_up')),
    attempts        integer NOT NULL DEFAULT 0,
    due_at          timestamptz NOT NULL,
    answer          text NOT NULL DEFAULT ''
);
CREATE INDEX notice_unnumbered ON notice (notice_id) WHERE sequence IS NULL;
CREATE INDEX notice_due ON notice (organization_id, due_at, sequence) WHERE delivery = 'pending';
CREATE INDEX notice_prunable ON notice (at) WHERE delivery <> 'pending';
CREATE INDEX notice_of_organization ON notice (organization_id, sequence);
CREATE TABLE notice_number (
    last bigint NOT NULL
);
INSERT INTO notice_number VALUES (0);
-- Deliveries under way, at most one of an organization. A row whose time is over counts as none.
CREATE TABLE delivery_turn (
    organization_id text COLLATE "C" PRIMARY KEY,
    sequence        bigint NOT NULL,
    leased_by       text COLLATE "C" NOT NULL,
    leased_until    timestamptz NOT NULL
) WITH (fillfactor = 50);

-- How many jobs there are. A change is a row of its own, so that no two writers wait for each other; housekeeping adds the
-- changes to the numbers. Who wants to know adds both (job_counts).
CREATE TABLE job_count (
    organization_id text COLLATE "C" NOT NULL,
    runner          text COLLATE "C" NOT NULL,
    status          text COLLATE "C" NOT NULL,
    job_type        text COLLATE "C" NOT NULL,
    jobs            bigint NOT NULL,
    PRIMARY KEY (organization_id, runner, status, job_type)
);
CREATE INDEX job_count_pending ON job_count (organization_id) INCLUDE (jobs) WHERE runner = 'daemon' AND status = 'pending';
CREATE INDEX job_count_nothing ON job_count (organization_id) WHERE jobs = 0;
CREATE TABLE job_count_of_all (
    status   text COLLATE "C" NOT NULL,
    job_type text COLLATE "C" NOT NULL,
    jobs     bigint NOT NULL,
    PRIMARY KEY (status, job_type)
);
CREATE TABLE job_count_change (
    organization_id text COLLATE "C" NOT NULL,
    runner          text COLLATE "C" NOT NULL,
    status          text COLLATE "C" NOT NULL,
    job_type        text COLLATE "C" NOT NULL,
    jobs            integer NOT NULL
);
CREATE INDEX job_count_change_of_organization ON job_count_change (organization_id);
CREATE VIEW job_counts AS
    SELECT organization_id, runner, status, job_type, jobs FROM job_count
    UNION ALL SELECT organization_id, runner, status, job_type, jobs FROM job_count_change;
CREATE VIEW job_counts_of_all AS
    SELECT status, job_type, jobs FROM job_count_of_all
    UNION ALL SELECT status, job_type, jobs FROM job_count_change;
CREATE FUNCTION count_job() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO job_count_change VALUES (old.organization_id, old.runner, old.status, old.job_type, -1);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO job_count_change VALUES (new.organization_id, new.runner, new.status, new.job_type, 1);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER job_arrives AFTER INSERT ON job FOR EACH ROW EXECUTE FUNCTION count_job();
CREATE TRIGGER job_moves AFTER UPDATE OF status ON job FOR EACH ROW WHEN (new.status <> old.status) EXECUTE FUNCTION count_job();
CREATE TRIGGER job_goes AFTER DELETE ON job FOR EACH ROW EXECUTE FUNCTION count_job();

-- A job of the daemons waits, or runs no more. Where next_due is early enough already, writers share the row (FOR KEY SHARE):
-- only a claim that raises next_due excludes them. One that has raised it meanwhile makes the transaction run again: to share
-- the row first and then to change it would deadlock.
CREATE FUNCTION keep_organization() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    waits CONSTANT boolean := new.status = 'pending' AND NOT new.held;
BEGIN
    IF TG_OP = 'UPDATE' AND old.status = 'in_progress' AND new.status <> 'in_progress' THEN
        UPDATE organization
            SET running = running - 1, next_due = CASE WHEN waits THEN least(next_due, new.due_at) ELSE next_due END
            WHERE organization_id = new.organization_id;
    ELSIF NOT waits THEN
        RETURN NULL;
    ELSIF EXISTS (SELECT FROM organization WHERE organization_id = new.organization_id AND next_due <= new.due_at) THEN
        PERFORM FROM organization WHERE organization_id = new.organization_id AND next_due <= new.due_at FOR KEY SHARE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'organization %: found without work meanwhile', new.organization_id
                USING ERRCODE = 'serialization_failure';
        END IF;
    ELSE
        INSERT INTO organization (organization_id, next_due) VALUES (new.organization_id, new.due_at)
            ON CONFLICT (organization_id) DO UPDATE SET next_due = least(organization.next_due, excluded.next_due);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER job_waits AFTER INSERT ON job FOR EACH ROW WHEN (new.runner = 'daemon') EXECUTE FUNCTION keep_organization();
CREATE TRIGGER job_waits_again AFTER UPDATE OF status, held, due_at ON job FOR EACH ROW
    WHEN (new.runner = 'daemon' AND (old.status, old.held, old.due_at) IS DISTINCT FROM (new.status, new.held, new.due_at))
    EXECUTE FUNCTION keep_organization();

CREATE FUNCTION keep_stored_bytes() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE organization
        SET stored_bytes = stored_bytes + CASE WHEN new.state = 'live' THEN coalesce(new.bytes, 0) ELSE -coalesce(old.bytes, 0) END
        WHERE organization_id = (SELECT organization_id FROM job WHERE job_id = new.job_id);
    RETURN NULL;
END $$;
CREATE TRIGGER file_moves AFTER UPDATE OF state ON file FOR EACH ROW
    WHEN (new.state <> old.state AND 'live' IN (new.state, old.state)) EXECUTE FUNCTION keep_stored_bytes();
)sql"};

}  // namespace export_worker::jobs::pg
