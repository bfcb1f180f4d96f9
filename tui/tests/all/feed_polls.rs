//! What is fetched while somebody looks, and not longer.

use crate::support::{
    daemon::{Daemon, World},
    listener::Listener,
    samples::job,
};
use bisect_shared::{JobId, JobStatus};
use bisect_tui::{
    feed::Order,
    message::{Message, Wanted},
};
use std::time::Duration;

async fn detail(listener: &mut Listener) -> (JobId, Option<JobStatus>) {
    listener
        .wait(|message| match message {
            Message::Detail(id, detail) => Some((id, detail.map(|detail| detail.job.status))),
            _ => None,
        })
        .await
}

#[tokio::test]
async fn a_job_is_looked_at_while_it_runs_and_when_it_changes() {
    let daemon = Daemon::start(World::new());
    daemon.world.put(job(1, JobStatus::Running));
    let mut listener = Listener::to(&daemon);
    listener.want(Wanted { job: Some(JobId(1)), ..Wanted::default() });
    for _ in 0..3 {
        assert_eq!(detail(&mut listener).await, (JobId(1), Some(JobStatus::Running)), "again and again");
    }
    daemon.world.put(job(1, JobStatus::Completed));
    while detail(&mut listener).await.1 != Some(JobStatus::Completed) {}
    listener.want(Wanted { job: Some(JobId(9)), ..Wanted::default() });
    assert_eq!(detail(&mut listener).await, (JobId(9), None), "there is no such job");
    listener.want(Wanted::default());
    let before = daemon.world.asked("GET /v1/jobs/");
    daemon.world.put(job(9, JobStatus::Pending));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(daemon.world.asked("GET /v1/jobs/"), before, "nobody looks");
}

#[tokio::test]
async fn the_overview_comes_while_it_is_shown_and_after_a_loss() {
    let daemon = Daemon::start(World::new());
    let mut listener = Listener::to(&daemon);
    listener.want(Wanted { overview: true, audit: true, ..Wanted::default() });
    let overview = |message| matches!(message, Message::Overview(numbers) if numbers.pending == 5).then_some(());
    for _ in 0..3 {
        listener.wait(overview).await;
    }
    daemon.world.cut();
    listener.down().await;
    listener.up().await;
    listener.wait(|message| matches!(message, Message::Audit(_, false)).then_some(())).await;
    listener.wait(overview).await;
    listener.order(Order::OlderAudit(17)).await;
    listener.wait(|message| matches!(message, Message::Audit(_, true)).then_some(())).await;
    assert_eq!(daemon.world.asked("GET /v1/audit?before=17"), 1);
}
