//! One question for scripts: connects, asks, prints, ends.

mod table;

use crate::{
    cli::Once,
    client::Client,
    feed::{Clocks, MOST_JOBS, Session, audit, page},
    plan::Plan,
};
use bisect_shared::admin::{InstanceList, JobPage, Overview};
use serde::Serialize;
use std::{
    fs::File,
    io::{self, ErrorKind, IsTerminal, Write},
};
use table::Style;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum OnceError {
    /// No connection.
    #[error("{0}")]
    Connection(#[from] crate::connection::Mistake),
    /// The daemon did not answer this.
    #[error("{server}: {error}")]
    Answer {
        /// Who was asked.
        server: String,
        /// What it said.
        error: crate::client::Error,
    },
    /// The answer cannot be printed.
    #[error("standard output cannot be written: {0}")]
    Output(io::Error),
    /// More servers than one question has answers.
    #[error("--once asks one server; {0} were named")]
    Several(usize),
}

/// Asks the first server of the plan and prints the answer.
///
/// # Errors
/// [`OnceError`].
pub async fn run(plan: &Plan, what: Once, json: bool) -> Result<(), OnceError> {
    let Some(server) = plan.servers.first() else { return Err(OnceError::Several(0)) };
    // ssh asks at the terminal, where there is a person.
    let asking = io::stderr().is_terminal() && File::options().read(true).write(true).open("/dev/tty").is_ok();
    let session = Session::open(server, asking, &Clocks::default()).await?;
    let style = Style { utc: plan.look.utc, ascii: plan.look.ascii, now: session.hello.now };
    let text = answer(&session.client, what, json, &style).await;
    let text = text.map_err(|error| OnceError::Answer { server: server.name.clone(), error })?;
    session.close();
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // A reader that has read enough (`| head`) is no failure.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(OnceError::Output(error)),
        _ => Ok(()),
    }
}

type Answer = Result<String, crate::client::Error>;

async fn answer(client: &Client, what: Once, json: bool, style: &Style) -> Answer {
    match what {
        Once::Jobs => show(&jobs(client).await?, json, |page| table::jobs(page, style)),
        Once::Instances => {
            show(&client.get::<InstanceList>("/v1/instances").await?, json, |list| table::instances(list, style))
        }
        Once::Stats => show(&client.get::<Overview>("/v1/stats").await?, json, table::overview),
        Once::Audit => show(&audit(client, None).await?, json, |page| table::audit(page, style)),
    }
}

fn show<T: Serialize>(value: &T, json: bool, table: impl FnOnce(&T) -> String) -> Answer {
    if !json {
        return Ok(table(value));
    }
    let text = serde_json::to_string(value);
    text.map(|text| text + "\n").map_err(|error| crate::client::Error::Misunderstood(error.to_string()))
}

/// All pages as one; `next` says whether there are older ones than are read.
async fn jobs(client: &Client) -> Result<JobPage, crate::client::Error> {
    let mut all = JobPage::default();
    loop {
        let more = page(client, all.next).await?;
        let empty = more.jobs.is_empty();
        all.jobs.extend(more.jobs);
        all.next = more.next;
        if all.next.is_none() || empty || all.jobs.len() >= MOST_JOBS {
            return Ok(all);
        }
    }
}
