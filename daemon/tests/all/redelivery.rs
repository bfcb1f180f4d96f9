//! What GitHub could not deliver is asked for by one server at a time, and by no two of them twice.

use crate::support::{CALC, Hub, PATIENCE, Project, eventually};
use bisect_shared::InstanceId;
use bisectd::{
    github::{Github, GithubSettings},
    redelivery::Redelivery,
};
use github_lookalike::Place;
use secrecy::SecretString;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const ATTEMPT: &str = "POST /app/hook/deliveries/*/attempts";
const SOON: Duration = Duration::from_secs(15);

/// A world in which nobody took the webhooks of three comments.
async fn three_lost() -> Hub {
    let hub = Hub::new(Project::linear(2), &[]).await;
    lose(&hub, 3).await;
    hub
}

/// Nobody takes the webhooks of so many comments.
async fn lose(hub: &Hub, comments: usize) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    hub.github.set_webhook_url(hub.app.id, &format!("http://127.0.0.1:{port}/webhook"));
    let issue = hub.issue();
    for _ in 0..comments {
        hub.github.comment("ada", CALC, issue, "/bisect help").await.unwrap();
    }
    assert_eq!(hub.github.deliveries().iter().filter(|delivery| delivery.status == 502).count(), comments);
}

/// What a server does, if nobody began it within `every`.
fn server(hub: &Hub, name: &str, every: Duration) -> Redelivery {
    let key = SecretString::from(hub.app.private_key.clone());
    let settings = GithubSettings::new(hub.running.url(), hub.app.id.to_string(), key);
    Redelivery {
        db: hub.world.db.db.clone(),
        github: Github::new(&settings).unwrap(),
        instance: InstanceId(name.into()),
        every,
        soon: Duration::from_secs(3),
    }
}

fn asked(hub: &Hub) -> usize {
    hub.github.calls().iter().filter(|call| call.starts_with("POST /app/hook/deliveries/")).count()
}

#[tokio::test]
async fn who_comes_while_another_asks_leaves_it_to_that_one() {
    let hub = three_lost().await;
    let asking = hub.github.gate(ATTEMPT, Place::BeforeAnswer);
    let one = server(&hub, "one", SOON);
    let one = tokio::spawn(async move { one.look().await });
    asking.reached(PATIENCE).await.unwrap();
    // A look that began long ago, but goes on: as after an outage, when there is much to ask for.
    hub.sql("UPDATE chores SET begun_at = now() - interval '14 s' WHERE name = 'redelivery'").await;
    assert_eq!(server(&hub, "two", SOON).look().await.unwrap(), None);
    asking.open();
    assert_eq!(one.await.unwrap().unwrap(), Some(3));
    let since = "SELECT count(*) FROM chores WHERE name = 'redelivery' AND begun_at > now() - interval '10 s' AND done_at = begun_at";
    assert_eq!(hub.count(since).await, 1, "each delivery moved it on");
    // Its own turn comes, and nothing is left.
    assert_eq!(server(&hub, "two", Duration::ZERO).look().await.unwrap(), Some(0));
    assert_eq!(asked(&hub), 3);
    hub.running.stop().await;
}

#[tokio::test]
async fn who_was_too_slow_stops_when_another_has_taken_over() {
    let hub = three_lost().await;
    let asking = hub.github.gate(ATTEMPT, Place::BeforeAnswer);
    let one = server(&hub, "one", SOON);
    let one = tokio::spawn(async move { one.look().await });
    asking.reached(PATIENCE).await.unwrap();
    hub.sql("UPDATE chores SET begun_by = 'two' WHERE name = 'redelivery'").await;
    asking.open();
    assert_eq!(one.await.unwrap().unwrap(), Some(1), "the rest is the other's");
    assert_eq!(asked(&hub), 1);
    assert_eq!(hub.count("SELECT count(*) FROM chores WHERE name = 'redelivery' AND done_at > '-infinity'").await, 0);
    hub.running.stop().await;
}

#[tokio::test]
async fn who_has_just_started_and_meets_another_looks_soon_again_and_not_in_an_hour() {
    let hub = Hub::new(Project::linear(2), &[]).await;
    let stopping = CancellationToken::new();
    let looks = tokio::spawn(server(&hub, "one", Duration::from_hours(1)).run(stopping.clone()));
    let begun = "SELECT count(*) FROM chores WHERE name = 'redelivery' AND begun_by = 'one' AND done_at = begun_at";
    eventually("it looks at its start", async || (hub.count(begun).await == 1).then_some(())).await;
    // Another one looks before its second look, and before a webhook gets lost.
    hub.sql("UPDATE chores SET begun_at = now(), done_at = now(), begun_by = 'two' WHERE name = 'redelivery'").await;
    lose(&hub, 1).await;
    eventually("it is asked for", async || (asked(&hub) == 1).then_some(())).await;
    stopping.cancel();
    looks.await.unwrap();
    hub.running.stop().await;
}
