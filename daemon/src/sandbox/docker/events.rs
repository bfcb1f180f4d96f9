//! What the engine says happened to a workshop's containers: killed for memory, signalled, ended.
//!
//! The only place that knows of memory: an exit code of 137 says nothing of who sent the signal.

use super::{engine::Engine, labels};
use bollard::{models::EventMessage, query_parameters::EventsOptionsBuilder};
use futures::StreamExt;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{sync::watch, task::AbortHandle};

/// What happened to one container so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fate {
    /// The kernel killed a process of it for memory.
    pub(super) out_of_memory: bool,
    /// Somebody had the engine send it a signal.
    pub(super) signalled: bool,
    /// Its process 1, and so everything in it, is dead.
    pub(super) ended: bool,
    /// The exit code of process 1, once it is dead.
    pub(super) code: Option<u8>,
}

#[derive(Debug, Clone, Default)]
struct Seen {
    fates: HashMap<String, Fate>,
    /// Why no more will be seen.
    lost: Option<Arc<str>>,
}

/// One workshop's events, followed from before its first container on.
pub(super) struct Events {
    seen: watch::Receiver<Seen>,
    follower: AbortHandle,
}

impl Events {
    pub(super) fn follow(engine: &Engine, workshop: &str) -> Self {
        let (sender, seen) = watch::channel(Seen::default());
        // From the beginning: the engine keeps the latest, and the label is this workshop's alone, so
        // nothing is missed between this and the moment when the request arrives.
        let wanted = labels::filter(&[(labels::WORKSHOP, workshop)]);
        let options = EventsOptionsBuilder::new().since("1").filters(&wanted).build();
        let docker = engine.docker.clone();
        let follower = tokio::spawn(async move {
            let mut messages = Box::pin(docker.events(Some(options)));
            let reason = loop {
                match messages.next().await {
                    Some(Ok(message)) => sender.send_modify(|seen| note(seen, message)),
                    Some(Err(error)) => break error.to_string(),
                    None => break "Docker ended its list of events (it stops)".to_owned(),
                }
            };
            sender.send_modify(|seen| seen.lost = Some(reason.into()));
        });
        Self { seen, follower: follower.abort_handle() }
    }

    /// Whether nothing more will be seen.
    pub(super) fn are_lost(&self) -> bool {
        self.seen.borrow().lost.is_some()
    }

    /// The fate of one container.
    pub(super) fn of(&self, container: &str) -> FateWatch {
        FateWatch { seen: self.seen.clone(), container: container.to_owned() }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

fn note(seen: &mut Seen, message: EventMessage) {
    let (Some(action), Some(actor)) = (message.action, message.actor) else {
        return;
    };
    let Some(id) = actor.id else {
        return;
    };
    let fate = seen.fates.entry(id).or_default();
    match action.as_str() {
        "oom" => fate.out_of_memory = true,
        "kill" => fate.signalled = true,
        "die" => {
            fate.ended = true;
            fate.code = actor.attributes.and_then(|said| said.get("exitCode")?.parse().ok());
        }
        _ => {}
    }
}

/// Waits for what happens to one container.
pub(super) struct FateWatch {
    seen: watch::Receiver<Seen>,
    container: String,
}

impl FateWatch {
    /// What is known of it by now; of what happened this moment nothing may be known yet.
    pub(super) fn so_far(&self) -> Fate {
        self.seen.borrow().fates.get(&self.container).copied().unwrap_or_default()
    }

    /// What is known of it once the engine said that memory ran out, or after `limit`.
    pub(super) async fn of_memory(&mut self, limit: Duration) -> Fate {
        let container = &self.container;
        let said = |seen: &Seen| seen.fates.get(container).is_some_and(|fate| fate.out_of_memory);
        // That nothing more will be seen, or that time is up, is no reason to believe anything else.
        let _ = tokio::time::timeout(limit, self.seen.wait_for(said)).await;
        self.so_far()
    }

    /// Its fate, once it ended; or why that will never be known.
    pub(super) async fn ended(&mut self) -> Result<Fate, Arc<str>> {
        let lost = || Arc::from("the list of Docker's events is no longer followed");
        let container = &self.container;
        let over = |seen: &Seen| seen.lost.is_some() || seen.fates.get(container).is_some_and(|fate| fate.ended);
        let seen = self.seen.wait_for(over).await.map_err(|_| lost())?;
        match (seen.fates.get(container), &seen.lost) {
            (Some(fate), _) if fate.ended => Ok(*fate),
            (_, Some(reason)) => Err(reason.clone()),
            _ => Err(lost()),
        }
    }
}
