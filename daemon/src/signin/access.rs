//! Who sees what: the repositories that GitHub lists for a user's token, believed for ten minutes at most.
//!
//! One server asks at a time for one user; the others wait for what it stores. What a webhook drops while GitHub is
//! asked makes the answer void, and it is asked again.

use super::{Inner, SignIn};
use crate::{
    db::{DbError, repositories, user_repositories},
    github::{GithubError, Permission, Reached, RepositoryRef},
};
use secrecy::SecretString;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// How long what GitHub said is believed.
pub const LIFE: Duration = Duration::from_mins(10);
/// Before it is over, whoever looks makes it new, without waiting.
pub(super) const EARLY: Duration = Duration::from_mins(5);
/// The longest that asking may take, and for how long nobody else asks.
const ASKING: Duration = Duration::from_secs(25);
const LEASE: Duration = Duration::from_secs(30);
/// How long GitHub is left alone after it did not say.
const PAUSE: Duration = Duration::from_secs(15);
/// The longest that a page waits for it.
const WAIT: Duration = Duration::from_secs(10);
/// How often somebody who waits looks whether another server is done.
const LOOK: Duration = Duration::from_millis(50);
/// How long an answer is believed that names an installation of which nothing is known here yet: its webhook is on its way.
const SOON: Duration = Duration::from_secs(15);
/// So often an answer may be void before what is known is left as it is.
const MOST_TRIES: u32 = 5;
/// So many repositories are asked about one by one, where there is no list.
const MOST_CANDIDATES: u32 = 200;

/// How much is known of what a user may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// What GitHub said within the last ten minutes.
    Fresh,
    /// GitHub does not say. What it said before shows until it is ten minutes old, then nothing private does.
    Stale,
    /// The user took the authorization back: all sessions are ended.
    SignedOut,
}

/// Why GitHub's word could not be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unknown {
    #[error("{0}")]
    Database(#[from] DbError),
    #[error("{0}")]
    Github(#[from] GithubError),
    #[error("GitHub took longer than {} s", ASKING.as_secs())]
    TooSlow,
    #[error("it changed faster than it could be asked for")]
    Restless,
    #[error("the authorization was taken back")]
    Revoked,
}

impl SignIn {
    /// Makes sure that what the database shows this user is what GitHub said within the last ten minutes. Every request
    /// with a [`super::Viewer`] does this; what stays open for longer must do it again now and then.
    pub async fn ensure(&self, user: i64) -> Known {
        let began = Instant::now();
        loop {
            match self.inner.look(user).await {
                Ok(left) if left > EARLY => return Known::Fresh,
                Ok(left) if !left.is_zero() => {
                    tokio::spawn(Arc::clone(&self.inner).refresh(user));
                    return Known::Fresh;
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(user.id = user, error = %error, "what a user may see could not be looked up");
                    return Known::Stale;
                }
            }
            // Not ended with the request: what was asked for is stored for the next one.
            let asked = tokio::spawn(Arc::clone(&self.inner).refresh(user));
            let left = WAIT.saturating_sub(began.elapsed());
            match timeout(left, asked).await {
                Ok(Ok(Some(known))) => return known,
                Ok(Ok(None)) if began.elapsed() < WAIT => sleep(LOOK).await,
                _ => return Known::Stale,
            }
        }
    }

    /// At the next occasion GitHub is asked what this user may see, for example after the App was installed.
    ///
    /// # Errors
    /// [`DbError`], as for every call.
    pub async fn ask_again(&self, user: i64) -> Result<(), DbError> {
        let mut tx = self.inner.db.begin().await?;
        user_repositories::ask_again(&mut tx, user).await?;
        tx.commit().await
    }
}

impl Inner {
    async fn look(&self, user: i64) -> Result<Duration, DbError> {
        let mut tx = self.db.begin().await?;
        let left = user_repositories::left(&mut tx, user).await?;
        tx.rollback().await?;
        Ok(left)
    }

    /// Asks GitHub, unless somebody does: `None`.
    pub(super) async fn refresh(self: Arc<Self>, user: i64) -> Option<Known> {
        let asked = async {
            for _ in 0..MOST_TRIES {
                match self.ask_once(user).await? {
                    Asked::ByAnother => return Ok(None),
                    Asked::Stored => return Ok(Some(Known::Fresh)),
                    Asked::Void => {}
                }
            }
            Err(Unknown::Restless)
        };
        let error = match timeout(ASKING, asked).await {
            Ok(Ok(known)) => return known,
            Ok(Err(error)) => error,
            Err(_) => Unknown::TooSlow,
        };
        if matches!(error, Unknown::Revoked) {
            return Some(Known::SignedOut);
        }
        tracing::warn!(user.id = user, error = %error, "GitHub did not say what a user may see");
        if let Err(error) = self.pause(user).await {
            tracing::debug!(user.id = user, error = %error, "that could not be noted");
        }
        Some(Known::Stale)
    }

    async fn pause(&self, user: i64) -> Result<(), DbError> {
        let mut tx = self.db.begin().await?;
        user_repositories::give_up(&mut tx, user, PAUSE).await?;
        tx.commit().await
    }

    async fn ask_once(&self, user: i64) -> Result<Asked, Unknown> {
        let mut tx = self.db.begin().await?;
        let version = user_repositories::begin_asking(&mut tx, user, EARLY, LEASE).await?;
        tx.commit().await?;
        let Some(version) = version else { return Ok(Asked::ByAnother) };
        let (listed, life) = match self.reached(user).await? {
            Some(reached) => self.known_here(reached).await?,
            None => (self.one_by_one(user).await?, LIFE),
        };
        let (ids, permissions): (Vec<i64>, Vec<&str>) = listed.into_iter().map(|(id, may)| (id, may.name())).unzip();
        let mut tx = self.db.begin().await?;
        let stored = user_repositories::replace(&mut tx, user, version, &ids, &permissions, life).await?;
        tx.commit().await?;
        Ok(if stored { Asked::Stored } else { Asked::Void })
    }

    /// What the user's token lists; `None` where there is no token, or one that may not list anything.
    async fn reached(&self, user: i64) -> Result<Option<Vec<Reached>>, Unknown> {
        let Some(oauth) = &self.oauth else { return Ok(None) };
        let Some((github_id, token)) = self.token(user, None).await? else { return Ok(None) };
        let refused =
            |error: &GithubError, with| matches!(error, GithubError::Forbidden { status, .. } if *status == with);
        let told = match oauth.reached(&token, github_id).await {
            // Taken back, or expired before its time.
            Err(error) if refused(&error, 401) => {
                let Some((_, token)) = self.token(user, Some(&token)).await? else { return Ok(None) };
                match oauth.reached(&token, github_id).await {
                    Err(error) if refused(&error, 401) => return Err(self.revoked(user).await?),
                    told => told,
                }
            }
            told => told,
        };
        match told {
            Ok(reached) => Ok(Some(reached)),
            Err(error) if refused(&error, 403) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Repositories that have come to an installation lately may not be known here yet. Of an installation that is not
    /// known nothing is taken: its own webhook comes, or was the one that removed it. Also for how long this holds.
    async fn known_here(&self, reached: Vec<Reached>) -> Result<(Vec<(i64, Permission)>, Duration), Unknown> {
        let mut life = LIFE;
        let ids: Vec<i64> = reached.iter().map(|repository| repository.id).collect();
        let mut tx = self.db.begin().await?;
        let unknown = repositories::unknown(&mut tx, &ids).await?;
        for repository in reached.iter().filter(|repository| unknown.contains(&repository.id)) {
            if crate::db::installations::is_suspended(&mut tx, repository.installation).await?.is_none() {
                life = SOON;
                continue;
            }
            let known = repositories::Known {
                github_id: repository.id,
                installation: repository.installation,
                owner: &repository.owner,
                name: &repository.name,
                private: repository.private,
                archived: repository.archived,
                default_branch: repository.default_branch.as_deref(),
            };
            repositories::ensure(&mut tx, &known).await?;
        }
        tx.commit().await?;
        Ok((reached.into_iter().map(|repository| (repository.id, repository.permission)).collect(), life))
    }

    /// What the App itself is told about the user, repository by repository.
    async fn one_by_one(&self, user: i64) -> Result<Vec<(i64, Permission)>, Unknown> {
        let Some(github) = &self.github else { return Ok(Vec::new()) };
        let mut tx = self.db.begin().await?;
        let candidates = user_repositories::candidates(&mut tx, user, MOST_CANDIDATES).await?;
        let mut rows = Vec::new();
        for id in candidates {
            rows.extend(repositories::find(&mut tx, id).await?);
        }
        let who = crate::db::users::tokens(&mut tx, user).await?;
        tx.rollback().await?;
        let Some(who) = who else { return Ok(Vec::new()) };
        let mut may = Vec::new();
        for row in rows {
            let place =
                RepositoryRef { installation: row.installation, id: row.github_id, owner: row.owner, name: row.name };
            match github.permission(&place, &who.login, who.github_id).await {
                Ok(Permission::None) => {}
                // Everybody has that in a public one: it says nothing of the user, and opens nothing of the installation.
                Ok(Permission::Read) if !row.private => {}
                Ok(permission) => may.push((row.github_id, permission)),
                // Not for this App to see now, so for nobody here.
                Err(GithubError::Forbidden { .. } | GithubError::Suspended { .. } | GithubError::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(may)
    }
}

/// What came of asking once.
enum Asked {
    ByAnother,
    Stored,
    /// Something was dropped meanwhile.
    Void,
}

impl Inner {
    /// The user's token, with GitHub's number of the user: a new one where it is over, or where it is the `bad` one.
    /// `None`: there is none here.
    async fn token(&self, user: i64, bad: Option<&SecretString>) -> Result<Option<(i64, SecretString)>, Unknown> {
        super::tokens::current(self, user, bad).await
    }

    /// The authorization was taken back: the user is signed out everywhere.
    pub(super) async fn revoked(&self, user: i64) -> Result<Unknown, DbError> {
        super::tokens::sign_out(self, user, "the authorization was taken back on GitHub").await?;
        Ok(Unknown::Revoked)
    }
}
