ALTER TABLE bisect_jobs
    DROP COLUMN pulls,
    DROP COLUMN options;
DROP FUNCTION job_options(jsonb);
