//! Views that are read: the help, and what was said. As lines, so that one can scroll in them.

use super::{Kind, State};
use crate::{
    keys::{self, Binding, Place, Takes},
    layout, text,
};

/// A line to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// Nothing.
    Blank,
    /// A heading.
    Title(&'static str),
    /// Keys, and what they do.
    Keys(String, String),
    /// When something was said, and what.
    Said(Kind, String, String),
}

/// The columns of the keys.
pub const KEYS_WIDTH: u16 = 20;

impl State {
    /// The lines of the view, when it is one that is read.
    #[must_use]
    pub fn reading(&self) -> Vec<Reading> {
        let width = usize::from(self.options.size.0.saturating_sub(2));
        match self.view() {
            Place::Help => self.help(width),
            Place::Messages => self.messages(width),
            _ => Vec::new(),
        }
    }

    /// How many there are, and how many fit.
    pub(super) fn reading_size(&self) -> (usize, usize) {
        let height = layout::screen(self.area(), self.banner_height()).map_or(1, |screen| screen.body.height);
        (self.reading().len(), usize::from(height))
    }

    fn help(&self, width: usize) -> Vec<Reading> {
        let below = self.views().iter().rev().nth(1).copied().unwrap_or(Place::Jobs);
        let mut lines = Vec::new();
        for chapter in keys::help(below) {
            if !lines.is_empty() {
                lines.push(Reading::Blank);
            }
            lines.push(Reading::Title(chapter.title));
            let words = chapter.title.ends_with(':');
            for binding in chapter.lines {
                let left = if words { spoken(binding) } else { binding.labels(self.options.ascii) };
                let mut parts = text::wrap(binding.help, width.saturating_sub(usize::from(KEYS_WIDTH) + 1)).into_iter();
                lines.push(Reading::Keys(left, parts.next().unwrap_or_default()));
                lines.extend(parts.map(|part| Reading::Keys(String::new(), part)));
            }
        }
        lines
    }

    /// The newest first.
    fn messages(&self, width: usize) -> Vec<Reading> {
        const TIME: usize = 10;
        let mut lines = Vec::new();
        for notice in self.notices.all().rev() {
            let mut parts = text::wrap(&notice.text, width.saturating_sub(TIME + 2)).into_iter();
            let time = self.clock.time(notice.at);
            lines.push(Reading::Said(notice.kind, time, parts.next().unwrap_or_default()));
            lines.extend(parts.map(|part| Reading::Said(notice.kind, String::new(), part)));
        }
        lines
    }
}

fn spoken(binding: &Binding) -> String {
    match binding.takes {
        Takes::Nothing => format!(":{}", binding.word),
        takes => format!(":{} {}", binding.word, takes.label()),
    }
}
