//! One job: the facts, the range, and its panes: probes, history, result.

use super::{format, instead, jobs, loading, paint::Paint, range, table};
use crate::{
    clock::{seconds, span},
    layout::{self, JobLayout, Screen},
    state::{HeldUp, JobScreen, Pane, State, elapsed, ends_in, history_lines, result_lines},
    text,
    theme::Role,
};
use bisect_shared::{
    JobStatus, Purpose,
    admin::{JobDetail, JobView, ProbeView},
};
use ratatui::layout::Rect;
use std::ops::Range;

pub(super) fn draw(paint: &mut Paint<'_>, screen: &Screen, state: &State) {
    let Some(job) = &state.job else { return };
    let Some(detail) = job.detail() else {
        return without_detail(paint, screen.body, job, state);
    };
    let view = state.job_view().unwrap_or(&detail.job);
    let JobLayout { facts, strip, panes } = layout::job(screen.body, job.pane);
    draw_facts(paint, facts, view, detail, state);
    range::draw(paint, strip, detail);
    let alone = panes.len() == 1;
    for (pane, head, rows) in panes {
        if alone {
            pane_tabs(paint, head, job, detail);
        } else {
            let role = if pane == job.pane { Role::Title } else { Role::Dim };
            let here = if pane == job.pane {
                format!("{} {}", paint.signs().cursor, pane.title())
            } else {
                pane.title().to_owned()
            };
            paint.heading(head, &[(&here, role)], &pane_count(pane, detail));
        }
        match pane {
            Pane::Probes => probes(paint, rows, job, detail, state),
            Pane::History => lines(
                paint,
                rows,
                job,
                pane,
                &history_lines(detail, usize::from(rows.width), &state.clock, paint.signs()),
            ),
            Pane::Result => result(paint, rows, job, detail),
        }
    }
}

fn without_detail(paint: &mut Paint<'_>, area: Rect, job: &JobScreen, state: &State) {
    if job.is_missing() {
        let why = format!("There is no job {}.", job.id());
        instead(paint, area, &[(&why, Role::Strong), ("It may have been removed; Esc goes back.", Role::Dim)]);
    } else {
        loading(paint, area, state, &format!("job {}", job.id()));
    }
}

fn draw_facts(paint: &mut Paint<'_>, area: Rect, view: &JobView, detail: &JobDetail, state: &State) {
    let facts = [
        ("State", state_line(view, state)),
        ("Asked", asked_line(view, state)),
        ("Range", range_line(view, detail, paint.signs().dot)),
        ("Command", command_line(detail)),
        ("Options", options_line(detail, paint.signs().dot)),
    ];
    let held_up = state.held_up(view);
    for (y, (label, said)) in (area.y..area.bottom()).zip(&facts) {
        let row = Rect { x: area.x + 1, y, height: 1, width: area.width - 2 };
        let after = Rect { x: row.x + 9, width: row.width.saturating_sub(9), ..row };
        paint.text(row, label, Role::Dim);
        if *label == "State" {
            let (sign, role) = jobs::job_sign(paint, view, held_up);
            let word = format::state(view, held_up, 20);
            let x = paint.pieces(after, [(sign, role), (" ", role), (&word, role)]);
            paint.text(Rect { x, width: after.right().saturating_sub(x), ..after }, said, Role::Plain);
        } else {
            paint.text(after, said, Role::Plain);
        }
    }
}

/// After the word for the state.
fn state_line(view: &JobView, state: &State) -> String {
    let dot = state.theme.signs.dot;
    let mut said = String::new();
    if let Some(culprit) = &view.culprit {
        said += &format!(" {culprit}");
    }
    if let (Some(by), false) = (&view.cancel_requested_by, view.status == JobStatus::Completed) {
        said += &format!(", as {} asked", text::clean(by));
    }
    said += &match (state.held_up(view), ends_in(view)) {
        (Some(HeldUp::NoDocker), _) => " at its server".to_owned(),
        (Some(HeldUp::NoSlot), _) => " free at its server: other jobs run there".to_owned(),
        (None, Some(left)) if view.status == JobStatus::Running => format!(", ends in about {}", span(left)),
        _ => String::new(),
    };
    said + &format!(" {dot} {}", jobs::worker(view, state))
}

fn asked_line(view: &JobView, state: &State) -> String {
    let (clock, dot) = (&state.clock, state.theme.signs.dot);
    let mut said = match &view.requested_by {
        Some(by) => format!("by {}", text::clean(by)),
        None => "at a shell".to_owned(),
    };
    if let Some(issue) = view.issue {
        said += &format!(" on issue #{issue}");
    }
    said += &format!(", {}", clock.moment(view.created_at));
    let took = span(elapsed(view, clock.now()));
    said += &match (view.started_at, view.completed_at) {
        (None, None) => format!(" {dot} waits since {took}"),
        (_, Some(at)) => format!(" {dot} ended {}, took {took}", clock.moment(at)),
        (Some(at), None) => format!(" {dot} began {}, runs for {took}", clock.moment(at)),
    };
    if let Some(old) = view.retry_of {
        said += &format!(" {dot} repeats job {old}");
    }
    if view.private {
        said += &format!(" {dot} private");
    }
    said
}

fn range_line(view: &JobView, detail: &JobDetail, dot: &str) -> String {
    let good: Vec<String> = detail.good.iter().take(2).map(|sha| sha.short()).collect();
    let more = if detail.good.len() > 2 { format!(" and {} more", detail.good.len() - 2) } else { String::new() };
    let good = if good.is_empty() { "looked for".to_owned() } else { good.join(" ") };
    let mut said = format!("good {good}{more} bad {}", detail.bad.short());
    if let (Some(left), Some(of)) = (view.candidates_left, view.candidates) {
        said += &format!(" {dot} {} of {} left", format::number(left), format::number(of));
    }
    match (view.probes_done, view.probes_running) {
        (0, 0) => {}
        (done, 0) => said += &format!(" {dot} {} probes", format::number(done)),
        (done, running) => said += &format!(" {dot} {}+{running} probes", format::number(done)),
    }
    said
}

fn command_line(detail: &JobDetail) -> String {
    let words: Vec<String> = match detail.command.as_slice() {
        // What a comment asked for is one argument of the container's own shell.
        [shell, flag, script] if flag == "-c" && shell.ends_with("sh") => vec![text::clean(script).into_owned()],
        words => words.iter().map(|word| quoted(&text::clean(word))).collect(),
    };
    words.join(" ")
}

/// A word as one would type it at a shell.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "-_./=:,+@%".contains(letter);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{word}'") }
}

fn options_line(detail: &JobDetail, dot: &str) -> String {
    let mut said: Vec<String> = Vec::new();
    said.extend(detail.image.as_ref().map(|image| format!("image {}", text::clean(image))));
    said.extend(detail.setup.as_ref().map(|setup| format!("setup {}", quoted(&text::clean(setup)))));
    said.extend(detail.options.iter().map(|option| text::clean(option).into_owned()));
    said.extend(detail.timeout_seconds.map(|most| format!("a probe at most {}", span(crate::clock::delta(most)))));
    said.extend(detail.max_seconds.map(|most| format!("all at most {}", span(crate::clock::delta(most)))));
    if said.is_empty() { "none".to_owned() } else { said.join(&format!(" {dot} ")) }
}

fn pane_count(pane: Pane, detail: &JobDetail) -> String {
    match pane {
        Pane::Probes => format::number(detail.probes.len() as i64),
        Pane::History => format::number(detail.history.len() as i64),
        Pane::Result if detail.report.is_none() && detail.job.error.is_none() => "none yet".to_owned(),
        Pane::Result => String::new(),
    }
}

fn pane_tabs(paint: &mut Paint<'_>, head: Rect, job: &JobScreen, detail: &JobDetail) {
    paint.rule(head, Role::Dim);
    for (pane, area) in layout::pane_tabs(head) {
        let title = format!(" {} ", pane.title());
        if pane == job.pane {
            paint.text(area, &title, Role::Title);
            paint.buffer[(area.x, area.y)].set_symbol("[");
            paint.buffer[(area.right() - 1, area.y)].set_symbol("]");
        } else {
            paint.text(area, &title, Role::Plain);
        }
    }
    let count = pane_count(job.pane, detail);
    if !count.is_empty() {
        let right = Rect { width: head.width.saturating_sub(1), ..head };
        paint.right(right, &format!(" {count} "), Role::Plain);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Number,
    Commit,
    Subject,
    Verdict,
    Exit,
    Time,
    Lane,
    Note,
}

impl Cell {
    const fn title(self) -> &'static str {
        match self {
            Self::Number => "#",
            Self::Commit => "COMMIT",
            Self::Subject => "SUBJECT",
            Self::Verdict => "VERDICT",
            Self::Exit => "EXIT",
            Self::Time => "TIME",
            Self::Lane => "LANE",
            Self::Note => "",
        }
    }

    const fn is_number(self) -> bool {
        matches!(self, Self::Number | Self::Exit | Self::Time | Self::Lane)
    }
}

fn columns(area: Rect) -> Vec<(Cell, Range<u16>)> {
    let wanted = [
        (Cell::Number, Some(3)),
        (Cell::Commit, Some(10)),
        (Cell::Subject, None),
        (Cell::Verdict, Some(9)),
        (Cell::Exit, Some(8)),
        (Cell::Time, Some(6)),
        (Cell::Lane, Some(4)),
        (Cell::Note, Some(6)),
    ];
    layout::columns(area, 2, wanted.into_iter())
}

fn probes(paint: &mut Paint<'_>, area: Rect, job: &JobScreen, detail: &JobDetail, state: &State) {
    let [head, rows] = layout::split_top(area, 1);
    let columns = columns(area);
    table::heads(paint, head, columns.iter().map(|(cell, range)| (cell.title(), range.clone(), cell.is_number())));
    if detail.probes.is_empty() {
        return instead(paint, rows, &[("No commit was tested yet.", Role::Dim)]);
    }
    let list = job.list(Pane::Probes);
    for (number, row) in table::rows(rows, list.top, detail.probes.len()) {
        let probe = &detail.probes[number];
        for (cell, range) in &columns {
            probe_cell(paint, table::cell(row, range), *cell, number, probe, state);
        }
        if number == list.row && job.pane == Pane::Probes {
            table::cursor(paint, row);
        }
    }
}

fn probe_cell(paint: &mut Paint<'_>, at: Rect, cell: Cell, number: usize, probe: &ProbeView, state: &State) {
    match cell {
        Cell::Number => paint.right(at, &(number + 1).to_string(), Role::Dim),
        Cell::Commit => {
            paint.text(at, &probe.commit.short()[..10], Role::Plain);
        }
        Cell::Subject => {
            let subject = probe.subject.as_deref().map_or("(not known)".into(), text::clean);
            paint.text(at, &subject, if probe.subject.is_some() { Role::Plain } else { Role::Dim });
        }
        Cell::Verdict => {
            let (sign, word, role) = verdict(paint, probe);
            paint.pieces(at, [(sign, role), (" ", role), (word, role)]);
        }
        Cell::Exit => paint.right(at, &format::ending(probe), Role::Plain),
        Cell::Time => {
            let running = || (probe.running()).then(|| span(state.clock.since(probe.started_at)));
            paint.right(at, &probe.seconds.map(seconds).or_else(running).unwrap_or_default(), Role::Plain);
        }
        Cell::Lane => paint.right(at, &probe.lane.to_string(), Role::Dim),
        Cell::Note => {
            let note = match (probe.cached, probe.purpose) {
                (true, _) => "cached",
                (false, Purpose::Proof) => "proof",
                (false, Purpose::Search | Purpose::Sample) => "",
            };
            paint.text(at, note, Role::Dim);
        }
    }
}

/// What a probe says, as a sign and a word.
pub(super) fn verdict(paint: &Paint<'_>, probe: &ProbeView) -> (&'static str, &'static str, Role) {
    match probe.verdict {
        Some(verdict) => {
            let (sign, role) = paint.theme.verdict(verdict);
            (sign, verdict.name(), role)
        }
        None if probe.running() => (paint.signs().running, "running", Role::Live),
        None if probe.stopped => (paint.signs().stopped, "stopped", Role::Dim),
        None => (paint.signs().skip, "none", Role::Dim),
    }
}

fn lines(paint: &mut Paint<'_>, area: Rect, job: &JobScreen, pane: Pane, lines: &[String]) {
    for (number, row) in table::rows(area, job.list(pane).top, lines.len()) {
        paint.text(Rect { x: row.x + 1, width: row.width.saturating_sub(1), ..row }, &lines[number], Role::Plain);
    }
}

fn result(paint: &mut Paint<'_>, area: Rect, job: &JobScreen, detail: &JobDetail) {
    let told = result_lines(detail, usize::from(area.width.saturating_sub(1)));
    if detail.report.is_none() && detail.job.error.is_none() {
        let why = match detail.job.status {
            JobStatus::Pending => "The job waits for a worker.",
            JobStatus::Running => "The search goes on; the result comes here, with its proof.",
            _ => "There is no report.",
        };
        paint.text(Rect { x: area.x + 1, width: area.width.saturating_sub(1), height: 1, ..area }, why, Role::Dim);
        let rest = layout::split_top(area, 1)[1];
        return lines(paint, rest, job, Pane::Result, &told);
    }
    lines(paint, area, job, Pane::Result, &told);
}
