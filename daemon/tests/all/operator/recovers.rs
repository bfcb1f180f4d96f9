//! A server, its network and its database go away while a log is read: the banner says so, the console comes back by itself,
//! and nothing is missing and nothing is there twice.

use super::{terminal::Terminal, views::shown};
use crate::support::{OwnPostgres, Project, Service, World, eventually};
use bisectd::db::job_events::JobEventKind;

/// The numbers of the lines that were printed, as far as a text has them.
fn numbers(text: &str) -> Vec<u32> {
    text.lines().filter_map(|line| line.split("line ").nth(1)?.split(' ').next()?.parse().ok()).collect()
}

/// Waits until lines are shown that were not before.
async fn goes_on(console: &Terminal) {
    let newest = |screen: &str| numbers(screen).into_iter().max().unwrap_or(0);
    let before = newest(&console.screen());
    console.comes_to("more lines, live", |screen| newest(screen) > before + 5 && screen.contains("● live")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_goes_away_comes_back() {
    let mut postgres = OwnPostgres::start().await;
    let world = World::on(postgres.database().await, Project::linear(9));
    let two = Service::start(world.serve("two")).await;
    let stop = world.path("stop");
    let job = world
        .enqueue(&format!(
            "i=0; while ! test -e {}; do i=$((i+1)); echo \"line $i of it\"; sleep 0.05; done; test $(cat n) -lt 5",
            stop.display()
        ))
        .await;
    world.event(job, JobEventKind::Claimed).await;
    let one = Service::start(world.serve("one")).await;
    let Some(console) = Terminal::open(&world, "one", "two").await else { return };
    console.goes_to("running").await;
    console.types("l");
    console.shows("line ").await;
    goes_on(&console).await;

    one.kill().await;
    shown("lost", &console, "Not connected").await;
    let one = Service::start(world.serve("one")).await;
    console.hides("Not connected").await;
    goes_on(&console).await;

    console.cut();
    console.comes_to("a banner", |screen| screen.contains("Not connected") || screen.contains("Connecting")).await;
    goes_on(&console).await;

    postgres.stop().await;
    shown("database-away", &console, "cannot reach its database").await;
    postgres.start_again().await;
    console.hides("cannot reach its database").await;
    goes_on(&console).await;

    std::fs::write(&stop, "").unwrap();
    eventually("the job ends", async || world.job().await.status.is_final().then_some(())).await;
    let last = console.comes_to("the end", |screen| screen.contains("complete")).await;
    let saved = world.path("saved.log");
    console.command(&format!("save {}", saved.display())).await;
    let text =
        eventually("the log is saved", async || std::fs::read_to_string(&saved).ok().filter(|t| !t.is_empty())).await;
    let lines = numbers(&text);
    assert!(lines.len() > 30, "{last}");
    assert_eq!(lines, (1..=u32::try_from(lines.len()).unwrap()).collect::<Vec<_>>(), "nothing missing, nothing twice");
    let mut tx = world.db.db.begin().await.unwrap();
    let first = world.probes(job).await[0].id;
    let stored = bisectd::db::log_chunks::log(&mut tx, job, first, None, 100_000).await.unwrap();
    let stored: Vec<u8> = stored.into_iter().flat_map(|chunk| chunk.bytes).collect();
    assert_eq!(lines, numbers(&String::from_utf8(stored).unwrap()), "all that was stored is shown");
    tx.rollback().await.unwrap();

    console.quit().await;
    one.stop().await;
    two.stop().await;
    world.ends_clean().await;
}
