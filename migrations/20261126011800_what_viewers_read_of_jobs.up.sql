-- A job's spec holds the values of --env, and request_key is a hash over them: no viewer reads either, whatever a page
-- asks for. Columns are named one by one, so a new one stays out of reach until a migration grants it.
REVOKE SELECT ON bisect_jobs FROM bisect_dashboard;
GRANT SELECT (id, status, installation_id, repository_id, source, affinity, user_id, requested_by, issue_number,
    comment_id, retry_of, good_sha, more_good_shas, bad_sha, command, setup, image, image_id, lanes, timeout_seconds,
    max_seconds, priority, available_at, worker_id, heartbeat_at, attempt_count, handover_count, claim_epoch,
    event_seq, candidates_left, expected_probes, cancel_requested_at, cancel_requested_by, result, culprit_sha, report,
    error, created_at, started_at, completed_at) ON bisect_jobs TO bisect_dashboard;
