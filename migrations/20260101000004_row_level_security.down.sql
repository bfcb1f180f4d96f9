DROP POLICY viewer ON audit_events;
DROP POLICY viewer ON job_events;
DROP POLICY viewer ON log_chunks;
DROP POLICY viewer ON probes;
DROP POLICY viewer ON bisect_jobs;
DROP POLICY viewer ON rate_limits;
DROP POLICY viewer ON usage_stats;
DROP POLICY viewer ON installations;
DROP POLICY viewer ON repositories;
DROP POLICY viewer ON user_repositories;
DROP POLICY viewer ON users;

REVOKE ALL ON rate_limits, installations, repositories, bisect_jobs, usage_stats, probes, log_chunks,
    job_events, user_repositories, audit_events, users FROM bisect_dashboard;
REVOKE SELECT (id, github_id, github_login, github_name, email, avatar_url, created_at, last_login_at)
    ON users FROM bisect_dashboard;

ALTER TABLE users              DISABLE ROW LEVEL SECURITY;
ALTER TABLE rate_limits        DISABLE ROW LEVEL SECURITY;
ALTER TABLE installations      DISABLE ROW LEVEL SECURITY;
ALTER TABLE repositories       DISABLE ROW LEVEL SECURITY;
ALTER TABLE bisect_jobs        DISABLE ROW LEVEL SECURITY;
ALTER TABLE usage_stats        DISABLE ROW LEVEL SECURITY;
ALTER TABLE probes             DISABLE ROW LEVEL SECURITY;
ALTER TABLE log_chunks         DISABLE ROW LEVEL SECURITY;
ALTER TABLE job_events         DISABLE ROW LEVEL SECURITY;
ALTER TABLE instances          DISABLE ROW LEVEL SECURITY;
ALTER TABLE verdicts           DISABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_deliveries DISABLE ROW LEVEL SECURITY;
ALTER TABLE outbox             DISABLE ROW LEVEL SECURITY;
ALTER TABLE sessions           DISABLE ROW LEVEL SECURITY;
ALTER TABLE user_repositories  DISABLE ROW LEVEL SECURITY;
ALTER TABLE audit_events       DISABLE ROW LEVEL SECURITY;
ALTER TABLE IF EXISTS _sqlx_migrations DISABLE ROW LEVEL SECURITY;

DROP FUNCTION app_user_id();
-- The role stays: it belongs to the server, and other databases of it may use it.
