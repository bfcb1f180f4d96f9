//! The servers: who runs what, and who is heard of.

use super::{instead, loading, paint::Paint, table};
use crate::{
    clock::span,
    layout::{self, Screen},
    state::State,
    text,
    theme::Role,
};
use bisect_shared::admin::InstanceView;
use ratatui::layout::Rect;
use std::ops::Range;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Host,
    State,
    Jobs,
    Probes,
    Docker,
    Heard,
    Up,
    Version,
    Id,
}

impl Cell {
    const fn title(self) -> &'static str {
        match self {
            Self::Host => "HOST",
            Self::State => "STATE",
            Self::Jobs => "JOBS",
            Self::Probes => "PROBES",
            Self::Docker => "DOCKER",
            Self::Heard => "HEARD OF",
            Self::Up => "UP",
            Self::Version => "VERSION",
            Self::Id => "PROCESS",
        }
    }

    const fn is_number(self) -> bool {
        matches!(self, Self::Jobs | Self::Probes | Self::Heard | Self::Up)
    }
}

fn columns(area: Rect) -> Vec<(Cell, Range<u16>)> {
    let wide = area.width >= 110;
    let wanted = [
        (Cell::Host, if wide { Some(20) } else { None }),
        (Cell::State, Some(11)),
        (Cell::Jobs, Some(7)),
        (Cell::Probes, Some(7)),
        (Cell::Docker, Some(6)),
        (Cell::Heard, Some(8)),
        (Cell::Up, Some(7)),
        (Cell::Version, Some(8)),
        (Cell::Id, if wide { None } else { Some(0) }),
    ];
    layout::columns(area, 2, wanted.into_iter())
}

pub(super) fn draw(paint: &mut Paint<'_>, screen: &Screen, state: &State) {
    let [head, rows, about] = layout::servers(screen.body);
    let columns = columns(head);
    table::heads(paint, head, columns.iter().map(|(cell, range)| (cell.title(), range.clone(), cell.is_number())));
    let (servers, list) = (state.servers.all(), state.servers.list());
    if !state.servers.is_loaded() {
        return loading(paint, rows, state, "the servers");
    }
    if servers.is_empty() {
        let why = "No server has been heard of within a day.";
        return instead(
            paint,
            rows,
            &[(why, Role::Strong), ("One appears here as soon as `bisectd serve` starts.", Role::Dim)],
        );
    }
    for (number, row) in table::rows(rows, list.top, servers.len()) {
        for (cell, range) in &columns {
            server_cell(paint, table::cell(row, range), *cell, &servers[number], state);
        }
        if number == list.row {
            table::cursor(paint, row);
        }
    }
    if let Some(server) = state.servers.chosen() {
        about_server(paint, about, server, state);
    }
}

/// How it is, as a sign and a word.
fn condition(paint: &Paint<'_>, server: &InstanceView) -> (&'static str, &'static str, Role) {
    let signs = paint.signs();
    if server.retired_at.is_some() {
        (signs.stopped, "ended", Role::Dim)
    } else if server.stale {
        (signs.bad, "no pulse", Role::Bad)
    } else if server.drain_requested_by.is_some() && server.running_jobs > 0 {
        (signs.down, "draining", Role::Warn)
    } else if server.drain_requested_by.is_some() {
        (signs.stopped, "drained", Role::Warn)
    } else if server.max_jobs == 0 {
        (signs.pending, "watches", Role::Dim)
    } else {
        (signs.good, "serves", Role::Good)
    }
}

fn server_cell(paint: &mut Paint<'_>, at: Rect, cell: Cell, server: &InstanceView, state: &State) {
    let gone = server.retired_at.is_some();
    let role = if gone { Role::Dim } else { Role::Plain };
    match cell {
        Cell::Host => {
            let here = if server.this { " (here)" } else { "" };
            paint.text(at, &format!("{}{here}", text::clean(&server.host)), role);
        }
        Cell::State => {
            let (sign, word, role) = condition(paint, server);
            paint.pieces(at, [(sign, role), (" ", role), (word, role)]);
        }
        Cell::Jobs => paint.right(at, &of(server.running_jobs, Some(server.max_jobs)), role),
        Cell::Probes => paint.right(at, &of(server.running_probes, server.max_probes), role),
        Cell::Docker => {
            let signs = paint.signs();
            let (word, role) = match server.docker.filter(|_| !gone) {
                Some(true) => (format!("{} yes", signs.good), role),
                Some(false) => (format!("{} no", signs.bad), Role::Bad),
                None => ("-".to_owned(), Role::Dim),
            };
            paint.text(at, &word, role);
        }
        Cell::Heard => {
            let role = if server.stale && !gone { Role::Bad } else { role };
            paint.right(at, &span(state.clock.since(server.heartbeat_at)), role);
        }
        Cell::Up => {
            let until = server.retired_at.unwrap_or(state.clock.now());
            paint.right(at, &span(until - server.started_at), role);
        }
        Cell::Version => {
            let known = state.connection.hello.as_ref();
            let other = known.is_some_and(|hello| hello.version != server.version) && !gone;
            paint.text(at, &text::clean(&server.version), if other { Role::Warn } else { role });
        }
        Cell::Id => {
            paint.text(at, &text::clean(&server.id.0), role);
        }
    }
}

fn of(running: i64, most: Option<u32>) -> String {
    most.map_or_else(|| running.to_string(), |most| format!("{running}/{most}"))
}

fn about_server(paint: &mut Paint<'_>, area: Rect, server: &InstanceView, state: &State) {
    let [rule, rest] = layout::split_top(area, 1);
    paint.rule(rule, Role::Dim);
    let dot = paint.signs().dot;
    let clock = &state.clock;
    let mut facts = vec![format!("since {}", clock.moment(server.started_at))];
    facts.extend(server.drain_requested_by.as_ref().map(|by| format!("drained by {}", text::clean(by))));
    facts.extend(server.retired_at.map(|at| format!("ended {}", clock.moment(at))));
    if server.stale {
        facts.push("its jobs are given to others".to_owned());
    }
    if server.this {
        let database =
            if state.connection.database_away { "cannot reach the database" } else { "reaches the database" };
        facts.push(database.to_owned());
    }
    let lines = [format!("process {}", text::clean(&server.id.0)), facts.join(&format!(" {dot} "))];
    for (y, line) in (rest.y..rest.bottom()).zip(&lines) {
        paint.text(Rect { x: rest.x + 1, y, width: rest.width - 2, height: 1 }, line, Role::Plain);
    }
}
