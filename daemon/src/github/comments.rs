//! Comments of issues and pull requests, and reactions to them.

use super::{
    Call, Github, GithubError, IssueComment, Permissions, RepositoryRef,
    app::{named, path_of},
};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Deserialize;
use serde_json::json;

/// The comments of a pull request can be read and written with either.
const READ: [Permissions; 2] = [&[("issues", "read")], &[("pull_requests", "read")]];
const WRITE: [Permissions; 2] = [&[("issues", "write")], &[("pull_requests", "write")]];
/// GitHub's largest page.
const PAGE: usize = 100;

#[derive(Deserialize)]
struct Comment {
    id: i64,
    body: Option<String>,
    performed_via_github_app: Option<Author>,
}

#[derive(Deserialize)]
struct Author {
    id: Option<u64>,
}

#[derive(Deserialize)]
struct Created {
    id: i64,
}

impl Github {
    /// Adds a reaction (`eyes`) to a comment. Done twice, it is there once.
    ///
    /// # Errors
    /// [`GithubError`], as for every call.
    pub async fn react(&self, repository: &RepositoryRef, comment: i64, reaction: &str) -> Result<(), GithubError> {
        let call = Call::post(
            "create_reaction",
            format!("reacting to comment {comment} of {}", named(repository)),
            format!("{}/issues/comments/{comment}/reactions", path_of(repository)),
            json!({ "content": reaction }),
        );
        self.ask_either(repository, WRITE, &call).await.map(drop)
    }

    /// Writes a comment and answers its number.
    ///
    /// # Errors
    /// [`GithubError`]; after [`GithubError::Unavailable`] and [`GithubError::Misunderstood`] it may
    /// be there nevertheless.
    pub async fn create_comment(&self, repository: &RepositoryRef, issue: i64, body: &str) -> Result<i64, GithubError> {
        let call = Call::post(
            "create_comment",
            format!("commenting on {}#{issue}", named(repository)),
            format!("{}/issues/{issue}/comments", path_of(repository)),
            json!({ "body": body }),
        );
        let created: Created = self.ask_either(repository, WRITE, &call).await?.json()?;
        Ok(created.id)
    }

    /// Replaces what a comment says.
    ///
    /// # Errors
    /// [`GithubError`], as for every call.
    pub async fn update_comment(
        &self,
        repository: &RepositoryRef,
        comment: i64,
        body: &str,
    ) -> Result<(), GithubError> {
        let call = Call::patch(
            "update_comment",
            format!("editing comment {comment} of {}", named(repository)),
            format!("{}/issues/comments/{comment}", path_of(repository)),
            json!({ "body": body }),
        );
        let edited: Created = self.ask_either(repository, WRITE, &call).await?.json()?;
        if edited.id == comment {
            return Ok(());
        }
        Err(GithubError::Misunderstood { doing: call.doing, reason: format!("comment {} was edited", edited.id) })
    }

    /// The comments of an issue that were written or edited since a moment, all pages.
    ///
    /// # Errors
    /// [`GithubError`], as for every call.
    pub async fn comments(
        &self,
        repository: &RepositoryRef,
        issue: i64,
        since: DateTime<Utc>,
    ) -> Result<Vec<IssueComment>, GithubError> {
        let since = since.to_rfc3339_opts(SecondsFormat::Secs, true);
        let mut comments = Vec::new();
        for page in 1_u32.. {
            let call = Call::get(
                "list_comments",
                format!("reading the comments of {}#{issue}", named(repository)),
                format!("{}/issues/{issue}/comments?since={since}&per_page={PAGE}&page={page}", path_of(repository)),
            );
            let listed: Vec<Comment> = self.ask_either(repository, READ, &call).await?.json()?;
            let last = listed.len() < PAGE;
            comments.extend(listed.into_iter().map(|comment| self.read(comment)));
            if last {
                break;
            }
        }
        Ok(comments)
    }

    fn read(&self, comment: Comment) -> IssueComment {
        let author = comment.performed_via_github_app.and_then(|author| author.id);
        IssueComment { id: comment.id, body: comment.body.unwrap_or_default(), ours: author == Some(self.inner.app.id) }
    }
}
