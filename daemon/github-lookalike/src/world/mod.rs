//! The world of the small GitHub: users, Apps, installations, repositories, issues, comments. A test states facts about it
//! (`permission(repository, user, role)`) and reads what the bot did. [`World`] is a handle: clones share one world.

mod events;
mod expectations;
mod gate;
mod people;
pub mod state;

use crate::faults::{Fault, Order, WebhookFault};
use crate::{git, keys};
use anyhow::{Context, anyhow};
use chrono::{DateTime, TimeDelta, Utc};
use state::{
    App, Comment, Delivery, Installation, Issue, Outgoing, Permissions, Pull, Reaction, Repository, Role, State, User,
};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

pub use events::Posted;
pub(crate) use events::write_comment;
pub(crate) use gate::Closed;
pub use gate::Gate;

/// A handle of one world.
#[derive(Debug, Clone)]
pub struct World {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
    /// Webhooks on their way.
    sending: TaskTracker,
    http: reqwest::Client,
    folder: tempfile::TempDir,
}

/// What a new App gets; the private half of its key is handed out once, as on GitHub.
#[derive(Debug, Clone)]
pub struct NewApp {
    /// Its number.
    pub id: i64,
    /// Its short name.
    pub slug: String,
    /// Its client id.
    pub client_id: String,
    /// The RSA private key as PEM.
    pub private_key: String,
    /// What signs its webhooks.
    pub webhook_secret: String,
    /// What it proves itself with when somebody signs in.
    pub client_secret: String,
}

/// What a new OAuth App gets.
#[derive(Debug, Clone)]
pub struct NewOAuthApp {
    /// Its client id.
    pub client_id: String,
    /// What it proves itself with.
    pub client_secret: String,
}

/// A repository to be made.
#[derive(Debug, Clone)]
pub struct NewRepository {
    full_name: String,
    private: bool,
    source: Option<PathBuf>,
    default_branch: Option<String>,
}

impl NewRepository {
    /// `owner/name`; public and empty, with the branch `main`.
    #[must_use]
    pub fn new(full_name: &str) -> Self {
        Self { full_name: full_name.to_owned(), private: false, source: None, default_branch: None }
    }

    /// Only collaborators may know of it.
    #[must_use]
    pub fn private(mut self) -> Self {
        self.private = true;
        self
    }

    /// With the branches, tags and commits of a local repository, which is copied.
    #[must_use]
    pub fn copied_from(mut self, path: &Path) -> Self {
        self.source = Some(path.to_owned());
        self
    }

    /// HEAD means this branch.
    #[must_use]
    pub fn default_branch(mut self, branch: &str) -> Self {
        self.default_branch = Some(branch.to_owned());
        self
    }
}

impl World {
    /// An empty world with a temporary folder for its repositories, removed with the last handle.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("github-lookalike-").tempdir().context("no temporary folder")?;
        let state = State { last_id: 1_000, user_tokens_expire: true, ..State::default() };
        let http = reqwest::Client::builder().timeout(std::time::Duration::from_secs(10)).no_proxy().build()?;
        let inner = Inner {
            state: Mutex::new(state),
            changed: watch::Sender::new(0),
            sending: TaskTracker::new(),
            http,
            folder,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Reads.
    pub(crate) fn read(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes, and wakes whoever waits in [`World::eventually`].
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let value = change(&mut self.read());
        self.inner.changed.send_modify(|version| *version += 1);
        value
    }

    /// The folder that holds all git repositories, for `git http-backend`.
    pub(crate) fn folder(&self) -> &Path {
        self.inner.folder.path()
    }

    /// The pages propose to write this comment, and say what it is for.
    pub fn hint(&self, comment: &str, what: &str) {
        self.change(|state| state.hints.push((comment.to_owned(), what.to_owned())));
    }

    /// Where the look-alike answers, once started.
    #[must_use]
    pub fn url(&self) -> String {
        self.read().url.clone()
    }

    /// Adds a person and answers the user's number; an existing one is answered as it is.
    pub fn add_user(&self, login: &str) -> i64 {
        self.add_account(login, "User")
    }

    /// Adds an organization.
    pub fn add_organization(&self, login: &str) -> i64 {
        self.add_account(login, "Organization")
    }

    fn add_account(&self, login: &str, kind: &'static str) -> i64 {
        self.change(|state| {
            if let Some(user) = state.user_named(login) {
                return user.id;
            }
            let id = state.next_id();
            state.users.push(User { id, login: login.to_owned(), kind });
            id
        })
    }

    /// Registers an App of `owner` with GitHub's permissions of this bot, a new key and a random webhook secret.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn add_app(&self, slug: &str, owner: &str) -> anyhow::Result<NewApp> {
        let (private_key, public_key) = keys::generate()?;
        let bot = self.add_account(&format!("{slug}[bot]"), "Bot");
        let owner = self.add_user(owner);
        let (webhook_secret, client_secret) = (keys::token(), keys::random_hex(20));
        Ok(self.change(|state| {
            let (id, now) = (state.next_id(), state.now());
            let app = App {
                id,
                slug: slug.to_owned(),
                client_id: format!("Iv23li{id:014}"),
                client_secret: client_secret.clone(),
                callback_url: None,
                setup_url: None,
                bot,
                public_key,
                webhook_secret: webhook_secret.clone(),
                webhook_url: None,
                owner,
                permissions: default_permissions(),
                created_at: now,
            };
            let client_id = app.client_id.clone();
            state.apps.push(app);
            NewApp { id, slug: slug.to_owned(), client_id, private_key, webhook_secret, client_secret }
        }))
    }

    /// Where an App's webhooks go from now on.
    pub fn set_webhook_url(&self, app: i64, url: &str) {
        self.change(|state| {
            if let Some(app) = state.apps.iter_mut().find(|a| a.id == app) {
                app.webhook_url = Some(url.to_owned());
            }
        });
    }

    /// The secret that signs an App's webhooks from now on.
    pub fn set_webhook_secret(&self, app: i64, secret: &str) {
        self.change(|state| {
            if let Some(app) = state.apps.iter_mut().find(|a| a.id == app) {
                app.webhook_secret = secret.to_owned();
            }
        });
    }

    /// Makes a repository with a real bare git repository. The owner, if unknown, becomes a user.
    ///
    /// # Errors
    /// When the name is not `owner/name` or git fails.
    pub fn add_repository(&self, new: &NewRepository) -> anyhow::Result<i64> {
        let (owner, name) = new.full_name.split_once('/').context("a repository's name is owner/name")?;
        let owner = self.add_user(owner);
        let id = self.change(State::next_id);
        let git_dir = self.folder().join(format!("{id}.git"));
        let default_branch = git::create(&git_dir, new.source.as_deref(), new.default_branch.as_deref())?;
        self.change(|state| {
            let created_at = state.now();
            state.former_names.remove(&new.full_name.to_lowercase());
            state.repositories.push(Repository {
                id,
                owner,
                name: name.to_owned(),
                private: new.private,
                archived: false,
                default_branch,
                git_dir,
                created_at,
            });
        });
        Ok(id)
    }

    /// The bare git repository, into which a test may push with the real git.
    ///
    /// # Errors
    /// When there is no such repository.
    pub fn git_dir(&self, repository: &str) -> anyhow::Result<PathBuf> {
        Ok(self.repository(repository)?.git_dir)
    }

    /// A repository as it is now, by `owner/name`.
    ///
    /// # Errors
    /// When there is no such repository.
    pub fn repository(&self, full_name: &str) -> anyhow::Result<Repository> {
        self.read()
            .repository_named(full_name)
            .cloned()
            .ok_or_else(|| anyhow!("the world has no repository {full_name}"))
    }

    /// `user` has `role` in the repository; `None` takes it away.
    ///
    /// # Errors
    /// When there is no such repository.
    pub fn permission(&self, repository: &str, user: &str, role: Option<Role>) -> anyhow::Result<()> {
        let repository = self.repository(repository)?.id;
        let user = self.add_user(user);
        self.change(|state| match role {
            Some(role) => state.roles.insert((repository, user), role),
            None => state.roles.remove(&(repository, user)),
        });
        Ok(())
    }

    /// Opens an issue and answers its number in the repository. Sends nothing.
    ///
    /// # Errors
    /// When there is no such repository.
    pub fn add_issue(&self, repository: &str, user: &str, title: &str, body: &str) -> anyhow::Result<i64> {
        self.open(repository, user, title, body, None)
    }

    /// Opens a pull request that brought `commits`, merged by `merged` if given; answers its number.
    ///
    /// # Errors
    /// When there is no such repository.
    pub fn add_pull(
        &self,
        repository: &str,
        user: &str,
        title: &str,
        commits: &[String],
        merged: Option<&str>,
    ) -> anyhow::Result<i64> {
        let pull = Pull { commits: commits.to_vec(), head: "topic".to_owned(), merged: merged.map(str::to_owned) };
        self.open(repository, user, title, "", Some(pull))
    }

    fn open(&self, repository: &str, user: &str, title: &str, body: &str, pull: Option<Pull>) -> anyhow::Result<i64> {
        let repository = self.repository(repository)?.id;
        let user = self.add_user(user);
        Ok(self.change(|state| {
            let number = state.issues.iter().filter(|i| i.repository == repository).map(|i| i.number).max();
            let number = number.unwrap_or(0) + 1;
            let (id, created_at) = (state.next_id(), state.now());
            state.issues.push(Issue {
                id,
                repository,
                number,
                user,
                title: title.to_owned(),
                body: body.to_owned(),
                locked: false,
                deleted: false,
                created_at,
                pull,
            });
            number
        }))
    }

    /// Locks or unlocks an issue: only collaborators may comment on a locked one, and no App.
    ///
    /// # Errors
    /// When there is no such repository.
    pub fn lock_issue(&self, repository: &str, number: i64, locked: bool) -> anyhow::Result<()> {
        self.change_issue(repository, number, |issue| issue.locked = locked)
    }

    /// Deletes an issue: GitHub answers 410 from then on.
    ///
    /// # Errors
    /// When there is no such repository.
    pub fn delete_issue(&self, repository: &str, number: i64) -> anyhow::Result<()> {
        self.change_issue(repository, number, |issue| issue.deleted = true)
    }

    /// Somebody with that right deletes a comment. Sends nothing.
    pub fn delete_comment(&self, comment: i64) {
        self.change(|state| {
            state.comments.retain(|known| known.id != comment);
            state.reactions.retain(|reaction| reaction.comment != comment);
        });
    }

    fn change_issue(&self, repository: &str, number: i64, change: impl FnOnce(&mut Issue)) -> anyhow::Result<()> {
        let id = self.repository(repository)?.id;
        self.change(|state| {
            let issue = state.issues.iter_mut().find(|i| i.repository == id && i.number == number);
            issue.map(change).ok_or_else(|| anyhow!("{repository} has no issue {number}"))
        })
    }

    /// The App is on the account, for all its repositories or the chosen ones. Sends nothing; see [`World::announce_installation`].
    ///
    /// # Errors
    /// When an account, App or repository is unknown.
    pub fn install(&self, app: i64, account: &str, selected: Option<&[&str]>) -> anyhow::Result<i64> {
        let selected = selected
            .map(|names| names.iter().map(|name| Ok(self.repository(name)?.id)).collect::<anyhow::Result<Vec<_>>>())
            .transpose()?;
        let account = self.add_user(account);
        let permissions = self.read().app(app).context("the world has no such App")?.permissions.clone();
        Ok(self.change(|state| {
            let (id, created_at) = (state.next_id(), state.now());
            state.installations.push(Installation {
                id,
                app,
                account,
                permissions,
                selected,
                suspended: None,
                created_at,
            });
            id
        }))
    }

    /// What the account grants from now on: `[("issues", "write"), …]`. Tokens given out before keep what they had.
    pub fn grant(&self, installation: i64, permissions: &[(&str, &str)]) {
        let granted: Permissions = permissions.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        self.change(|state| {
            if let Some(installation) = state.installations.iter_mut().find(|i| i.id == installation) {
                installation.permissions = granted;
            }
        });
    }

    /// The look-alike's clock is this far from the machine's.
    pub fn set_clock_offset(&self, offset: TimeDelta) {
        self.change(|state| state.clock_offset = offset);
    }

    /// How long installation tokens live instead of an hour.
    pub fn set_token_life(&self, life: TimeDelta) {
        self.change(|state| state.token_life = Some(life));
    }

    /// Calls an hour for Apps and installations instead of 5,000.
    pub fn set_rate_limit(&self, per_hour: u32) {
        self.change(|state| state.limits.per_hour = Some(per_hour));
    }

    /// An installation's calls are used up until `reset`.
    pub fn exhaust_rate_limit(&self, installation: i64, reset: DateTime<Utc>) {
        self.change(|state| {
            let now = state.now();
            state.limits.exhaust(&format!("installation {installation}"), now, reset);
        });
    }

    /// The next calls that match go wrong.
    pub fn fault(&self, fault: Fault) {
        self.change(|state| state.faults.push(fault));
    }

    /// No fault is left for calls and webhooks.
    pub fn clear_faults(&self) {
        self.change(|state| {
            state.faults.clear();
            state.webhook_faults.clear();
        });
    }

    /// The next webhook goes wrong; several are used up one after another.
    pub fn webhook_fault(&self, fault: WebhookFault) {
        self.change(|state| state.webhook_faults.push_back(fault));
    }

    /// Webhooks are kept back from now on until [`World::release_webhooks`].
    pub fn hold_webhooks(&self) {
        self.change(|state| state.holding = true);
    }

    /// Sends what was kept back, one after another, in this order, and keeps nothing back any more.
    pub async fn release_webhooks(&self, order: Order) {
        let mut held: Vec<Outgoing> = self.change(|state| {
            state.holding = false;
            std::mem::take(&mut state.held)
        });
        match order {
            Order::AsHappened => {}
            Order::Reversed => held.reverse(),
            Order::Shuffled(seed) => {
                use rand::SeedableRng as _;
                use rand::seq::SliceRandom as _;
                held.shuffle(&mut rand::rngs::StdRng::seed_from_u64(seed));
            }
        }
        for outgoing in held {
            self.deliver(outgoing).await;
        }
    }

    /// The comments of an issue in their order, people's and Apps'.
    ///
    /// # Errors
    /// When there is no such repository.
    pub fn comments(&self, repository: &str, issue: i64) -> anyhow::Result<Vec<Comment>> {
        let id = self.repository(repository)?.id;
        Ok(self.read().comments.iter().filter(|c| c.repository == id && c.issue == issue).cloned().collect())
    }

    /// All comments that Apps wrote, in the whole world.
    #[must_use]
    pub fn comments_by_apps(&self) -> Vec<Comment> {
        self.read().comments.iter().filter(|comment| comment.app.is_some()).cloned().collect()
    }

    /// The reactions to a comment.
    #[must_use]
    pub fn reactions(&self, comment: i64) -> Vec<Reaction> {
        self.read().reactions.iter().filter(|reaction| reaction.comment == comment).cloned().collect()
    }

    /// All attempts to deliver a webhook, the oldest first.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.read().deliveries.clone()
    }

    /// How many faults have not struck yet, or not as often as they were to.
    #[must_use]
    pub fn faults_left(&self) -> usize {
        let state = self.read();
        state.faults.len() + state.webhook_faults.len()
    }

    /// Every token that was given out for an installation: what must not stand anywhere.
    #[must_use]
    pub fn tokens(&self) -> Vec<String> {
        self.read().tokens.iter().map(|token| token.token.clone()).collect()
    }

    /// Every call that was answered, as `METHOD /path status`.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        self.read().calls.clone()
    }
}

/// What this bot's App asks for.
#[must_use]
pub fn default_permissions() -> Permissions {
    [("contents", "read"), ("issues", "write"), ("metadata", "read"), ("pull_requests", "write")]
        .into_iter()
        .map(|(name, level)| (name.to_owned(), level.to_owned()))
        .collect()
}

impl World {
    pub(crate) fn sending(&self) -> &TaskTracker {
        &self.inner.sending
    }

    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.inner.http
    }
}
