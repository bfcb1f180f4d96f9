//! The table of jobs.

use super::{format, instead, loading, paint::Paint, table};
use crate::{
    clock::span,
    layout::{self, JobsLayout, Screen},
    state::{Column, Filter, HeldUp, State, elapsed, ends_in},
    text,
    theme::Role,
};
use bisect_shared::{JobStatus, ResultKind, admin::JobView};
use ratatui::layout::Rect;
use std::ops::Range;

pub(super) fn draw(paint: &mut Paint<'_>, screen: &Screen, state: &State) {
    let JobsLayout { head, rows, about } = layout::jobs(screen.body);
    let columns = layout::job_columns(head);
    heads(paint, head, &columns, state);
    let (jobs, list) = (&state.jobs, state.jobs.list());
    if jobs.shown().is_empty() {
        return nothing(paint, Rect { height: rows.height + about.height, ..rows }, state);
    }
    for (number, row) in table::rows(rows, list.top, jobs.shown().len()) {
        let Some(job) = jobs.shown().get(number).and_then(|id| jobs.get(*id)) else { continue };
        for (column, range) in &columns {
            cell(paint, table::cell(row, range), *column, job, state);
        }
        if jobs.marked().contains(&job.id) {
            let sign = paint.signs().marked;
            paint.text(Rect { x: row.x + 1, width: 1, ..row }, sign, Role::Strong);
        }
        if number == list.row {
            table::cursor(paint, row);
        }
    }
    if let Some(job) = jobs.chosen() {
        about_job(paint, about, job, state);
    }
}

const fn is_number(column: Column) -> bool {
    matches!(column, Column::Id | Column::Probes | Column::Elapsed | Column::Ends | Column::Attempt)
}

fn heads(paint: &mut Paint<'_>, row: Rect, columns: &[(Column, Range<u16>)], state: &State) {
    let (sort, signs) = (state.jobs.sort(), paint.signs());
    let titles: Vec<String> = columns
        .iter()
        .map(|(column, _)| {
            let arrow = if sort.descending { signs.down } else { signs.up };
            if *column == sort.column { format!("{}{arrow}", column.title()) } else { column.title().to_owned() }
        })
        .collect();
    let cells = columns.iter().zip(&titles);
    table::heads(paint, row, cells.map(|((column, range), title)| (title.as_str(), range.clone(), is_number(*column))));
}

fn cell(paint: &mut Paint<'_>, at: Rect, column: Column, job: &JobView, state: &State) {
    match column {
        Column::Id => paint.right(at, &job.id.to_string(), Role::Plain),
        Column::State => {
            let held_up = state.held_up(job);
            let (sign, role) = job_sign(paint, job, held_up);
            let word = format::state(job, held_up, usize::from(at.width).saturating_sub(2));
            paint.pieces(at, [(sign, role), (" ", role), (&word, role)]);
        }
        Column::Repository => {
            let name = text::clean(&job.repository);
            let name = text::cut_front(&name, usize::from(at.width), paint.signs().ellipsis);
            paint.text(at, &name, Role::Plain);
        }
        Column::Requester => {
            let name = job.requested_by.as_deref().map_or("-".into(), text::clean);
            paint.text(at, &name, if job.requested_by.is_some() { Role::Plain } else { Role::Dim });
        }
        Column::Progress => progress(paint, at, job),
        Column::Probes => match (job.probes_done, job.probes_running) {
            (0, 0) => paint.right(at, "-", Role::Dim),
            (done, 0) => paint.right(at, &done.to_string(), Role::Plain),
            (done, running) => paint.right(at, &format!("{done}+{running}"), Role::Plain),
        },
        Column::Elapsed => {
            let role = if job.status == JobStatus::Pending { Role::Warn } else { Role::Plain };
            paint.right(at, &span(elapsed(job, state.clock.now())), role);
        }
        Column::Ends => match ends_in(job) {
            Some(left) => paint.right(at, &span(left), Role::Plain),
            None => paint.right(at, "-", Role::Dim),
        },
        Column::Worker => {
            let name = job.worker.as_ref().map_or("-".into(), |worker| text::clean(&worker.0));
            paint.text(at, &name, if job.worker.is_some() { Role::Plain } else { Role::Dim });
        }
        Column::Attempt => {
            let attempt = if job.attempt > 0 { job.attempt.to_string() } else { "-".to_owned() };
            paint.right(at, &attempt, if job.attempt > 1 { Role::Warn } else { Role::Dim });
        }
    }
}

/// The sign of a job: of its result, where it has one that is no success.
pub(super) fn job_sign(paint: &Paint<'_>, job: &JobView, held_up: Option<HeldUp>) -> (&'static str, Role) {
    let signs = paint.signs();
    match (job.status, job.result) {
        (JobStatus::Running, _) if held_up == Some(HeldUp::NoPulse) => (signs.bad, Role::Bad),
        (JobStatus::Running, _) if job.cancel_requested_by.is_some() => (signs.stopped, Role::Warn),
        (JobStatus::Running, _) if held_up.is_some() => (signs.pending, Role::Warn),
        (JobStatus::Completed, Some(ResultKind::Culprit)) => (signs.good, Role::Good),
        (JobStatus::Completed, Some(_)) => (signs.skip, Role::Warn),
        (status, _) => paint.theme.status(status),
    }
}

/// Candidates left, on a log scale; the culprit once it is found.
fn progress(paint: &mut Paint<'_>, at: Rect, job: &JobView) {
    match (job.culprit, job.status, job.candidates_left, job.candidates) {
        (Some(culprit), ..) => {
            paint.text(at, &culprit.short()[..usize::from(at.width.min(12))], Role::Good);
        }
        (None, JobStatus::Running, Some(left), of) => {
            let wide = at.width > 12;
            let number = if wide { format::number(left) } else { format::short_number(left) };
            let digits = if wide { 8 } else { 5 };
            let bar = Rect { width: at.width.saturating_sub(digits + 1), ..at };
            paint.bar(bar, format::narrowed(left, of.unwrap_or(left)), Role::Live);
            let after = Rect { x: bar.right() + 1, width: digits, ..at };
            paint.text(after, &number, Role::Plain);
        }
        (None, _, Some(left), _) if left > 1 => {
            paint.text(at, &format!("{} left", format::short_number(left)), Role::Plain);
        }
        _ => {
            paint.text(at, "-", Role::Dim);
        }
    }
}

/// Facts about the job at the cursor for which the table has no column.
fn about_job(paint: &mut Paint<'_>, area: Rect, job: &JobView, state: &State) {
    let [rule, rest] = layout::split_top(area, 1);
    paint.rule(rule, Role::Dim);
    for ((label, said), y) in about_lines(job, state).into_iter().zip(rest.y..rest.bottom()) {
        let row = Rect { y, x: rest.x + 1, height: 1, width: rest.width - 2 };
        if rest.height > 1 {
            paint.text(row, label, Role::Dim);
            paint.text(Rect { x: row.x + 12, width: row.width.saturating_sub(12), ..row }, &said, Role::Plain);
        } else {
            let worker = format!(" {} {}", state.theme.signs.dot, worker(job, state));
            let said = if label == "Asked" { said + &worker } else { said };
            paint.text(row, &said, Role::Plain);
        }
    }
}

fn about_lines(job: &JobView, state: &State) -> Vec<(&'static str, String)> {
    let (clock, dot) = (&state.clock, state.theme.signs.dot);
    let mut asked = vec![format!("job {}", job.id)];
    asked.extend(job.issue.map(|issue| format!("issue #{issue}")));
    asked.extend(job.private.then(|| "private".to_owned()));
    asked.extend(job.retry_of.map(|old| format!("repeats job {old}")));
    asked.push(format!("asked {}", clock.moment(job.created_at)));
    asked.extend(job.completed_at.map(|at| format!("ended {}", clock.moment(at))));
    let mut lines = Vec::new();
    // What went wrong is worth the one line that there may be.
    lines.extend(job.error.as_ref().map(|error| ("Error", text::clean(error).into_owned())));
    lines.push(("Asked", asked.join(&format!(" {dot} "))));
    lines.push(("Worker", worker(job, state)));
    if let Some(by) = &job.cancel_requested_by {
        lines.push(("Stopped", format!("by {}", text::clean(by))));
    }
    lines.extend(job.culprit.map(|culprit| ("Culprit", culprit.to_string())));
    lines.push(("Repository", text::clean(&job.repository).into_owned()));
    lines
}

/// Who works on a job, and when it was heard of.
pub(super) fn worker(job: &JobView, state: &State) -> String {
    let Some(worker) = &job.worker else { return "no worker yet".to_owned() };
    let dot = state.theme.signs.dot;
    let mut said = text::clean(&worker.0).into_owned();
    if job.attempt > 1 {
        said += &format!(" {dot} attempt {}", job.attempt);
    }
    if let (JobStatus::Running, Some(heard)) = (job.status, job.heartbeat_at) {
        said += &format!(" {dot} heard of {} ago", span(state.clock.since(heard)));
    }
    said
}

fn nothing(paint: &mut Paint<'_>, area: Rect, state: &State) {
    let jobs = &state.jobs;
    if !jobs.is_loaded() {
        return loading(paint, area, state, "the jobs");
    }
    if jobs.is_empty() {
        let ask = "Somebody asks for one in a comment: /bisect <good> <bad> <command>";
        let shell = "or at a shell of a server: bisectd bisect <repo> <good> <bad> -- <command>";
        let seen = "It is seen here as soon as it is asked for.";
        return instead(
            paint,
            area,
            &[
                ("There are no jobs.", Role::Strong),
                ("", Role::Plain),
                (ask, Role::Plain),
                (shell, Role::Plain),
                (seen, Role::Dim),
            ],
        );
    }
    let mut why = vec!["None of the jobs".to_owned()];
    if jobs.filter() != Filter::All {
        why.push(format!("is {}", jobs.filter().name()));
    }
    if !jobs.text().is_empty() {
        let and = if why.len() > 1 { "and " } else { "" };
        why.push(format!("{and}is found by \"{}\"", text::clean(jobs.text())));
    }
    let why = format!("{}.", why.join(" "));
    instead(paint, area, &[(&why, Role::Strong), ("Esc shows all of them again.", Role::Dim)]);
}
