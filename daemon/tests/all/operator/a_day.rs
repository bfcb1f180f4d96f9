//! From an empty fleet to a proven culprit, with what an operator does on the way.

use super::{
    terminal::{OPERATOR, SPARE, Terminal},
    views::shown,
};
use crate::support::{CALC, Hub, Project, eventually};
use chrono::{DateTime, Utc};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// Prints the time, ten times a second, and then decides.
const TICKS: &str = "for i in $(seq 25); do echo \"tick $(date +%s%3N)\"; sleep 0.1; done; test $(cat n) -lt 5";

/// The times that are printed on the screen, in milliseconds since the epoch.
fn ticks(screen: &str) -> BTreeSet<i64> {
    screen.split("tick ").skip(1).filter_map(|rest| rest.get(..13)?.parse().ok()).collect()
}

/// How long after it was printed each line came to the screen, while the next thirty lines came.
async fn lags(terminal: &Terminal) -> Vec<i64> {
    // What was printed before comes at once when the log is opened.
    let began = Utc::now().timestamp_millis();
    let (mut known, mut lags) = (ticks(&terminal.screen()), Vec::new());
    eventually("thirty lines are printed", async || {
        let seen = ticks(&terminal.screen());
        let now = Utc::now().timestamp_millis();
        lags.extend(seen.difference(&known).filter(|printed| **printed > began).map(|printed| now - printed));
        known.extend(seen);
        (lags.len() >= 30).then_some(())
    })
    .await;
    lags.sort_unstable();
    lags
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_day() {
    let hub = Hub::new(Project::linear(9), &[]).await;
    let (two, one) = (hub.serve("two").await, hub.serve("one").await);
    let Some(console) = Terminal::open(&hub.world, "one", "two").await else { return };
    shown("jobs-empty", &console, "There are no jobs.").await;

    // The server at the other end of ssh takes nothing any more: whatever is seen now runs elsewhere.
    console.types("2");
    console.shows("2 serve").await;
    console.goes_to("(here)").await;
    console.types("d");
    shown("drain", &console, "Give no new jobs to").await;
    let asked = Instant::now();
    console.types("y");
    let drains = async || (one.get("/health").await.1["status"] == "draining").then_some(());
    eventually("it drains", drains).await;
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(2), "drained after {took:?}");
    shown("servers", &console, "1 serves").await;
    console.types("1");
    console.shows("There are no jobs.").await;

    let issue = hub.issue();
    let comment = hub.github.comment("ada", CALC, issue, &format!("/bisect c0 main {TICKS}")).await.unwrap().id;
    console.comes_to("the job", |screen| screen.contains(CALC)).await;
    let seen = Utc::now();
    let received = "SELECT received_at FROM webhook_deliveries WHERE comment_id = $1";
    let (received,): (DateTime<Utc>,) =
        sqlx::query_as(received).bind(comment).fetch_one(&mut hub.world.db.raw().await).await.unwrap();
    let appeared = (seen - received).num_milliseconds();
    assert!(appeared <= 1000, "the job was seen {appeared} ms after its webhook");
    let job = hub.ended(comment).await.job.unwrap();

    console.comes_to("a running job", |screen| screen.contains("▸ running") && screen.contains('█')).await;
    shown("jobs", &console, CALC).await;
    console.key("Enter");
    shown("job-running", &console, TICKS.get(..20).unwrap()).await;
    console.types("l");
    console.shows("tick ").await;
    let lags = lags(&console).await;
    shown("log", &console, "tick ").await;
    println!("job seen after {appeared} ms; lines after {lags:?} ms");
    assert!(lags[lags.len() / 2] <= 500, "lines came {lags:?} ms after they were printed");

    console.types("c");
    shown("cancel", &console, &format!("Cancel job {job} of {CALC}?")).await;
    assert!(!hub.world.running_containers().is_empty());
    let asked = Instant::now();
    console.types("y");
    eventually("its containers are gone", async || hub.world.running_containers().is_empty().then_some(())).await;
    let took = asked.elapsed();
    println!("cancelled after {took:?}");
    assert!(took < Duration::from_secs(2), "containers were gone after {took:?}");
    let stopped = format!("Stopped by {OPERATOR}");
    eventually("GitHub hears of it", async || hub.status(issue, job).contains(&stopped).then_some(())).await;
    hub.told(issue, &format!("job:{job}:status")).await;

    // Back to the job, and once more.
    console.key("Escape");
    console.shows("cancelled").await;
    console.types("r");
    console.shows(&format!("Run job {job} of {CALC} again?")).await;
    console.types("y");
    console.shows(&format!("repeats job {job}")).await;
    let again = hub.world.jobs().await.last().unwrap().id;
    hub.told(issue, &format!("job:{again}:status")).await;
    console.types("1");
    console.goes_to(&format!(" {again} ")).await;
    console
        .comes_to("the culprit", |screen| {
            screen.lines().any(|line| line.starts_with('▌') && line.contains("✓ culprit"))
        })
        .await;
    console.key("Enter");
    let done = shown("job-done", &console, "Culprit found and proven").await;
    assert!(done.contains(&hub.world.project.sha("c5").to_string()), "{done}");
    console.types("l");
    console.shows("tick ").await;
    console.types("/tick");
    shown("search", &console, "search: tick").await;
    console.key("Enter");

    console.types("3");
    shown("overview", &console, "Results of 24 hours").await;
    console.types("4");
    let audit = shown("audit", &console, "job.retry").await;
    for action in ["instance.drain", "job.cancel", "job.retry"] {
        assert!(audit.lines().any(|line| line.contains(action) && line.contains(OPERATOR)), "{action}:\n{audit}");
    }
    console.types("?");
    shown("help", &console, "› Help").await;
    console.key("Escape");

    // Claims go on; and the other server tells the same.
    console.types("2");
    console.goes_to("(here)").await;
    console.types("D");
    console.shows("Give new jobs to").await;
    console.types("y");
    console.shows("2 serve").await;
    console.types("H");
    shown("hosts", &console, SPARE).await;
    console.types("j");
    console.key("Enter");
    console.comes_to("the other server", |screen| screen.lines().next().is_some_and(|line| line.contains(SPARE))).await;
    console.types("1");
    console.shows("✓ culprit").await;
    console.quit().await;

    two.stop().await;
    hub.end(one).await.ends_clean().await;
}
