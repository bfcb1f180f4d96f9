//! What a test may ask of the world at its end, and waiting for something to become true.

use super::World;
use super::state::Expected;
use anyhow::{Context, bail};
use std::time::Duration;

impl World {
    /// Records a breach of GitHub's schema, an unknown route, or the like.
    pub(crate) fn violation(&self, what: String) {
        tracing::warn!(violation = %what, "GitHub would not have understood");
        self.change(|state| state.violations.push(what));
    }

    /// Calls that GitHub does not document, and answers of the look-alike that break GitHub's schema.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.read().violations.clone()
    }

    /// Takes the violations away, for a test that provokes one.
    pub fn take_violations(&self) -> Vec<String> {
        self.change(|state| std::mem::take(&mut state.violations))
    }

    /// An App shall have written one comment here that contains this; [`World::finish`] checks it.
    pub fn expect_comment(&self, repository: &str, issue: i64, contains: &str) {
        let expected = Expected { repository: repository.to_owned(), issue, contains: contains.to_owned() };
        self.change(|state| state.expected.push(expected));
    }

    /// The end of a test: every webhook has arrived, no call was against GitHub's documentation, and the Apps
    /// wrote exactly the expected comments.
    ///
    /// # Errors
    /// Everything that is wrong, one line each.
    pub async fn finish(&self) -> anyhow::Result<()> {
        self.settle().await;
        let mut wrong = self.violations();
        let state = self.read();
        let mut written: Vec<(String, i64, String)> = Vec::new();
        for comment in state.comments.iter().filter(|comment| comment.app.is_some()) {
            let name = state.repository(comment.repository).map_or_else(String::new, |r| state.full_name(r));
            written.push((name, comment.issue, comment.body.clone()));
        }
        for Expected { repository, issue, contains } in &state.expected {
            let matches = |(r, i, body): &(String, i64, String)| {
                r.eq_ignore_ascii_case(repository) && i == issue && body.contains(contains.as_str())
            };
            match written.iter().position(matches) {
                Some(found) => drop(written.remove(found)),
                None => wrong.push(format!("no comment on {repository}#{issue} contains {contains:?}")),
            }
        }
        for (repository, issue, body) in written {
            wrong.push(format!("unexpected comment on {repository}#{issue}: {body}"));
        }
        drop(state);
        if !wrong.is_empty() {
            bail!("the world did not end well:\n- {}", wrong.join("\n- "));
        }
        Ok(())
    }

    /// Waits until `look` finds something in the world; looks again after every change.
    ///
    /// # Errors
    /// After `limit`, with `what` was waited for and the last calls.
    pub async fn eventually<T>(
        &self,
        what: &str,
        limit: Duration,
        mut look: impl FnMut(&Self) -> Option<T>,
    ) -> anyhow::Result<T> {
        let mut changed = self.inner.changed.subscribe();
        let seen = async {
            loop {
                changed.mark_unchanged();
                if let Some(found) = look(self) {
                    return Some(found);
                }
                changed.changed().await.ok()?;
            }
        };
        let found = tokio::time::timeout(limit, seen).await.ok().flatten();
        found.with_context(|| {
            let calls = self.calls();
            let last = calls[calls.len().saturating_sub(20)..].join("\n  ");
            format!("not within {limit:?}: {what}; the last calls were:\n  {last}")
        })
    }
}
