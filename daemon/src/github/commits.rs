//! Commits: what a name means, and which pull request brought one.

use super::{
    Call, Github, GithubError, Permissions, Pull, RepositoryRef,
    app::{named, parts, path_of},
};
use bisect_shared::Sha;
use serde::Deserialize;

const CONTENTS: Permissions = &[("contents", "read")];
/// Of a public repository anybody may know the pull requests.
const PULLS: [Permissions; 2] = [&[("pull_requests", "read")], &[("metadata", "read")]];

#[derive(Deserialize)]
struct Commit {
    sha: String,
}

#[derive(Deserialize)]
struct PullRequest {
    number: i64,
    title: String,
    html_url: String,
    merged_at: Option<String>,
}

impl Github {
    /// The commit that a branch, tag or SHA (full or short) means; `None` when nothing has that name.
    ///
    /// # Errors
    /// [`GithubError`], as for every call.
    pub async fn resolve(&self, repository: &RepositoryRef, name: &str) -> Result<Option<Sha>, GithubError> {
        if !may_be_a_name(name) {
            return Ok(None);
        }
        let call = Call::get(
            "get_commit",
            format!("finding out what `{name}` means in {}", named(repository)),
            // Of a commit's files one is enough: they would come with their differences.
            format!("{}/commits/{}?per_page=1", path_of(repository), parts(name)),
        );
        match self.ask(repository, CONTENTS, &call).await {
            Ok(answer) => {
                let commit: Commit = answer.json()?;
                let wrong = |_| GithubError::Misunderstood { doing: call.doing, reason: "no SHA-1 name".to_owned() };
                commit.sha.parse().map(Some).map_err(wrong)
            }
            // 409: the repository is empty. 422: no commit has that name.
            Err(GithubError::NotFound { .. } | GithubError::Refused { status: 409 | 422, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The pull requests that brought a commit, merged ones first.
    ///
    /// # Errors
    /// [`GithubError`], as for every call; [`GithubError::Forbidden`] where the App may not know them.
    pub async fn pulls(&self, repository: &RepositoryRef, commit: &Sha) -> Result<Vec<Pull>, GithubError> {
        let call = Call::get(
            "list_pulls_of_commit",
            format!("asking which pull request brought {commit} to {}", named(repository)),
            format!("{}/commits/{commit}/pulls", path_of(repository)),
        );
        let mut found: Vec<PullRequest> = match self.ask_either(repository, PULLS, &call).await {
            Ok(answer) => answer.json()?,
            Err(GithubError::Refused { status: 409 | 422, .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        found.sort_by_key(|pull| pull.merged_at.is_none());
        let read = |pull: PullRequest| Pull { number: pull.number, title: pull.title, url: pull.html_url };
        Ok(found.into_iter().map(read).collect())
    }
}

/// What git would take for the name of a branch or tag, or for a SHA (git-check-ref-format): all else
/// need not be asked, and could lead an address elsewhere.
fn may_be_a_name(name: &str) -> bool {
    let forbidden = |c: char| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c);
    let odd_part = |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock");
    !name.is_empty()
        && name.len() <= 255
        && !name.starts_with('-')
        && !name.ends_with('.')
        && !name.contains("..")
        && !name.contains("@{")
        && !name.contains(forbidden)
        && !name.split('/').any(odd_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_git_would_take_are_asked_about() {
        for name in ["main", "v1.4.0", "feature/a-b_c", "3f2a", "heads/main", "ä", "a@b"] {
            assert!(may_be_a_name(name), "{name}");
        }
        for name in
            ["", "-x", "a..b", "../../x", "a/../b", "/a", "a/", "a b", "a~1", "HEAD^", "a:b", "a\0b", "@{u}", "x.lock"]
        {
            assert!(!may_be_a_name(name), "{name}");
        }
    }
}
