-- Takes back 20261126011800_what_viewers_read_of_jobs.up.sql: to grant a table and to revoke it again also takes back
-- every grant on its columns.
REVOKE ALL ON bisect_jobs FROM bisect_dashboard;
GRANT SELECT ON bisect_jobs TO bisect_dashboard;
