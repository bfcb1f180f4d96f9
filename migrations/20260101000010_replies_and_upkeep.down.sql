DROP TRIGGER job_totals_ended ON bisect_jobs;
DROP TRIGGER job_totals_removed ON bisect_jobs;
DROP TRIGGER job_totals_added ON bisect_jobs;
DROP FUNCTION job_totals_count();
DROP TABLE job_totals, redeliveries, chores;
ALTER TABLE installations DROP COLUMN quiet_until;
ALTER TABLE outbox DROP COLUMN comment_deleted, DROP COLUMN waiting_since, DROP COLUMN urgent_revision,
    DROP COLUMN lease_epoch;
