-- What replies need on many servers, what the upkeep of a fleet remembers, and jobs counted as they end.

ALTER TABLE outbox
    -- Raised by each lease: a sender whose lease was given to another writes nothing any more.
    ADD COLUMN lease_epoch bigint NOT NULL DEFAULT 0,
    -- The newest revision that people wait for: a result, or the first answer. What is above it is progress.
    ADD COLUMN urgent_revision bigint NOT NULL DEFAULT 1,
    -- Since when there is news that is not told; tries do not move it.
    ADD COLUMN waiting_since timestamptz NOT NULL DEFAULT now(),
    -- Somebody deleted the comment: no progress is written again, only the end, once.
    ADD COLUMN comment_deleted boolean NOT NULL DEFAULT false;
UPDATE outbox SET urgent_revision = CASE WHEN urgent THEN revision ELSE 0 END, waiting_since = created_at;

ALTER TABLE installations
    -- GitHub wants to hear nothing until then (a rate limit that one server was told of holds for all).
    ADD COLUMN quiet_until timestamptz;

-- What one server does for all, now and then.
CREATE TABLE chores (
    name     text PRIMARY KEY,
    -- When it was begun last, and by whom: nobody else begins it until its time comes again.
    begun_at timestamptz NOT NULL DEFAULT '-infinity',
    begun_by text,
    -- When it was last done to the end.
    done_at  timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO chores (name) VALUES ('redelivery'), ('totals');

-- Deliveries that failed and that GitHub was asked to send again.
CREATE TABLE redeliveries (
    delivery_id text PRIMARY KEY,                     -- X-GitHub-Delivery
    asked       integer NOT NULL DEFAULT 1 CHECK (asked > 0),
    asked_at    timestamptz NOT NULL DEFAULT now()
);

-- Ended jobs, counted: the sum over a status is how many there are. Each end adds a row, so that two ends
-- never wait for one another; the chore "totals" makes few rows of many.
CREATE TABLE job_totals (
    status text NOT NULL CHECK (status IN ('completed', 'failed', 'cancelled')),
    jobs   bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE FUNCTION job_totals_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO job_totals SELECT status, count(*) FROM added
            WHERE status IN ('completed', 'failed', 'cancelled') GROUP BY status;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO job_totals SELECT status, -count(*) FROM removed
            WHERE status IN ('completed', 'failed', 'cancelled') GROUP BY status;
    ELSE
        INSERT INTO job_totals VALUES (NEW.status, 1);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER job_totals_added AFTER INSERT ON bisect_jobs
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION job_totals_count();
CREATE TRIGGER job_totals_removed AFTER DELETE ON bisect_jobs
    REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION job_totals_count();
-- A final state is never left, so each job comes by here once.
CREATE TRIGGER job_totals_ended AFTER UPDATE OF status ON bisect_jobs FOR EACH ROW
    WHEN (NEW.status IN ('completed', 'failed', 'cancelled') AND OLD.status NOT IN ('completed', 'failed', 'cancelled'))
    EXECUTE FUNCTION job_totals_count();
INSERT INTO job_totals SELECT status, count(*) FROM bisect_jobs
    WHERE status IN ('completed', 'failed', 'cancelled') GROUP BY status;

ALTER TABLE chores       ENABLE ROW LEVEL SECURITY;
ALTER TABLE redeliveries ENABLE ROW LEVEL SECURITY;
ALTER TABLE job_totals   ENABLE ROW LEVEL SECURITY;
