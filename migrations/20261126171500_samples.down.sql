-- Takes back 20261126171500_samples.up.sql. Samples become runs of a search, which an older program takes for contradictions.
UPDATE probes SET purpose = 'search' WHERE purpose = 'sample';
ALTER TABLE probes DROP CONSTRAINT probes_purpose_check;
ALTER TABLE probes ADD CONSTRAINT probes_purpose_check CHECK (purpose IN ('search', 'proof'));
