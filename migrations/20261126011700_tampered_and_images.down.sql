-- Takes back 20261126011700_tampered_and_images.up.sql.
ALTER TABLE probes DROP COLUMN image_id;
ALTER TABLE bisect_jobs DROP COLUMN image_id;

-- What it was before: a skip.
UPDATE probes SET ending = 'setup_failed', exit_code = 125 WHERE ending = 'tampered';
UPDATE verdicts SET ending = 'setup_failed', exit_code = 125 WHERE ending = 'tampered';
ALTER TABLE probes DROP CONSTRAINT probes_ending_check;
ALTER TABLE probes ADD CONSTRAINT probes_ending_check CHECK (ending IN ('exited', 'setup_failed', 'timed_out',
    'silent', 'out_of_memory', 'out_of_disk', 'stopped'));
ALTER TABLE verdicts DROP CONSTRAINT verdicts_ending_check;
ALTER TABLE verdicts ADD CONSTRAINT verdicts_ending_check CHECK (ending IN ('exited', 'setup_failed', 'timed_out',
    'silent', 'out_of_memory', 'out_of_disk'));
