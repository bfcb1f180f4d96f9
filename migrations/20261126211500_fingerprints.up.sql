-- What a failing run said last, as numbers of its last lines (`search/fingerprint.rs`): two runs of one failure have most of them in common.
ALTER TABLE probes ADD COLUMN fingerprint text NOT NULL DEFAULT '';
ALTER TABLE verdicts ADD COLUMN fingerprint text NOT NULL DEFAULT '';
