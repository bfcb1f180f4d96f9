-- A run that interfered with its own supervision has an ending of its own. A job keeps what its image's name meant
-- when it was first run, and a probe which image it ran in: a tag may move, and mean another image elsewhere.

ALTER TABLE probes DROP CONSTRAINT probes_ending_check;
ALTER TABLE probes ADD CONSTRAINT probes_ending_check CHECK (ending IN ('exited', 'setup_failed', 'timed_out',
    'silent', 'out_of_memory', 'out_of_disk', 'tampered', 'stopped'));
ALTER TABLE verdicts DROP CONSTRAINT verdicts_ending_check;
ALTER TABLE verdicts ADD CONSTRAINT verdicts_ending_check CHECK (ending IN ('exited', 'setup_failed', 'timed_out',
    'silent', 'out_of_memory', 'out_of_disk', 'tampered'));

-- Null where there is none (plain processes), and of what ran before this migration.
ALTER TABLE bisect_jobs ADD COLUMN image_id text;
ALTER TABLE probes ADD COLUMN image_id text;
