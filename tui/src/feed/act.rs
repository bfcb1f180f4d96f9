//! Actions: sent once. An answer that is lost is told as such and nothing is repeated.

use crate::{
    client::{Client, Error, segment},
    message::Action,
};
use bisect_shared::admin::{Outcome, RetryRequest};
use std::sync::Arc;
use tokio::{sync::Semaphore, task::JoinSet};

/// So many are under way at once; the others wait their turn.
const AT_ONCE: usize = 8;

/// What came of an action.
pub(super) type Done = (Action, Result<Outcome, String>);

/// Those that are under way.
#[derive(Debug)]
pub(super) struct Actions {
    tasks: JoinSet<Done>,
    open: Vec<Action>,
    turn: Arc<Semaphore>,
}

impl Actions {
    pub(super) fn new() -> Self {
        Self { tasks: JoinSet::new(), open: Vec::new(), turn: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    pub(super) fn start(&mut self, client: &Client, actions: Vec<Action>) {
        for action in actions {
            self.open.push(action.clone());
            let (client, turn) = (client.clone(), Arc::clone(&self.turn));
            self.tasks.spawn(async move {
                // The semaphore is never closed; without a permit there would only be more at once.
                let _permit = turn.acquire().await;
                let done = send(&client, &action).await;
                (action, done)
            });
        }
    }

    /// The next that is done; pending while none is under way.
    pub(super) async fn next(&mut self) -> Done {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(done)) => {
                    if let Some(at) = self.open.iter().position(|action| *action == done.0) {
                        self.open.swap_remove(at);
                    }
                    return done;
                }
                // A task that panicked is among those that are lost at the end.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Those of which nothing will be heard.
    pub(super) fn lost(mut self) -> Vec<Done> {
        self.tasks.abort_all();
        let doubtful = || Err(doubtful("the connection was lost"));
        self.open.drain(..).map(|action| (action, doubtful())).collect()
    }
}

/// What is said to an operator who acts while there is no connection.
pub(super) const NOT_CONNECTED: &str = "not connected: nothing was sent";

fn doubtful(why: &str) -> String {
    format!("the answer was lost ({why}): it may have been done or not, look before you repeat it")
}

async fn send(client: &Client, action: &Action) -> Result<Outcome, String> {
    let nothing = RetryRequest::default();
    let answer = match action {
        Action::Cancel(job) => client.post(&format!("/v1/jobs/{job}/cancel"), &nothing).await,
        Action::Retry(job, runs) => client.post(&format!("/v1/jobs/{job}/retry"), &RetryRequest { runs: *runs }).await,
        Action::Drain(instance) => {
            client.post(&format!("/v1/instances/{}/drain", segment(&instance.0)), &nothing).await
        }
        Action::Undrain(instance) => {
            client.post(&format!("/v1/instances/{}/undrain", segment(&instance.0)), &nothing).await
        }
    };
    answer.map_err(|error| match error {
        Error::Refused { message, .. } => message,
        Error::Lost { sent: false, .. } => NOT_CONNECTED.to_owned(),
        Error::Newer { .. } => error.to_string(),
        Error::Lost { sent: true, .. } | Error::Late(_) | Error::Misunderstood(_) => doubtful(&error.to_string()),
    })
}
