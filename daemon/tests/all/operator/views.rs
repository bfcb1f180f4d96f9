//! What docs/console.md shows, as it was captured here.
//!
//! `BISECT_RECORD_VIEWS=1 cargo nextest run -E 'test(operator::)'` writes the page; else it is only looked at whether the page
//! has the view, with the keys that are hinted at now.

use std::{fs, path::PathBuf};

fn page() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../docs/console.md"].iter().collect()
}

/// The last line with something in it, where the hints are, without numbers; `None` where what was done is told instead.
fn hints(screen: &str) -> Option<String> {
    let line = screen.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    (!line.starts_with('✓')).then(|| line.chars().filter(|c| !c.is_ascii_digit()).collect())
}

/// The page has this view, or has it now.
pub fn shown(name: &str, screen: &str) {
    let page = page();
    let text = fs::read_to_string(&page).unwrap();
    let begin = format!("<!-- view: {name} -->\n```text\n");
    let (before, rest) =
        text.split_once(&begin).unwrap_or_else(|| panic!("docs/console.md has no {begin:?}; the view is:\n{screen}"));
    let (recorded, after) = rest.split_once("```\n").unwrap();
    if std::env::var_os("BISECT_RECORD_VIEWS").is_some() {
        let lines: Vec<&str> = screen.trim_end().lines().map(str::trim_end).collect();
        fs::write(&page, format!("{before}{begin}{}\n```\n{after}", lines.join("\n"))).unwrap();
        return;
    }
    let record = "BISECT_RECORD_VIEWS=1 cargo nextest run -E 'test(operator::)'";
    if let (Some(recorded), Some(now)) = (hints(recorded), hints(screen)) {
        assert_eq!(recorded, now, "docs/console.md is behind in `{name}`; record it: {record}");
    }
}
