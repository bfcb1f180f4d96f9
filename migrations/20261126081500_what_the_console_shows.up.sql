-- What the console shows and no row held yet: how long the range was and what is known of each of its parts, which
-- commit a run tested in words and where it stands, what an instance can do; and indexes for its lists.

-- Told by the worker with each start of a run. `candidates` is the first such count and stays; `strip` is bisect_shared's
-- Strip: pieces [mark, commits] over the range in topological order, the oldest first.
ALTER TABLE bisect_jobs
    ADD COLUMN candidates bigint CHECK (candidates >= 0),
    ADD COLUMN strip jsonb;
GRANT SELECT (candidates, strip) ON bisect_jobs TO bisect_dashboard;

-- The first line of the commit's message, once it was read; the commit's place in the range, 0 being the oldest, null
-- outside of it.
ALTER TABLE probes
    ADD COLUMN subject text,
    ADD COLUMN position integer CHECK (position >= 0);

-- Null from programs that do not say so; `docker`: whether its Docker answered at the last heartbeat.
ALTER TABLE instances
    ADD COLUMN max_probes integer CHECK (max_probes >= 0),
    ADD COLUMN docker boolean;

-- The newest jobs in a state, and those that ended lately with what they came to: however many have ended.
CREATE INDEX bisect_jobs_by_status ON bisect_jobs (status, id DESC);
CREATE INDEX bisect_jobs_ended_at ON bisect_jobs (completed_at) INCLUDE (result) WHERE completed_at IS NOT NULL;
