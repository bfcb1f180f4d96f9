//! One connection, from its snapshot to its end.

use super::{
    Gone, Order, Session, Teller, Want,
    act::Actions,
    follow::{self, Place},
    link::Feeder,
    poll::Poller,
    snapshot,
};
use crate::{
    client::{Client, Error},
    connection::Mistake,
    message::Message,
};
use bisect_shared::{
    JobId, JobStatus,
    admin::{AuditPage, Event, JobDetail, Overview},
};
use std::time::Duration;
use tokio::{
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until, timeout},
};

/// Why the connection is no more.
pub(super) enum End {
    /// It was lost.
    Lost(Mistake),
    /// It was given up for this order, which is still to be obeyed.
    Ordered(Order),
}

/// How long answers to actions are waited for when a connection is given up.
const LAST_ANSWERS: Duration = Duration::from_secs(2);
/// A line that came while the process slept is read before the connection is called dead.
const GRACE: Duration = Duration::from_millis(500);

pub(super) async fn run(feeder: &mut Feeder, mut session: Session) -> Result<End, Gone> {
    let mut live = Live::new(feeder, &session);
    live.subscribe(&feeder.want.borrow_and_update().clone(), &mut feeder.place);
    let silence = feeder.clocks.silence;
    let mut heard = Instant::now();
    let ended = loop {
        let due = live.next_due();
        tokio::select! {
            biased;
            order = feeder.orders.recv() => match order.ok_or(Gone)? {
                Order::Act(actions) => live.actions.start(&live.client, actions),
                Order::OlderAudit(before) => live.older_audit(before),
                // It is connected.
                Order::Connect => {}
                order => break Ended::Order(order),
            },
            changed = feeder.want.changed() => {
                changed.map_err(|_| Gone)?;
                live.subscribe(&feeder.want.borrow_and_update().clone(), &mut feeder.place);
            }
            line = session.events.next() => {
                heard = Instant::now();
                match line {
                    Ok(Some(event)) => live.event(event).await?,
                    Ok(None) => break Ended::Fault("bisectd ended the connection (is it being restarted?)".to_owned()),
                    Err(error) => break Ended::Fault(error.to_string()),
                }
            }
            done = live.actions.next() => live.done(done).await?,
            Some(fetched) = live.fetches.join_next() => match fetched {
                Ok(fetched) => live.fetched(fetched).await?,
                Err(error) => live.failed_task(&error).await?,
            },
            () = at(due) => live.start_due(),
            () = sleep_until(heard + silence) => match timeout(GRACE, session.events.next()).await {
                Ok(Ok(Some(event))) => {
                    heard = Instant::now();
                    live.event(event).await?;
                }
                _ => break Ended::Fault(format!("nothing was heard for {} s", silence.as_secs_f64())),
            },
        }
    };
    live.end(ended, session).await
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

enum Ended {
    Fault(String),
    Order(Order),
}

enum Fetched {
    Snapshot(Result<Result<(), Gone>, Error>),
    Overview(Result<Overview, Error>),
    Audit(Result<AuditPage, Error>),
    OlderAudit(Result<AuditPage, Error>),
    Detail(JobId, Result<Option<Box<JobDetail>>, Error>),
}

struct Live {
    client: Client,
    teller: Teller,
    clocks: super::Clocks,
    want: Want,
    snapshot: Poller,
    overview: Poller,
    audit: Poller,
    detail: Poller,
    fetches: JoinSet<Fetched>,
    actions: Actions,
    follower: Option<Stop>,
}

/// Stops a task when it is dropped.
struct Stop(AbortHandle);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Live {
    fn new(feeder: &Feeder, session: &Session) -> Self {
        let calm = feeder.clocks.calm;
        let mut snapshot = Poller::new(calm * 3);
        snapshot.ask(Instant::now());
        Self {
            client: session.client.clone(),
            teller: feeder.teller.clone(),
            clocks: feeder.clocks.clone(),
            want: Want::default(),
            snapshot,
            overview: Poller::new(calm),
            audit: Poller::new(calm),
            detail: Poller::new(calm),
            fetches: JoinSet::new(),
            actions: Actions::new(),
            follower: None,
        }
    }

    /// Another screen needs other things.
    fn subscribe(&mut self, want: &Want, place: &mut Option<Place>) {
        let now = Instant::now();
        let (old, new) = (self.want.wanted.clone(), &want.wanted);
        let polled = [
            (&mut self.overview, old.overview != new.overview, new.overview),
            (&mut self.audit, old.audit != new.audit, new.audit),
            (&mut self.detail, old.job != new.job, new.job.is_some()),
        ];
        for (poller, changed, wanted) in polled {
            if changed {
                poller.forget();
                if wanted {
                    poller.ask(now);
                }
            }
        }
        let follows = self.follower.is_some() && self.want.subscription == want.subscription;
        if !follows {
            self.follower = None;
            self.follow(want, place);
        }
        self.want = want.clone();
    }

    fn follow(&mut self, want: &Want, place: &mut Option<Place>) {
        let Some(of) = want.wanted.log else {
            *place = None;
            return;
        };
        let known = place.take().filter(|known| known.of == of && known.subscription == want.subscription);
        let at = known.unwrap_or_else(|| Place::new(of, want.subscription, &want.cursors));
        *place = Some(at.clone());
        let task = tokio::spawn(follow::run(self.client.clone(), self.teller.clone(), at));
        self.follower = Some(Stop(task.abort_handle()));
    }

    async fn event(&mut self, event: Event) -> Result<(), Gone> {
        let now = Instant::now();
        match &event {
            Event::Hello(_) | Event::Tick { .. } | Event::Unknown => return Ok(()),
            Event::Resync => {
                self.snapshot.ask(now);
                self.ask_anew(now);
            }
            Event::Job(view) => self.changed(view.id, now),
            Event::JobGone { id } => self.changed(*id, now),
            Event::Instances { .. } => self.ask_audit(now),
            Event::DatabaseAway { .. } | Event::Stopping => {}
        }
        self.teller.tell(Message::Event(event)).await
    }

    fn changed(&mut self, job: JobId, now: Instant) {
        if self.want.wanted.job == Some(job) {
            self.detail.ask(now);
        }
        self.ask_audit(now);
    }

    fn ask_audit(&mut self, now: Instant) {
        if self.want.wanted.audit {
            self.audit.ask(now);
        }
    }

    fn ask_anew(&mut self, now: Instant) {
        self.ask_audit(now);
        if self.want.wanted.overview {
            self.overview.ask(now);
        }
        if self.want.wanted.job.is_some() {
            self.detail.ask(now);
        }
    }

    async fn done(&mut self, (action, result): super::act::Done) -> Result<(), Gone> {
        // Its effect shows at once where somebody looks.
        self.ask_anew(Instant::now());
        self.teller.tell(Message::Done(action, result)).await
    }

    fn next_due(&self) -> Option<Instant> {
        [&self.snapshot, &self.overview, &self.audit, &self.detail].into_iter().filter_map(Poller::due).min()
    }

    fn start_due(&mut self) {
        let now = Instant::now();
        let client = self.client.clone();
        if self.snapshot.start(now) {
            let (client, teller) = (client.clone(), self.teller.clone());
            self.fetches.spawn(async move { Fetched::Snapshot(snapshot::tell(&client, &teller).await) });
        }
        if self.overview.start(now) {
            let client = client.clone();
            self.fetches.spawn(async move { Fetched::Overview(client.get("/v1/stats").await) });
        }
        if self.audit.start(now) {
            let client = client.clone();
            self.fetches.spawn(async move { Fetched::Audit(snapshot::audit(&client, None).await) });
        }
        if let Some(job) = self.want.wanted.job
            && self.detail.start(now)
        {
            self.fetches.spawn(async move { Fetched::Detail(job, snapshot::detail(&client, job).await) });
        }
    }

    fn older_audit(&mut self, before: i64) {
        let client = self.client.clone();
        self.fetches.spawn(async move { Fetched::OlderAudit(snapshot::audit(&client, Some(before)).await) });
    }

    async fn fetched(&mut self, fetched: Fetched) -> Result<(), Gone> {
        let now = Instant::now();
        let wanted = self.want.wanted.clone();
        let clocks = &self.clocks;
        let (message, complaint) = match fetched {
            Fetched::Snapshot(told) => {
                self.snapshot.finish(now, told.is_err().then_some(clocks.overview));
                let (gone, complaint) = split(told, "jobs and servers");
                if let Some(Err(gone)) = gone {
                    return Err(gone);
                }
                (None, self.snapshot.complain(complaint))
            }
            Fetched::Overview(answer) => {
                self.overview.finish(now, wanted.overview.then_some(clocks.overview));
                let (answer, complaint) = split(answer, "the overview");
                (answer.map(Message::Overview), self.overview.complain(complaint))
            }
            Fetched::Audit(answer) => {
                self.audit.finish(now, wanted.audit.then_some(clocks.slow));
                let (answer, complaint) = split(answer, "the audit");
                (answer.map(|page| Message::Audit(page, false)), self.audit.complain(complaint))
            }
            Fetched::OlderAudit(answer) => {
                let (answer, complaint) = split(answer, "older entries of the audit");
                (answer.map(|page| Message::Audit(page, true)), complaint)
            }
            Fetched::Detail(job, answer) => {
                let running = matches!(&answer, Ok(Some(found)) if found.job.status == JobStatus::Running);
                let pause = if running { clocks.detail } else { clocks.slow };
                self.detail.finish(now, wanted.job.is_some().then_some(pause));
                let (answer, complaint) = split(answer, &format!("job {job}"));
                // The screen may show another one by now.
                let answer = answer.filter(|_| wanted.job == Some(job));
                (answer.map(|detail| Message::Detail(job, detail)), self.detail.complain(complaint))
            }
        };
        if let Some(message) = message {
            self.teller.tell(message).await?;
        }
        match complaint {
            Some(complaint) => self.teller.tell(Message::Said(Err(complaint))).await,
            None => Ok(()),
        }
    }

    async fn failed_task(&mut self, error: &tokio::task::JoinError) -> Result<(), Gone> {
        self.teller.tell(Message::Said(Err(format!("a part of this console failed, please report it: {error}")))).await
    }

    /// Gives up the connection: actions get their answers, or are told as doubtful.
    async fn end(mut self, ended: Ended, session: Session) -> Result<End, Gone> {
        self.follower = None;
        self.fetches.shutdown().await;
        let given_up = matches!(ended, Ended::Order(_));
        let deadline = Instant::now() + if given_up { LAST_ANSWERS } else { Duration::ZERO };
        while !self.actions.is_empty() {
            let Ok((action, result)) = tokio::time::timeout_at(deadline, self.actions.next()).await else { break };
            self.teller.tell(Message::Done(action, result)).await?;
        }
        for (action, result) in self.actions.lost() {
            self.teller.tell(Message::Done(action, result)).await?;
        }
        Ok(match ended {
            Ended::Fault(fault) => End::Lost(session.lost(&fault).await),
            Ended::Order(order) => {
                session.close();
                End::Ordered(order)
            }
        })
    }
}

/// A lost connection is told as such, by the link.
fn split<T>(answer: Result<T, Error>, what: &str) -> (Option<T>, Option<String>) {
    match answer {
        Ok(answer) => (Some(answer), None),
        Err(Error::Lost { .. }) => (None, None),
        Err(error) => (None, Some(format!("{what} cannot be read: {error}"))),
    }
}
