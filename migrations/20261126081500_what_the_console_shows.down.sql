-- Takes back 20261126081500_what_the_console_shows.up.sql.
DROP INDEX bisect_jobs_ended_at;
DROP INDEX bisect_jobs_by_status;
ALTER TABLE instances DROP COLUMN docker, DROP COLUMN max_probes;
ALTER TABLE probes DROP COLUMN position, DROP COLUMN subject;
ALTER TABLE bisect_jobs DROP COLUMN strip, DROP COLUMN candidates;
