DROP TABLE usage_stats;
DROP TABLE bisect_jobs;
DROP FUNCTION installations_join_queue();
DROP FUNCTION bisect_jobs_stay_final();
DROP TABLE repositories;
DROP TABLE installations;
DROP TABLE rate_limits;
DROP TABLE users;
