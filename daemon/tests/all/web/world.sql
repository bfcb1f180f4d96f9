INSERT INTO users (id, github_id, github_login, access_token) VALUES (1, 11, 'ada', 'x'), (2, 12, 'eve', 'x');
INSERT INTO installations (installation_id, account_type, account_login, account_id, installed_by_user_id)
    VALUES (500, 'Organization', 'acme', 900, 1), (600, 'User', 'else', 901, NULL);
INSERT INTO repositories (id, github_id, installation_id, owner, name, full_name, private, default_branch) VALUES
    (1, 9021, 500, 'acme', 'secret', 'acme/secret', true, 'main'),
    (2, 9022, 500, 'acme', 'open', 'acme/open', false, 'main'),
    (3, 9023, 600, 'else', 'hidden', 'else/hidden', true, NULL);
INSERT INTO user_repositories (user_id, repository_id, permission, expires_at)
    VALUES (1, 1, 'write', now() + interval '1 hour'), (2, 2, 'read', now() + interval '1 hour');
INSERT INTO usage_stats (installation_id, period, jobs, jobs_completed)
    VALUES (500, date_trunc('month', now() AT TIME ZONE 'UTC')::date, 7, 5),
    (600, date_trunc('month', now() AT TIME ZONE 'UTC')::date, 3, 1);

INSERT INTO bisect_jobs (id, status, installation_id, repository_id, source, good_sha, bad_sha, command, requested_by,
        issue_number, comment_id, claim_epoch, event_seq, worker_id, heartbeat_at, started_at, completed_at, result,
        culprit_sha, candidates, candidates_left, strip, affinity, spec) VALUES
    (1, 'completed', 500, 1, NULL, repeat('a', 40), repeat('b', 40), '{sh,-c,secret-command}', 'ada', 1, 11, 1, 3, 'w',
        now(), now(), now(), 'aborted', NULL, 9, 9, NULL, NULL, '{"env": ["TOKEN=hush"]}'),
    (2, 'pending', NULL, NULL, '/src', repeat('a', 40), repeat('b', 40), '{pytest}', 'root', NULL, NULL, 0, 1, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'nowhere', '{}'),
    (3, 'completed', 500, 2, NULL, repeat('a', 40), repeat('b', 40), '{sh,-c,"pytest -x"}', 'ada', 7, 31, 1, 3, 'w',
        now(), now() - interval '90 seconds', now(), 'culprit', repeat('c', 40), 12, 1,
        '{"pieces": [["good", 4], ["candidate", 1], ["bad", 7]]}', NULL, '{"env": ["TOKEN=hush"]}'),
    (10, 'completed', 600, 3, NULL, repeat('a', 40), repeat('b', 40), '{sh,-c,secret-command}', 'mal', 1, 12, 1, 3, 'w',
        now(), now(), now(), 'aborted', NULL, 9, 9, NULL, NULL, '{}');
INSERT INTO bisect_jobs (id, installation_id, repository_id, good_sha, bad_sha, command, requested_by, event_seq, available_at)
    SELECT n, 500, 2, repeat('a', 40), repeat('b', 40), '{sh,-c,pytest}', 'ada', 1, now() + interval '1 day'
    FROM generate_series(4, 9) AS n;
SELECT setval(pg_get_serial_sequence('bisect_jobs', 'id'), 100);
INSERT INTO job_events (job_id, seq, kind, epoch) SELECT id, 1, 'queued', 0 FROM bisect_jobs;
INSERT INTO job_events (job_id, seq, kind, epoch, worker_id) SELECT id, 2, 'claimed', 1, 'w' FROM bisect_jobs WHERE claim_epoch = 1;
INSERT INTO job_events (job_id, seq, kind, epoch, worker_id) SELECT id, 3, 'completed', 1, 'w' FROM bisect_jobs WHERE claim_epoch = 1;
INSERT INTO probes (id, job_id, epoch, commit_sha, purpose, lane, subject, position, ending, exit_code, verdict, seconds, finished_at) VALUES
    (1, 1, 1, repeat('b', 40), 'search', 0, 'Secret subject', 8, 'exited', 1, 'bad', 1.5, now()),
    (2, 3, 1, repeat('b', 40), 'search', 0, 'Newest', 11, 'exited', 1, 'bad', 1.5, now()),
    (3, 3, 1, repeat('a', 40), 'search', 1, 'Oldest', NULL, 'exited', 0, 'good', 1.25, now()),
    (4, 3, 1, repeat('c', 40), 'search', 0, 'Break <it>', 4, 'exited', 1, 'bad', 1.5, now()),
    (5, 3, 1, repeat('d', 40), 'search', 1, 'Before', 3, 'stopped', NULL, NULL, NULL, now()),
    (6, 3, 1, repeat('c', 40), 'proof', 2, 'Break <it>', 4, 'exited', 1, 'bad', 1.5, now()),
    (7, 10, 1, repeat('b', 40), 'search', 0, 'Secret subject', 8, 'exited', 1, 'bad', 1.5, now());
SELECT setval(pg_get_serial_sequence('probes', 'id'), 100);
INSERT INTO log_chunks (probe_id, seq, bytes) VALUES
    (1, 0, 'secret output'), (7, 0, 'secret output'), (2, 0, convert_to(E'first\n', 'UTF8')), (2, 1, convert_to(E'second\n', 'UTF8')),
    (4, 0, convert_to(E'\u001b[31m<b>red</b>\u001b[0m\n', 'UTF8'));
