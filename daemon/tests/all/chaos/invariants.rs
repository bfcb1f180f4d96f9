//! What must be true at the end of every run (design.md, chapter 6), read from the rows, from GitHub, and from Docker.

use super::fleet::{Fleet, INSTANCES, Question, REPOSITORIES};
use crate::support::{eventually, git_in};
use bisect_shared::{JobStatus, ResultKind};
use bisectd::db::{job_events::JobEventKind, jobs::JobRow};
use sqlx::{AssertSqlSafe, PgConnection};
use std::collections::BTreeSet;

impl Fleet {
    /// Waits until nothing is left to do: every webhook is taken and worked off, every job has ended, every
    /// reply is told.
    pub async fn comes_to_rest(&mut self) {
        eventually("every webhook is taken", async || (self.hub.redeliver_failed().await == 0).then_some(())).await;
        while let Some(left) = self.left_to_do().await {
            // However loaded the machine is: as long as there is progress.
            eventually("something more is done", async || {
                (self.left_to_do().await.as_ref() != Some(&left)).then_some(())
            })
            .await;
        }
        self.hub.settle().await;
        for place in 0..INSTANCES {
            self.terminate(place).await;
        }
    }

    /// What waits or is under way, and how far that is; nothing where all is done.
    async fn left_to_do(&mut self) -> Option<String> {
        let sql = "SELECT concat_ws(', ', \
            (SELECT string_agg(delivery_id || ' tried ' || attempts, ', ') FROM webhook_deliveries WHERE state = 'received'), \
            (SELECT string_agg(concat('job ', id, ' ', status, ' ', event_seq), ', ') FROM bisect_jobs \
               WHERE status IN ('pending', 'running')), \
            (SELECT string_agg(reply_key || ' tried ' || attempts, ', ') FROM outbox WHERE state = 'waiting'), \
            (SELECT count(*)::text FROM probes WHERE $1::bigint = 0)), \
            EXISTS (SELECT 1 FROM webhook_deliveries WHERE state = 'received') \
            OR EXISTS (SELECT 1 FROM bisect_jobs WHERE status IN ('pending', 'running')) \
            OR EXISTS (SELECT 1 FROM outbox WHERE state = 'waiting')";
        let rows: Vec<(String, bool)> = eventually("the database answers", async || self.eyes.rows(sql, 0).await).await;
        rows.into_iter().next().and_then(|(left, waits)| waits.then_some(left))
    }

    /// Everything that must hold of a fleet at rest.
    pub async fn holds(&mut self) {
        let jobs = self.world.jobs().await;
        let sql = "SELECT delivery_id, concat_ws(' ', event, state, outcome, 'job', job_id) FROM webhook_deliveries \
            WHERE $1::bigint = 0 ORDER BY received_at";
        let told: Vec<(String, String)> = self.eyes.rows(sql, 0).await.unwrap_or_default();
        assert_eq!(jobs.len(), self.asked.len(), "one job for each question: {told:?}");
        for question in self.asked.clone() {
            let mut of_it = jobs.iter().filter(|job| job.comment == Some(question.comment));
            let job = of_it.next().expect("its job");
            assert!(of_it.next().is_none(), "one job");
            self.job_is_right(job, &question).await;
            self.told_once(job, &question);
        }
        let mut raw = self.world.db.raw().await;
        let late: Vec<(String, i64, i64, i64, String)> =
            sqlx::query_as("SELECT * FROM late_writes").fetch_all(&mut raw).await.unwrap();
        assert!(late.is_empty(), "writes of old epochs were accepted: {late:?}");
        self.webhooks_are_kept(&mut raw).await;
        self.no_secret_anywhere(&mut raw).await;
        self.nothing_is_left().await;
        assert_eq!(self.hub.violations(), Vec::<String>::new(), "calls that GitHub does not document");
    }

    /// One end, epochs that rise, counts that add up, and plain git's culprit.
    async fn job_is_right(&self, job: &JobRow, question: &Question) {
        let events = self.world.history(job.id).await;
        let kinds: Vec<JobEventKind> = events.iter().map(|event| event.kind).collect();
        assert_eq!(job.status, JobStatus::Completed, "{:?}: {kinds:?}", job.error);
        assert_eq!(kinds.iter().filter(|kind| kind.is_end()).count(), 1, "one end: {kinds:?}");
        let end = kinds.iter().position(|kind| kind.is_end()).unwrap();
        assert!(kinds[end + 1..].iter().all(|kind| *kind == JobEventKind::WriteRefused), "left its end: {kinds:?}");
        let claims = kinds.iter().filter(|kind| **kind == JobEventKind::Claimed).count();
        assert_eq!(claims, (job.attempts + job.handovers) as usize, "every claim is counted once: {kinds:?}");
        let probes = self.world.probes(job.id).await;
        assert!(probes.iter().all(|probe| probe.epoch <= job.epoch), "a probe of an epoch to come");
        assert_eq!(job.result, Some(ResultKind::Culprit), "{kinds:?}");
        let project = self.project(question.asked);
        assert_eq!(job.culprit, Some(project.sha(&format!("c{}", question.asked.culprit))), "the planted one");
        assert_eq!(job.culprit.map(|sha| sha.to_string()), Some(self.plain_git(question)), "git's own");
    }

    /// What `git bisect run` finds in a clone of the repository.
    fn plain_git(&self, question: &Question) -> String {
        let folder = tempfile::tempdir().unwrap();
        let source = self.project(question.asked).text();
        let git = |args: &[&str]| {
            let output = git_in(folder.path(), args).output().unwrap();
            assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        git(&["clone", "--quiet", &source, "."]);
        git(&["bisect", "start", "main", "c0"]);
        let test = format!("test $(cat n) -lt {}", question.asked.culprit);
        git(&["bisect", "run", "sh", "-c", &test]);
        git(&["rev-parse", "refs/bisect/bad"]).trim().to_owned()
    }

    /// One comment on the issue, with the result that the database has, and one pair of eyes.
    fn told_once(&self, job: &JobRow, question: &Question) {
        let comments = self.hub.comments(REPOSITORIES[question.asked.repository], question.issue).unwrap();
        let ours: Vec<_> = comments.iter().filter(|comment| comment.app.is_some()).collect();
        let bodies: Vec<&str> = ours.iter().map(|comment| comment.body.as_str()).collect();
        assert_eq!(bodies.len(), 1, "one comment for job {}: {bodies:#?}", job.id);
        let culprit = job.culprit.unwrap().to_string();
        assert!(bodies[0].contains("Culprit found and proven") && bodies[0].contains(&culprit), "{}", bodies[0]);
        assert_eq!(self.hub.reactions(question.comment).len(), 1, "eyes on comment {}", question.comment);
    }

    /// Every webhook that was acknowledged is in the inbox, and is one job or has its recorded reason.
    async fn webhooks_are_kept(&self, raw: &mut PgConnection) {
        type Row = (String, Option<i64>, String, Option<String>, Option<i64>);
        let sql = "SELECT delivery_id, comment_id, state, outcome, job_id FROM webhook_deliveries";
        let rows: Vec<Row> = sqlx::query_as(sql).fetch_all(raw).await.unwrap();
        for (id, _, state, outcome, job) in &rows {
            let kept = match state.as_str() {
                "processed" => job.is_some(),
                "ignored" | "rejected" => outcome.is_some(),
                _ => false,
            };
            assert!(kept, "delivery {id} is {state}, {outcome:?}, job {job:?}");
        }
        let jobs: Vec<i64> = rows.iter().filter_map(|row| row.4).collect();
        assert_eq!(jobs.len(), jobs.iter().collect::<BTreeSet<_>>().len(), "one delivery for each job");
        for delivery in self.hub.deliveries().iter().filter(|delivery| delivery.status == 202) {
            assert!(rows.iter().any(|row| row.0 == delivery.guid), "{} was acknowledged and is gone", delivery.guid);
        }
    }

    /// Not in any row, any log, any comment.
    async fn no_secret_anywhere(&self, raw: &mut PgConnection) {
        let mut texts = self.logs();
        texts.extend(self.hub.comments_by_apps().into_iter().flat_map(|comment| comment.history));
        let tables: Vec<(String,)> = sqlx::query_as(
            "SELECT format('%I', table_name) FROM information_schema.tables WHERE table_schema = 'public'",
        )
        .fetch_all(&mut *raw)
        .await
        .unwrap();
        assert!(tables.len() > 15, "{tables:?}");
        for (table,) in tables {
            // Output of commands as text, everything else as PostgreSQL shows it.
            let row = if table == "log_chunks" { "encode(bytes, 'escape')" } else { "t::text" };
            let sql = format!("SELECT {row} FROM {table} t");
            let rows: Vec<(String,)> = sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&mut *raw).await.unwrap();
            texts.extend(rows.into_iter().map(|(text,)| text));
        }
        let mut secrets = self.hub.tokens();
        assert!(!secrets.is_empty(), "tokens were given out");
        secrets.push(self.app.webhook_secret.clone());
        secrets.extend(self.app.private_key.lines().filter(|line| !line.starts_with("--")).map(str::to_owned));
        for text in texts {
            let found = secrets.iter().find(|secret| text.contains(secret.as_str()));
            assert!(found.is_none(), "a secret stands in {text}");
        }
    }

    /// No container, no volume, no workspace.
    async fn nothing_is_left(&self) {
        eventually("containers and volumes are gone", async || self.world.containers().is_empty().then_some(())).await;
        for place in 0..INSTANCES {
            let lanes = std::fs::read_dir(self.data_dir(place).join("lanes"));
            assert_eq!(lanes.map_or(0, Iterator::count), 0, "workspaces of {place}");
        }
    }
}
