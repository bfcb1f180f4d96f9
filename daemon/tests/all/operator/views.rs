//! What docs/console.md shows, as it was captured here.
//!
//! `BISECT_RECORD_VIEWS=1 cargo nextest run -E 'test(operator::)'` writes the page; else it is only looked at whether the page
//! has the view, with the keys that are hinted at now.

use super::terminal::Terminal;
use std::{fs, path::PathBuf};

fn page() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../docs/console.md"].iter().collect()
}

/// The last line with something in it, where the hints are, without numbers; `None` where what was done is told instead.
fn hints(screen: &str) -> Option<String> {
    let line = screen.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    (!line.starts_with('✓')).then(|| line.chars().filter(|c| !c.is_ascii_digit()).collect())
}

/// Waits until `text` is shown, with the keys that the page has in this view; a frame that is drawn by half is none. Recording,
/// the page has it afterwards.
pub async fn shown(name: &str, console: &Terminal, text: &str) -> String {
    let page = page();
    let begin = format!("<!-- view: {name} -->\n```text\n");
    let recorded = fs::read_to_string(&page).unwrap();
    let (before, rest) = recorded.split_once(&begin).unwrap_or_else(|| panic!("docs/console.md has no {begin:?}"));
    let (known, after) = rest.split_once("```\n").unwrap();
    let records = std::env::var_os("BISECT_RECORD_VIEWS").is_some();
    let fits = |screen: &str| match (hints(known), hints(screen)) {
        (Some(known), Some(now)) if !records => known == now,
        _ => true,
    };
    let what = format!("`{text}` with the keys that docs/console.md has in `{name}` (record it: see views.rs)");
    let screen = console.comes_to(&what, |screen| screen.contains(text) && fits(screen)).await;
    if records {
        let lines: Vec<&str> = screen.trim_end().lines().map(str::trim_end).collect();
        fs::write(&page, format!("{before}{begin}{}\n```\n{after}", lines.join("\n"))).unwrap();
    }
    screen
}
