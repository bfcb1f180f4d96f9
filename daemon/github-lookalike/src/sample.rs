//! The playground's sample: a small Python project of 40 commits with tests, one of which breaks something.

use crate::git;
use anyhow::Context;
use std::path::Path;

/// How many commits it has.
pub const COMMITS: usize = 40;
/// The commit, counted from 1, that broke it.
pub const CULPRIT: usize = 27;

/// Makes the sample in an empty folder and answers the culprit's SHA. `v1.0` is good, `main` is bad.
///
/// # Errors
/// When git or the disk fails.
pub fn make(folder: &Path) -> anyhow::Result<String> {
    git::run(folder, &["init", "-q", "-b", "main"])?;
    std::fs::create_dir_all(folder.join("tests")).context("the sample's folder cannot be written")?;
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).with_context(|| name.to_owned());
    write("tests/test_price.py", TESTS)?;
    let mut culprit = String::new();
    for n in 1..=COMMITS {
        let rounding = if n < CULPRIT { "round(total, 2)" } else { "int(total)" };
        write("price.py", &format!("def total(prices):\n    total = sum(prices)\n    return {rounding}\n"))?;
        write("NOTES.md", &format!("Change {n} of the price list.\n"))?;
        git::run(folder, &["add", "."])?;
        let message =
            if n == CULPRIT { "Totals without needless digits".to_owned() } else { format!("Price list {n}") };
        let at = format!("2026-01-01T00:{n:02}:00Z");
        let mut commit = git::command(folder);
        commit.args(["-c", "user.name=Grace", "-c", "user.email=grace@example.com", "commit", "-q", "-m", &message]);
        let done = commit.env("GIT_AUTHOR_DATE", &at).env("GIT_COMMITTER_DATE", &at).status()?;
        anyhow::ensure!(done.success(), "git commit failed in {}", folder.display());
        if n == 1 {
            git::run(folder, &["tag", "v1.0"])?;
        }
        if n == CULPRIT {
            culprit = git::text(folder, &["rev-parse", "HEAD"])?;
        }
    }
    Ok(culprit)
}

const TESTS: &str = "import os\nimport sys\nimport unittest\n\n\
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))\n\
from price import total\n\n\n\
class Price(unittest.TestCase):\n    def test_total(self):\n        self.assertEqual(total([1.25, 2.5]), 3.75)\n\n\n\
if __name__ == \"__main__\":\n    unittest.main()\n";
