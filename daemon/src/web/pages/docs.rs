//! `/docs`: commands from the grammar, the keys of `.github/bisect.yml`, limits from the database.

use super::{
    Frame,
    html::{Html, Seen},
};
use crate::{
    command::{
        grammar::{OPTIONS, WORDS},
        help::{example, usage},
    },
    db::viewer::{self, TierView},
    web::{address::Limited, site::Site},
};
use askama::Template;
use rocket::State;

/// Every key of `.github/bisect.yml`; a test holds them to the parser.
const KEYS: [(&str, &str); 6] = [
    ("image", "the image that commands run in; git is not needed in it"),
    ("setup", "run after every checkout; where it fails, the commit is skipped"),
    ("timeout", "the longest one commit may take"),
    ("env", "variables that are set for the command; not for secrets, the file is public as the repository is"),
    ("network", "egress (the public internet) or none"),
    ("allow", "who may ask: write (usual), triage or anyone"),
];

/// A file that the parser takes.
const SAMPLE: &str = "image: python:3.12-slim
setup: pip install -e .
timeout: 10m
env:
  CI: \"1\"
network: egress
allow: triage
";

struct OptionLine {
    usage: String,
    meaning: &'static str,
    example: String,
}

#[derive(Template)]
#[template(path = "docs.html")]
struct Docs {
    frame: Frame,
    example: String,
    options: Vec<OptionLine>,
    words: Vec<(String, &'static str)>,
    keys: &'static [(&'static str, &'static str)],
    sample: &'static str,
    tiers: Vec<TierView>,
}

#[rocket::get("/docs")]
pub(super) async fn docs(_limited: Limited, frame: Frame, site: &State<Site>) -> Result<Html, Seen> {
    let mut tx = site.db.begin_as_viewer(frame.viewer()).await?;
    let tiers = viewer::tiers(&mut tx).await?;
    tx.rollback().await?;
    let offered = OPTIONS.iter().filter(|row| row.offered());
    let options = offered.map(|row| OptionLine { usage: usage(row), meaning: row.meaning, example: row.fragment() });
    let page = Docs {
        frame,
        example: example(),
        options: options.collect(),
        words: WORDS.iter().map(|row| (row.usage(), row.meaning)).collect(),
        keys: &KEYS,
        sample: SAMPLE,
        tiers,
    };
    Html::render(&page, &page.frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::repository_config;

    #[test]
    fn the_sample_is_taken_and_every_key_is_in_it() {
        repository_config::parse(SAMPLE.as_bytes()).unwrap();
        for (key, _) in KEYS {
            assert!(SAMPLE.lines().any(|line| line.starts_with(&format!("{key}:"))), "{key}");
        }
        // The parser names the keys that it knows.
        let mistake = repository_config::parse(b"nothing: 1").unwrap_err().to_string();
        assert!(KEYS.iter().all(|(key, _)| mistake.contains(key)), "{mistake}");
    }
}
