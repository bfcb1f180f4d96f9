//! The service and its replies as processes: stopped in the middle of one, killed in the middle of one, and
//! away while a webhook comes.

use crate::support::{CALC, Hub, PATIENCE, Project, Service, eventually};
use github_lookalike::{Fault, Place, Trouble};
use nix::sys::signal::Signal;
use std::time::Duration;

const CREATE: &str = "POST /repos/*/*/issues/*/comments";
const PERMISSION: &str = "GET /repos/*/*/collaborators/*/permission";
/// Longer than anybody waits here, and shorter than a test may take.
const SLOW: Trouble = Trouble::Slow(Duration::from_secs(25));

/// One issue, and what the bot writes there.
struct Scene {
    hub: Hub,
    issue: i64,
}

async fn scene() -> Scene {
    let hub = Hub::new(Project::linear(3), &[]).await;
    let issue = hub.issue();
    Scene { hub, issue }
}

impl Scene {
    async fn comment(&self, body: &str) {
        self.hub.github.comment("ada", CALC, self.issue, body).await.unwrap();
    }

    async fn leased(&self, table: &str) {
        let sql = format!("SELECT count(*) FROM {table} WHERE leased_by IS NOT NULL");
        eventually("somebody is at it", async || (self.hub.count(&sql).await > 0).then_some(())).await;
    }

    fn told(&self) -> Vec<String> {
        self.hub.github.comments_by_apps().into_iter().map(|comment| comment.body).collect()
    }

    /// Until nothing waits and nothing is leased; then the comments of the bot.
    async fn settled(&self) -> Vec<String> {
        let sql = "SELECT (SELECT count(*) FROM outbox WHERE state = 'waiting') + \
                   (SELECT count(*) FROM webhook_deliveries WHERE state = 'received')";
        eventually("every delivery and every reply has its end", async || {
            (self.hub.count(sql).await == 0 && !self.told().is_empty()).then_some(())
        })
        .await;
        self.told()
    }

    async fn end(self) {
        assert_eq!(self.hub.github.violations(), Vec::<String>::new());
        self.hub.running.stop().await;
    }
}

#[tokio::test]
async fn a_stop_ends_what_is_under_way_and_leaves_no_lease() {
    let scene = scene().await;
    let service = scene.hub.serve_program(scene.hub.program("one")).await;
    scene.hub.github.fault(Fault::new(CREATE, Trouble::Slow(Duration::from_secs(2)), 1));
    scene.comment("/bisect help").await;
    scene.leased("outbox").await;
    service.stop().await;
    let sql = "SELECT state, leased_by FROM outbox WHERE kind = 'reply'";
    let (state, leased): (String, Option<String>) =
        sqlx::query_as(sql).fetch_one(&mut scene.hub.world.db.raw().await).await.unwrap();
    assert_eq!((state.as_str(), leased), ("sent", None));
    assert_eq!(scene.told().len(), 1);
    scene.end().await;
}

#[tokio::test]
async fn what_a_stop_cuts_short_another_server_takes_up_at_once() {
    let scene = scene().await;
    let one = scene.hub.serve_program(scene.hub.program("one").env("SHUTDOWN_GRACE_SECONDS", "0.3")).await;
    let other = Service::start(scene.hub.program("other")).await;
    other.signal(Signal::SIGSTOP);
    scene.hub.github.fault(Fault::new(PERMISSION, SLOW, 1));
    scene.comment("/bisect status").await;
    scene.leased("webhook_deliveries").await;
    scene.hub.github.fault(Fault::new(CREATE, SLOW, 1));
    scene.comment("/bisect help").await;
    one.stop().await;
    other.signal(Signal::SIGCONT);
    let comments = scene.settled().await;
    let about = |text: &str| comments.iter().filter(|body| body.contains(text)).count();
    assert_eq!(about("No bisection was asked for"), 1, "{comments:?}");
    other.stop().await;
    scene.end().await;
}

#[tokio::test]
async fn what_a_killed_server_had_begun_another_takes_up_as_soon_as_it_is_stale() {
    let scene = scene().await;
    let one = scene.hub.serve_program(scene.hub.program("one").env("STALE_AFTER_SECONDS", "3")).await;
    // The answer to the reply is late, the comment is there; the other delivery hangs in intake.
    let answering = scene.hub.github.gate(CREATE, Place::BeforeAnswer);
    scene.comment("/bisect help").await;
    answering.reached(PATIENCE).await.unwrap();
    let asking = scene.hub.github.gate(PERMISSION, Place::BeforeCall);
    scene.comment("/bisect status").await;
    asking.reached(PATIENCE).await.unwrap();
    one.kill().await;
    asking.open();
    answering.open();
    let other = Service::start(scene.hub.program("other").env("STALE_AFTER_SECONDS", "3")).await;
    let comments = scene.settled().await;
    assert_eq!(comments.len(), 2, "each was told once: {comments:?}");
    assert!(other.log().contains("taken up by others"), "{}", other.log());
    other.stop().await;
    scene.end().await;
}

#[tokio::test]
async fn a_comment_that_came_while_nobody_was_there_is_answered() {
    let scene = scene().await;
    // A port that is free now, and very likely still in a moment.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    scene.hub.github.set_webhook_url(scene.hub.app.id, &format!("http://127.0.0.1:{port}/webhook"));
    scene.comment("/bisect help").await;
    let failed = scene.hub.github.deliveries();
    assert!(failed.len() == 1 && failed[0].status == 502, "{failed:?}");
    let service = Service::start(scene.hub.program("one").env("ROCKET_PORT", port.to_string())).await;
    let comments = scene.settled().await;
    assert!(comments.len() == 1 && comments[0].contains("/bisect"), "{comments:?}");
    // Another server has nothing to ask for.
    let other = Service::start(scene.hub.program("other")).await;
    scene.comment("/bisect help").await;
    eventually("the next comment is answered too", async || (scene.told().len() == 2).then_some(())).await;
    let asked = scene.hub.github.calls().iter().filter(|call| call.starts_with("POST /app/hook/deliveries/")).count();
    assert_eq!(asked, 1, "{:?}", scene.hub.github.calls());
    let metrics = service.text("/metrics").await;
    assert!(metrics.contains("bisectd_redeliveries_total 1"), "{metrics}");
    assert!(metrics.contains("bisectd_github_rate_left{installation=\"app\"} "), "{metrics}");
    service.stop().await;
    other.stop().await;
    scene.end().await;
}

/// The look of its start is not due, for another looked just before: the one 15 s later finds it. Two servers look then.
#[tokio::test]
async fn what_failed_while_a_server_restarted_is_asked_for_soon_after_its_start_and_once() {
    let scene = scene().await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    scene.hub.github.set_webhook_url(scene.hub.app.id, &format!("http://127.0.0.1:{port}/webhook"));
    let before = Service::start(scene.hub.program("before")).await;
    let looked = "SELECT count(*) FROM chores WHERE name = 'redelivery' AND done_at > '-infinity'";
    eventually("it has looked", async || (scene.hub.count(looked).await == 1).then_some(())).await;
    before.stop().await;
    scene.comment("/bisect help").await;
    let failed = scene.hub.github.deliveries();
    assert!(failed.len() == 1 && failed[0].status == 502, "{failed:?}");
    let began = std::time::Instant::now();
    let one = Service::start(scene.hub.program("one").env("ROCKET_PORT", port.to_string())).await;
    let two = Service::start(scene.hub.program("two")).await;
    let comments = scene.settled().await;
    assert!(comments.len() == 1 && comments[0].contains("/bisect"), "{comments:?}");
    assert!(began.elapsed() > Duration::from_secs(14), "asked for by an earlier look: {:?}", began.elapsed());
    let asked = scene.hub.github.calls().iter().filter(|call| call.starts_with("POST /app/hook/deliveries/")).count();
    assert_eq!(asked, 1, "{:?}", scene.hub.github.calls());
    one.stop().await;
    two.stop().await;
    scene.end().await;
}
