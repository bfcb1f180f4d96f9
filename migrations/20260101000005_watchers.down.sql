-- Takes back 20260101000005_watchers.up.sql.
ALTER TABLE instances DROP COLUMN watches_job;
