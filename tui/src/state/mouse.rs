//! The mouse: the wheel scrolls what is under it, a click takes a row, a tab or the head of a column.

use super::{Pane, State};
use crate::{
    keys::{self, Command, Place as At},
    layout::{self, Screen},
    message::Effect,
};
use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

/// Rows that a turn of the wheel scrolls.
const WHEEL: isize = 3;

impl State {
    pub(super) fn mouse(&mut self, event: MouseEvent) -> Vec<Effect> {
        let Some(screen) = layout::screen(self.area(), self.banner_height()) else { return Vec::new() };
        let at = Position { x: event.column, y: event.row };
        match event.kind {
            _ if self.modal.is_some() => {}
            MouseEventKind::ScrollUp => self.wheel(&screen, at, -WHEEL),
            MouseEventKind::ScrollDown => self.wheel(&screen, at, WHEEL),
            MouseEventKind::Down(MouseButton::Left) => return self.click(&screen, at),
            _ => {}
        }
        Vec::new()
    }

    fn wheel(&mut self, screen: &Screen, at: Position, by: isize) {
        match (self.view(), &mut self.job, &mut self.log) {
            (At::Jobs, ..) => self.jobs.scroll(by),
            (At::Servers, ..) => self.servers.scroll(by),
            (At::Audit, ..) => self.audit.scroll(by),
            (At::Log, _, Some(log)) => log.scroll(by),
            (At::Job, Some(job), _) => {
                let layout = layout::job(screen.body, job.pane);
                let under = layout.panes.iter().find(|(_, _, rows)| rows.contains(at)).map(|(pane, ..)| *pane);
                job.scroll(under.unwrap_or(job.pane), by, &self.clock, self.theme.signs);
            }
            (At::Help | At::Messages, ..) => {
                let (rows, height) = self.reading_size();
                self.text.scroll(by, rows, height);
            }
            _ => {}
        }
    }

    fn click(&mut self, screen: &Screen, at: Position) -> Vec<Effect> {
        if let Some((tab, _)) = layout::tabs(screen.bar).find(|(_, area)| area.contains(at)) {
            self.show(tab);
            return Vec::new();
        }
        match self.view() {
            At::Jobs => self.click_jobs(screen.body, at),
            At::Servers => {
                let (row, list) = (layout::row_at(layout::servers(screen.body)[1], at), self.servers.list());
                self.click_row(row.map(|row| list.top + row), list.row, self.servers.all().len(), |state, row| {
                    state.servers.go_to(row);
                })
            }
            At::Audit => {
                let (row, list) = (layout::row_at(layout::table(screen.body)[1], at), self.audit.list());
                self.click_row(row.map(|row| list.top + row), list.row, self.audit.len(), |state, row| {
                    state.audit.go_to(row);
                })
            }
            At::Job => self.click_job(screen.body, at),
            At::Log => {
                self.click_log(layout::log(screen.body).rows, at);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// A click takes the row; on the row that is taken, it opens it.
    fn click_row(
        &mut self,
        clicked: Option<usize>,
        row: usize,
        rows: usize,
        go_to: impl Fn(&mut Self, usize),
    ) -> Vec<Effect> {
        match clicked.filter(|clicked| *clicked < rows) {
            Some(clicked) if clicked == row => self.open_row(),
            Some(clicked) => {
                go_to(self, clicked);
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    fn open_row(&mut self) -> Vec<Effect> {
        let view = self.view();
        let open =
            keys::BINDINGS.iter().find(|binding| binding.command == Command::Open && binding.places.contains(&view));
        open.map(|binding| self.run(binding, None)).unwrap_or_default()
    }

    fn click_jobs(&mut self, body: Rect, at: Position) -> Vec<Effect> {
        let layout = layout::jobs(body);
        if layout.head.contains(at) {
            let columns = layout::job_columns(layout.head);
            if let Some((column, _)) = columns.into_iter().find(|(_, range)| range.contains(&at.x)) {
                self.jobs.sort_by(column);
            }
            return Vec::new();
        }
        let list = self.jobs.list();
        let clicked = layout::row_at(layout.rows, at).map(|row| list.top + row);
        self.click_row(clicked, list.row, self.jobs.shown().len(), |state, row| state.jobs.go_to(row))
    }

    fn click_job(&mut self, body: Rect, at: Position) -> Vec<Effect> {
        let Some(job) = &mut self.job else { return Vec::new() };
        let layout = layout::job(body, job.pane);
        if let (Some((_, head, _)), true) = (layout.panes.first(), layout.panes.len() == 1)
            && head.contains(at)
        {
            let pane = layout::pane_tabs(*head).find(|(_, area)| area.contains(at));
            job.pane = pane.map_or(job.pane, |(pane, _)| pane);
            return Vec::new();
        }
        let hit = layout.panes.iter().find(|(_, head, rows)| head.contains(at) || rows.contains(at));
        let Some((pane, _, rows)) = hit else { return Vec::new() };
        job.pane = *pane;
        let (list, length) = (job.list(Pane::Probes), job.detail().map_or(0, |detail| detail.probes.len()));
        let clicked = layout::row_at(*rows, at).filter(|_| *pane == Pane::Probes).and_then(|row| row.checked_sub(1));
        self.click_row(clicked.map(|row| list.top + row), list.row, length, |state, row| {
            if let Some(job) = &mut state.job {
                job.go_to(row);
            }
        })
    }

    fn click_log(&mut self, rows: Rect, at: Position) {
        let Some(log) = &mut self.log else { return };
        let seen = log.seen(rows.width, rows.height);
        if let Some(place) = layout::row_at(rows, at).and_then(|row| seen.get(row)) {
            log.go_to(place.row);
        }
    }
}
