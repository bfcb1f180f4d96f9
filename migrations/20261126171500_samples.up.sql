-- A test that fails by chance is run many times on one commit: each such run is a sample.
ALTER TABLE probes DROP CONSTRAINT probes_purpose_check;
ALTER TABLE probes ADD CONSTRAINT probes_purpose_check CHECK (purpose IN ('search', 'proof', 'sample'));
