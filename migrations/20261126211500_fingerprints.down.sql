ALTER TABLE verdicts DROP COLUMN fingerprint;
ALTER TABLE probes DROP COLUMN fingerprint;
