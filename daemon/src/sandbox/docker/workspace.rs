//! A lane's directory in the workshop's volume, and what the checkout container does in it.
//!
//! Requests of one lane are served one after the other, those of different lanes side by side. A
//! workspace in which a request was under way when its checkout container ended is lost; any other
//! is as it was, for the next checkout container.

use super::{
    PATIENCE,
    checkout::{Condition, Usage},
    container::Place,
    engine,
    workshop::Workshop,
};
use crate::sandbox::SandboxError;
use bisect_shared::Sha;
use std::{future::Future, sync::Arc};
use tokio::sync::Mutex;

/// One lane's files.
#[derive(Clone)]
pub(super) struct Workspace {
    workshop: Arc<Workshop>,
    pub(super) place: Place,
    turn: Arc<Mutex<Condition>>,
}

impl Workspace {
    pub(super) fn new(workshop: Arc<Workshop>, place: Place) -> Self {
        Self { workshop, place, turn: Arc::default() }
    }

    /// Makes it a repository with a home. Docker must be done with the lane's first test container: it may
    /// give a directory that it was just about to make to root.
    pub(super) async fn open(&self) -> Result<(), SandboxError> {
        self.in_turn("preparing a workspace", "open", "").await
    }

    /// Makes the workspace exactly the commit, plus what its ignore rules keep.
    pub(super) async fn check_out(&self, commit: Sha) -> Result<(), SandboxError> {
        self.in_turn("checking out a commit", "checkout", &commit.to_string()).await
    }

    /// Empties workspace and home.
    pub(super) async fn reset(&self) -> Result<(), SandboxError> {
        self.in_turn("emptying a workspace", "reset", "").await
    }

    /// Measures workspace and home, in whatever checkout container there is. Files and folders are counted until
    /// there are more than `files`: then what is more is not looked at.
    pub(super) async fn usage(&self, files: u64) -> Result<Usage, SandboxError> {
        let request = format!("usage {} {files}", self.place.uid);
        let checkout = patiently("measuring a workspace", self.workshop.checkout()).await?;
        match patiently("measuring a workspace", checkout.usage(&request)).await {
            Err(error) if checkout.has_ended() => {
                tracing::warn!(%error, "measuring a workspace again, in another checkout container");
                let checkout = patiently("measuring a workspace", self.workshop.checkout()).await?;
                patiently("measuring a workspace", checkout.usage(&request)).await
            }
            other => other,
        }
    }

    /// Removes it, in whatever state it is. Nothing of the lane may run any more.
    pub(super) async fn remove(&self) -> Result<(), SandboxError> {
        let doing = "removing a workspace";
        let turn = patiently(doing, async { Ok(self.turn.clone().lock_owned().await) }).await?;
        let checkout = self.workshop.checkout().await?;
        let request = format!("remove {}", self.place.uid);
        patiently(doing, checkout.ask(doing, &request, Some(turn))).await.map(drop)
    }

    async fn in_turn(&self, doing: &'static str, request: &str, argument: &str) -> Result<(), SandboxError> {
        let request = format!("{request} {} {argument}", self.place.uid);
        let ask = async {
            let turn = self.turn.clone().lock_owned().await;
            if *turn == Condition::Unknown {
                return Err(engine::failed(doing, "its checkout container ended in the middle of a checkout"));
            }
            let checkout = self.workshop.checkout().await?;
            checkout.ask(doing, &request, Some(turn)).await
        };
        patiently(doing, ask).await.map(drop)
    }
}

async fn patiently<T>(doing: &str, work: impl Future<Output = Result<T, SandboxError>>) -> Result<T, SandboxError> {
    let in_time = tokio::time::timeout(PATIENCE, work).await;
    in_time.unwrap_or_else(|_| Err(engine::failed(doing, "it took too long")))
}
