//! The corrected example of a mistake: of the line what was right, of the grammar the rest.

use super::grammar::{BAD, GOOD, OptionRow, SCRIPT};
use super::line;

/// The longest part of the line that is shown again, in characters.
const SHOWN: usize = 80;

/// The longest script that is worth repeating, in bytes.
const SCRIPT_BYTES: usize = 300;

/// What was right in a line.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) word: Option<&'static str>,
    /// The sources of its options.
    pub(super) options: Vec<String>,
    /// The option that was wrong.
    pub(super) mended: Option<&'static OptionRow>,
    pub(super) good: Option<String>,
    pub(super) bad: Option<String>,
    pub(super) script: Option<String>,
}

impl Draft {
    /// A line that would have worked. It is read before it is shown: where the right parts do not fit
    /// together, one from the grammar takes its place.
    pub(super) fn example(&self) -> String {
        if let Some(word) = self.word {
            return format!("/bisect {word}");
        }
        let mended = self.mended.map(OptionRow::fragment);
        let twice = |option: &&String| {
            let name = self.mended.map_or("", |row| row.name);
            name.is_empty() || !option.starts_with(name)
        };
        let script =
            self.script.as_deref().filter(|script| script.len() <= SCRIPT_BYTES && !script.contains(['\n', '\r']));
        let (good, bad) = (self.good.as_deref().unwrap_or(GOOD), self.bad.as_deref());
        let bad = bad.unwrap_or(if good == BAD { "HEAD" } else { BAD });
        let options = self.options.iter().filter(twice).take(8).cloned().chain(mended);
        let parts = options.chain([good, bad, script.unwrap_or(SCRIPT)].map(str::to_owned));
        let example = format!("/bisect {}", parts.collect::<Vec<_>>().join(" "));
        let sound = example.len() <= 4 * SCRIPT_BYTES && line::parses(&example);
        if sound { example } else { self.mended.map_or_else(standard, OptionRow::example) }
    }
}

fn standard() -> String {
    format!("/bisect {GOOD} {BAD} {SCRIPT}")
}

/// A part of the line as a reply shows it: not all of it, and nothing invisible.
pub(super) fn shown(text: &str) -> String {
    let mut visible = text.trim().chars().map(|c| if super::value::is_hidden(c) { '\u{fffd}' } else { c });
    let shown: String = visible.by_ref().take(SHOWN).collect();
    if visible.next().is_some() { shown + "…" } else { shown }
}
