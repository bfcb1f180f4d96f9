//! What is around every view: tabs and server on top, the banner, hints or the last notice at the bottom.

use super::{format, paint::Paint};
use crate::{
    keys::{self, Place},
    layout::{self, Screen},
    message::Link,
    state::{Filter, Kind, State},
    text,
    theme::Role,
};
use bisect_shared::admin::InstanceView;
use ratatui::layout::Rect;

pub(super) fn around(paint: &mut Paint<'_>, screen: &Screen, state: &State) {
    bar(paint, screen.bar, state);
    banner(paint, screen.banner, state);
    title(paint, screen.title, state);
    foot(paint, screen.foot, state);
}

fn bar(paint: &mut Paint<'_>, area: Rect, state: &State) {
    paint.wash(area, Role::Bar);
    let mut end = area.x;
    for (number, (place, tab)) in layout::tabs(area).enumerate() {
        let shown = state.views().iter().rev().find(|view| Place::TABS.contains(view)) == Some(&place);
        let label = format!(" {} {} ", number + 1, place.title());
        paint.styled(tab, &label, paint.theme.style(Role::Bar));
        if shown {
            paint.wash(tab, Role::Tab);
            // Without colours the bar is reversed, and this is not.
            if paint.theme.colours <= crate::theme::Colours::Sixteen {
                paint.buffer[(tab.x, tab.y)].set_symbol("[");
                paint.buffer[(tab.right() - 1, tab.y)].set_symbol("]");
            }
        }
        end = tab.right();
    }
    let room = Rect { x: end + 1, width: area.right().saturating_sub(end + 2), ..area };
    let facts = facts(state, usize::from(room.width));
    let x = room.right().saturating_sub(u16::try_from(text::width(&facts)).unwrap_or(0));
    paint.styled(Rect { x, width: room.right() - x, ..room }, &facts, paint.theme.style(Role::Bar));
}

/// Who looks at which server, and how well.
fn facts(state: &State, room: usize) -> String {
    let signs = state.theme.signs;
    let link = match &state.connection.link {
        Link::Up(_) if state.connection.database_away => format!("{} no database", signs.bad),
        Link::Up(_) => format!("{} live", signs.marked),
        Link::Connecting { .. } => format!("{} connecting", signs.spinner[state.beat % signs.spinner.len()]),
        Link::Down { .. } => format!("{} not connected", signs.bad),
    };
    let zone = if state.clock.utc { "Z" } else { "" };
    let time = format!("{}{zone}", state.clock.time(state.clock.now()));
    let mut parts = vec![link, time];
    if state.options.read_only {
        parts.insert(0, "read-only".to_owned());
    }
    let used = |parts: &[String]| parts.iter().map(|part| text::width(part) + 2).sum::<usize>();
    let host = text::clean(&state.options.host);
    if let Some(hello) = &state.connection.hello {
        let operator = text::clean(&hello.operator).into_owned();
        // Which server it is matters more than as whom.
        if used(&parts) + text::width(&operator) + 2 + text::width(&host) <= room {
            parts.insert(0, operator);
        }
    }
    let left = room.saturating_sub(used(&parts));
    if left > 3 && !host.is_empty() {
        parts.insert(0, text::cut(&host, left, signs.ellipsis).into_owned());
    }
    parts.join("  ")
}

fn banner(paint: &mut Paint<'_>, area: Rect, state: &State) {
    paint.wash(area, Role::Banner);
    for (y, line) in (area.y..area.bottom()).zip(state.banner()) {
        let sign = if y == area.y { "!" } else { " " };
        paint.styled(Rect { y, height: 1, ..area }, &format!(" {sign} {line}"), paint.theme.style(Role::Banner));
    }
}

fn title(paint: &mut Paint<'_>, area: Rect, state: &State) {
    let mut path = Vec::new();
    for (depth, view) in state.views().iter().enumerate() {
        // The way to another tab says nothing.
        if depth == 0 && state.views().get(1).is_some_and(|next| Place::TABS.contains(next)) {
            continue;
        }
        path.push(match (view, state.job.as_ref().map(|job| job.id())) {
            (Place::Job, Some(id)) => format!("Job {id}"),
            (other, _) => other.title().to_owned(),
        });
    }
    let facts = match state.view() {
        Place::Jobs => jobs_facts(state),
        Place::Log => log_facts(state),
        Place::Job => state.job_view().map(|job| text::clean(&job.repository).into_owned()).unwrap_or_default(),
        Place::Servers => servers_facts(state),
        Place::Audit if state.audit.is_loaded() => {
            let more = if state.audit.has_older() { ", older ones are loaded as you go down" } else { "" };
            format!("{} entries{more}", format::number(state.audit.len() as i64))
        }
        Place::Overview => state.connection.hello.as_ref().map_or_else(String::new, |hello| {
            format!("as {} tells it, version {}", text::clean(&hello.host), text::clean(&hello.version))
        }),
        _ => String::new(),
    };
    let path = path.join(paint.signs().join);
    paint.heading(area, &[(&path, Role::Title)], &facts);
}

fn jobs_facts(state: &State) -> String {
    let (jobs, signs) = (&state.jobs, state.theme.signs);
    let (shown, all) = (jobs.shown().len(), jobs.len());
    let mut facts = Vec::new();
    if !jobs.marked().is_empty() {
        facts.push(format!("{} marked", format::number(jobs.marked().len() as i64)));
    }
    if !jobs.text().is_empty() {
        facts.push(format!("found by \"{}\"", text::clean(jobs.text())));
    }
    if jobs.filter() != Filter::All {
        facts.push(format!("only {}", jobs.filter().name()));
    }
    facts.push(match shown == all {
        true if all == 1 => "1 job".to_owned(),
        true => format!("{} jobs", format::number(all as i64)),
        false => format!("{} of {} jobs", format::number(shown as i64), format::number(all as i64)),
    });
    let sort = jobs.sort();
    facts.push(format!("by {} {}", sort.column.title(), if sort.descending { signs.down } else { signs.up }));
    if jobs.follows() {
        facts.push("following".to_owned());
    }
    facts.join(&format!(" {} ", signs.dot))
}

fn log_facts(state: &State) -> String {
    let Some(log) = &state.log else { return String::new() };
    let mut facts = Vec::new();
    facts.push(match log.only() {
        Some(probe) => format!("probe {}", state.label(probe)),
        None => "all probes".to_owned(),
    });
    if log.wrap {
        facts.push("wrapped".to_owned());
    } else if log.left() > 0 {
        facts.push(format!("from column {}", log.left() + 1));
    }
    facts.push(
        match (log.has_ended(), log.follows()) {
            (true, _) => "complete",
            (false, true) => "following",
            (false, false) => "not following (G follows)",
        }
        .to_owned(),
    );
    facts.join(&format!(" {} ", state.theme.signs.dot))
}

fn servers_facts(state: &State) -> String {
    if !state.servers.is_loaded() {
        return String::new();
    }
    let lives = |server: &&InstanceView| server.retired_at.is_none() && !server.stale && server.max_jobs > 0;
    let (drained, serving): (Vec<_>, Vec<_>) =
        state.servers.all().iter().filter(lives).partition(|server| server.drain_requested_by.is_some());
    let slots: i64 = serving.iter().map(|server| i64::from(server.max_jobs)).sum();
    let running: i64 = serving.iter().map(|server| server.running_jobs).sum();
    let verb = if serving.len() == 1 { "serves" } else { "serve" };
    let drained = if drained.is_empty() { String::new() } else { format!(", {} drained", drained.len()) };
    format!("{} {verb}{drained}, {running} of {slots} slots in use", serving.len())
}

fn foot(paint: &mut Paint<'_>, area: Rect, state: &State) {
    match state.notices.current(state.clock.here()) {
        Some(notice) if state.modal.is_none() => {
            let signs = paint.signs();
            let (sign, role) = match notice.kind {
                Kind::Good => (signs.good, Role::Good),
                Kind::Plain => (signs.dot, Role::Plain),
                Kind::Bad => (signs.bad, Role::Bad),
            };
            let long = text::width(&notice.text) + 3 > usize::from(area.width);
            let room = area.width.saturating_sub(if long { 14 } else { 0 });
            let x = paint.text(area, &format!(" {sign} "), role);
            let x = paint.text(Rect { x, width: room.saturating_sub(x), ..area }, &notice.text, role);
            if long {
                paint.pieces(Rect { x: x + 2, width: 12, ..area }, [("m", Role::Key), (" shows all", Role::Dim)]);
            }
        }
        _ => hints(paint, area, state.place(), state.options.read_only),
    }
}

/// What can be pressed here, as much as fits; the way to the help always does.
pub(super) fn hints(paint: &mut Paint<'_>, area: Rect, place: Place, read_only: bool) {
    let ascii = paint.signs().ascii;
    let label = |binding: &keys::Binding| binding.keys.first().map(|key| key.label(ascii)).unwrap_or_default();
    let mut hints: Vec<(String, &str)> =
        keys::hints(place, read_only).map(|binding| (label(binding), binding.hint)).collect();
    hints.sort_by_key(|(key, _)| key == "?");
    let width = |(key, hint): &(String, &str)| text::width(key) + text::width(hint) + 3;
    let help = hints.last().filter(|(key, _)| key == "?").map_or(0, width);
    let (mut x, mut left) = (area.x + 1, usize::from(area.width).saturating_sub(help + 1));
    for (number, hint) in hints.iter().enumerate() {
        let is_help = help > 0 && number + 1 == hints.len();
        if !is_help && width(hint) > left {
            continue;
        }
        left = left.saturating_sub(if is_help { 0 } else { width(hint) });
        let room = Rect { x, width: area.right().saturating_sub(x), ..area };
        x = paint.pieces(room, [(hint.0.as_str(), Role::Key), (" ", Role::Plain), (hint.1, Role::Plain)]) + 2;
    }
}
