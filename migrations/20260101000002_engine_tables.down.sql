DROP TABLE verdicts;
DROP TABLE instances;
DROP TABLE job_events;
DROP TABLE log_chunks;
DROP TABLE probes;
