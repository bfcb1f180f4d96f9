-- Which job the person at this process waits for: Ctrl-C cancels a job only when nobody else does.
ALTER TABLE instances ADD COLUMN watches_job bigint REFERENCES bisect_jobs ON DELETE SET NULL;
CREATE INDEX instances_watches_job ON instances (watches_job) WHERE watches_job IS NOT NULL;
