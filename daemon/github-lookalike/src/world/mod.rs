//! The world of the small GitHub: users, Apps, installations, repositories, issues, comments. A test states facts about it
//! (`permission(repository, user, role)`) and reads what the bot did. [`World`] is a handle: clones share one world.

mod apps;
mod events;
mod expectations;
mod gate;
mod people;
mod repositories;
pub mod state;

use crate::faults::{Fault, Order, WebhookFault};
use anyhow::Context;

use chrono::{DateTime, TimeDelta, Utc};
use state::{Comment, Delivery, Outgoing, Reaction, State, User};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

pub use apps::{NewApp, default_permissions};
pub use events::Posted;
pub(crate) use events::write_comment;
pub(crate) use gate::Closed;
pub use gate::Gate;
pub use people::NewOAuthApp;
pub use repositories::NewRepository;

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

impl World {
    pub(crate) fn sending(&self) -> &TaskTracker {
        &self.inner.sending
    }

    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.inner.http
    }
}
