-- Dashboard reads run under a role without ownership, with app.user_id set per transaction
-- (SET LOCAL ROLE bisect_dashboard). The owner, as which the daemon works, passes every policy;
-- any other role sees nothing, because no policy names it.

-- A role belongs to the whole server, so it may be there already.
DO $$
BEGIN
    CREATE ROLE bisect_dashboard NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END $$;
DO $$
BEGIN
    IF NOT pg_has_role(current_user, 'bisect_dashboard', 'MEMBER') OR NOT pg_has_role(current_user, 'bisect_dashboard', 'USAGE') THEN
        EXECUTE format('GRANT bisect_dashboard TO %I', current_user);
    END IF;
END $$;

-- The viewer of this transaction; null for somebody who is not signed in.
CREATE FUNCTION app_user_id() RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE AS
    $$ SELECT nullif(current_setting('app.user_id', true), '')::bigint $$;

ALTER TABLE users              ENABLE ROW LEVEL SECURITY;
ALTER TABLE rate_limits        ENABLE ROW LEVEL SECURITY;
ALTER TABLE installations      ENABLE ROW LEVEL SECURITY;
ALTER TABLE repositories       ENABLE ROW LEVEL SECURITY;
ALTER TABLE bisect_jobs        ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_stats        ENABLE ROW LEVEL SECURITY;
ALTER TABLE probes             ENABLE ROW LEVEL SECURITY;
ALTER TABLE log_chunks         ENABLE ROW LEVEL SECURITY;
ALTER TABLE job_events         ENABLE ROW LEVEL SECURITY;
ALTER TABLE instances          ENABLE ROW LEVEL SECURITY;
ALTER TABLE verdicts           ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_deliveries ENABLE ROW LEVEL SECURITY;
ALTER TABLE outbox             ENABLE ROW LEVEL SECURITY;
ALTER TABLE sessions           ENABLE ROW LEVEL SECURITY;
ALTER TABLE user_repositories  ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_events       ENABLE ROW LEVEL SECURITY;
ALTER TABLE IF EXISTS _sqlx_migrations ENABLE ROW LEVEL SECURITY;

GRANT SELECT (id, github_id, github_login, github_name, email, avatar_url, created_at, last_login_at)
    ON users TO bisect_dashboard;
GRANT SELECT ON rate_limits, installations, repositories, bisect_jobs, usage_stats, probes, log_chunks,
    job_events, user_repositories, audit_events TO bisect_dashboard;

CREATE POLICY viewer ON users FOR SELECT TO bisect_dashboard
    USING (id = app_user_id());
CREATE POLICY viewer ON user_repositories FOR SELECT TO bisect_dashboard
    USING (user_id = app_user_id() AND expires_at > now());
CREATE POLICY viewer ON repositories FOR SELECT TO bisect_dashboard
    USING (NOT private OR id IN (SELECT repository_id FROM user_repositories));
-- Below, a subquery on a table with a policy sees what the viewer may see of it.
CREATE POLICY viewer ON installations FOR SELECT TO bisect_dashboard
    USING (installation_id IN (SELECT r.installation_id FROM repositories r JOIN user_repositories u ON u.repository_id = r.id));
CREATE POLICY viewer ON usage_stats FOR SELECT TO bisect_dashboard
    USING (installation_id IN (SELECT installation_id FROM installations));
CREATE POLICY viewer ON rate_limits FOR SELECT TO bisect_dashboard
    USING (true);
-- A local job has no repository, and so no viewer.
CREATE POLICY viewer ON bisect_jobs FOR SELECT TO bisect_dashboard
    USING (EXISTS (SELECT 1 FROM repositories r WHERE r.id = repository_id));
CREATE POLICY viewer ON probes FOR SELECT TO bisect_dashboard
    USING (EXISTS (SELECT 1 FROM bisect_jobs j WHERE j.id = job_id));
CREATE POLICY viewer ON log_chunks FOR SELECT TO bisect_dashboard
    USING (EXISTS (SELECT 1 FROM probes p WHERE p.id = probe_id));
CREATE POLICY viewer ON job_events FOR SELECT TO bisect_dashboard
    USING (EXISTS (SELECT 1 FROM bisect_jobs j WHERE j.id = job_id));
CREATE POLICY viewer ON audit_events FOR SELECT TO bisect_dashboard
    USING (actor_user_id = app_user_id());
