//! The answers as plain tables. Pure.

use crate::clock::{delta, span};
use bisect_shared::{
    JobStatus,
    admin::{AuditPage, InstanceList, JobPage, JobView, Overview},
};
use chrono::{DateTime, Local, Utc};
use unicode_width::UnicodeWidthStr;

/// How values are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub(super) utc: bool,
    pub(super) ascii: bool,
    /// The daemon's clock.
    pub(super) now: DateTime<Utc>,
}

impl Style {
    fn time(&self, at: DateTime<Utc>) -> String {
        if self.utc {
            at.format("%Y-%m-%d %H:%M:%SZ").to_string()
        } else {
            at.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S").to_string()
        }
    }

    /// A text of others.
    fn text(&self, text: &str) -> String {
        let text = crate::plain::line(text);
        if self.ascii {
            text.chars().map(|letter| if letter.is_ascii() { letter } else { '?' }).collect()
        } else {
            text
        }
    }

    fn maybe(&self, text: Option<&str>) -> String {
        text.map_or_else(|| "-".to_owned(), |text| self.text(text))
    }
}

pub(super) fn jobs(page: &JobPage, style: &Style) -> String {
    let row = |job: &JobView| {
        let left = job.candidates_left.map_or_else(|| "-".to_owned(), |left| left.to_string());
        let ended = job.completed_at.or((job.status == JobStatus::Running).then_some(style.now));
        let took = job.started_at.zip(ended).map(|(from, to)| span(to - from));
        let outcome = match (&job.culprit, job.result, &job.error) {
            (Some(culprit), ..) => culprit.short().to_owned(),
            (None, Some(result), _) => result.to_string(),
            (None, None, Some(error)) => style.text(error),
            _ => "-".to_owned(),
        };
        vec![
            job.id.to_string(),
            job.status.to_string(),
            style.text(&job.repository),
            style.maybe(job.requested_by.as_deref()),
            left,
            format!("{}+{}", job.probes_done, job.probes_running),
            took.unwrap_or_else(|| "-".to_owned()),
            style.time(job.created_at),
            style.maybe(job.worker.as_ref().map(|worker| worker.0.as_str())),
            outcome,
        ]
    };
    let head = ["JOB", "STATE", "REPOSITORY", "BY", "LEFT", "RUNS", "TOOK", "ASKED", "WORKER", "OUTCOME"];
    lines(&head, page.jobs.iter().map(row).collect())
}

pub(super) fn instances(list: &InstanceList, style: &Style) -> String {
    let rows = list.instances.iter().map(|server| {
        let state = if server.retired_at.is_some() {
            "ended".to_owned()
        } else if server.stale {
            "stale".to_owned()
        } else if let Some(who) = &server.drain_requested_by {
            format!("drained by {}", style.text(who))
        } else if server.max_jobs == 0 {
            "watches".to_owned()
        } else {
            "serves".to_owned()
        };
        let docker = match server.docker {
            Some(true) => "yes",
            Some(false) => "no",
            None => "-",
        };
        let probes = server.max_probes.map_or_else(String::new, |most| format!("/{most}"));
        vec![
            style.text(&server.id.0),
            style.text(&server.host),
            state,
            format!("{}/{}", server.running_jobs, server.max_jobs),
            format!("{}{probes}", server.running_probes),
            docker.to_owned(),
            span(style.now - server.heartbeat_at),
            style.text(&server.version),
        ]
    });
    lines(&["SERVER", "HOST", "STATE", "JOBS", "RUNS", "DOCKER", "HEARD", "VERSION"], rows.collect())
}

pub(super) fn overview(numbers: &Overview) -> String {
    let age = |seconds: f64| span(delta(seconds));
    let mut rows = vec![
        ("pending", numbers.pending.to_string()),
        ("running", numbers.running.to_string()),
        ("completed", numbers.completed.to_string()),
        ("failed", numbers.failed.to_string()),
        ("cancelled", numbers.cancelled.to_string()),
        ("stale", numbers.stale.to_string()),
        ("oldest pending", numbers.oldest_pending.map_or_else(|| "-".to_owned(), age)),
        ("inbox", format!("{}, {}", numbers.inbox, age(numbers.inbox_age))),
        ("outbox", format!("{}, {}", numbers.outbox, age(numbers.outbox_age))),
        ("ended in the last hour", numbers.ended_by_minute.iter().sum::<i64>().to_string()),
    ];
    for count in &numbers.results {
        rows.push((count.result.map_or("failed today", |result| result.name()), format!("{} today", count.jobs)));
    }
    let mut rows: Vec<Vec<String>> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    for rate in &numbers.github {
        rows.push(vec![
            format!("GitHub, {}", crate::plain::line(&rate.whose)),
            format!("{} of {} calls left", rate.left, rate.limit),
        ]);
    }
    lines(&[], rows)
}

pub(super) fn audit(page: &AuditPage, style: &Style) -> String {
    let rows = page.entries.iter().map(|entry| {
        vec![
            entry.id.to_string(),
            style.time(entry.at),
            style.text(&entry.actor),
            style.text(&entry.channel),
            style.text(&entry.action),
            entry.job.map_or_else(|| "-".to_owned(), |job| job.to_string()),
            style.text(&entry.detail),
        ]
    });
    lines(&["NO", "AT", "WHO", "THROUGH", "DID", "JOB", "DETAIL"], rows.collect())
}

/// Columns as wide as their widest value, two blanks apart.
fn lines(head: &[&str], mut rows: Vec<Vec<String>>) -> String {
    if !head.is_empty() {
        rows.insert(0, head.iter().map(|name| (*name).to_owned()).collect());
    }
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let wide =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(wide).collect();
    let mut out = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width.saturating_sub(cell.width()) + 2));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let rows = vec![vec!["1".to_owned(), "日本".to_owned(), "x".to_owned()], vec!["22".to_owned(), "a".to_owned()]];
        assert_eq!(lines(&["A", "B", "C"], rows), "A   B     C\n1   日本  x\n22  a\n");
    }
}
