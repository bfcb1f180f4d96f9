//! The service and its replies as processes: stopped in the middle of one, killed in the middle of one, and
//! away while a webhook comes.

use crate::support::{Program, Project, Service, World, eventually};
use github_lookalike::{Fault, Lookalike, NewApp, NewRepository, Role, Running, Trouble, World as GitHub};
use nix::sys::signal::Signal;
use std::time::Duration;

const CREATE: &str = "POST /repos/*/*/issues/*/comments";
const PERMISSION: &str = "GET /repos/*/*/collaborators/*/permission";
/// Longer than anybody waits here, and shorter than a test may take.
const SLOW: Trouble = Trouble::Slow(Duration::from_secs(25));

struct Hub {
    world: World,
    hub: GitHub,
    app: NewApp,
    issue: i64,
    running: Running,
}

async fn hub() -> Hub {
    let world = World::new(Project::linear(3)).await;
    let hub = GitHub::new().unwrap();
    hub.add_organization("octo");
    let app = hub.add_app("bisect-bot", "octo").unwrap();
    hub.add_repository(&NewRepository::new("octo/calc").copied_from(world.project.path())).unwrap();
    hub.permission("octo/calc", "ada", Some(Role::Write)).unwrap();
    hub.install(app.id, "octo", None).unwrap();
    let issue = hub.add_issue("octo/calc", "ada", "it broke", "").unwrap();
    let running = Lookalike::start(&hub).await.unwrap();
    std::fs::write(world.path("app.pem"), &app.private_key).unwrap();
    Hub { world, hub, app, issue, running }
}

impl Hub {
    fn serve(&self, name: &str) -> Program {
        self.world
            .serve(name)
            .env("GITHUB_APP_ID", self.app.id.to_string())
            .env("GITHUB_APP_SLUG", &self.app.slug)
            .env("GITHUB_PRIVATE_KEY_PATH", self.world.path("app.pem"))
            .env("GITHUB_WEBHOOK_SECRET", &self.app.webhook_secret)
            .env("GITHUB_API_URL", self.running.url())
            .env("GITHUB_URL", self.running.url())
    }

    async fn start(&self, program: Program) -> Service {
        let service = Service::start(program).await;
        self.hub.set_webhook_url(self.app.id, &format!("{}/webhook", service.address));
        service
    }

    async fn comment(&self, body: &str) {
        self.hub.comment("ada", "octo/calc", self.issue, body).await.unwrap();
    }

    async fn leased(&self, table: &str) {
        let sql = format!("SELECT count(*) FROM {table} WHERE leased_by IS NOT NULL");
        eventually("somebody is at it", async || {
            let mut raw = self.world.db.raw().await;
            let count: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql.clone())).fetch_one(&mut raw).await.unwrap();
            (count > 0).then_some(())
        })
        .await;
    }

    /// Until nothing waits and nothing is leased; then the comments of the bot.
    async fn settled(&self) -> Vec<String> {
        let sql = "SELECT (SELECT count(*) FROM outbox WHERE state = 'waiting') + \
                   (SELECT count(*) FROM webhook_deliveries WHERE state = 'received')";
        eventually("every delivery and every reply has its end", async || {
            let left: i64 = sqlx::query_scalar(sql).fetch_one(&mut self.world.db.raw().await).await.unwrap();
            (left == 0 && !self.hub.comments_by_apps().is_empty()).then_some(())
        })
        .await;
        self.hub.comments_by_apps().into_iter().map(|comment| comment.body).collect()
    }

    async fn end(self) {
        assert_eq!(self.hub.violations(), Vec::<String>::new());
        self.running.stop().await;
    }
}

#[tokio::test]
async fn a_stop_ends_what_is_under_way_and_leaves_no_lease() {
    let hub = hub().await;
    let service = hub.start(hub.serve("one")).await;
    hub.hub.fault(Fault::new(CREATE, Trouble::Slow(Duration::from_secs(2)), 1));
    hub.comment("/bisect help").await;
    hub.leased("outbox").await;
    service.stop().await;
    let sql = "SELECT state, leased_by FROM outbox WHERE kind = 'reply'";
    let (state, leased): (String, Option<String>) =
        sqlx::query_as(sql).fetch_one(&mut hub.world.db.raw().await).await.unwrap();
    assert_eq!((state.as_str(), leased), ("sent", None));
    assert_eq!(hub.hub.comments_by_apps().len(), 1);
    hub.end().await;
}

#[tokio::test]
async fn what_a_stop_cuts_short_another_server_takes_up_at_once() {
    let hub = hub().await;
    let one = hub.start(hub.serve("one").env("SHUTDOWN_GRACE_SECONDS", "0.3")).await;
    let other = Service::start(hub.serve("other")).await;
    other.signal(Signal::SIGSTOP);
    hub.hub.fault(Fault::new(PERMISSION, SLOW, 1));
    hub.comment("/bisect status").await;
    hub.leased("webhook_deliveries").await;
    hub.hub.fault(Fault::new(CREATE, SLOW, 1));
    hub.comment("/bisect help").await;
    one.stop().await;
    other.signal(Signal::SIGCONT);
    let comments = hub.settled().await;
    let about = |text: &str| comments.iter().filter(|body| body.contains(text)).count();
    assert_eq!(about("No bisection was asked for"), 1, "{comments:?}");
    other.stop().await;
    hub.end().await;
}

#[tokio::test]
async fn what_a_killed_server_had_begun_another_takes_up_as_soon_as_it_is_stale() {
    let hub = hub().await;
    let one = hub.start(hub.serve("one").env("STALE_AFTER_SECONDS", "3")).await;
    // The answer to the reply is late, the comment is there; the other delivery hangs in intake.
    hub.hub.fault(Fault::new(CREATE, SLOW, 1));
    hub.comment("/bisect help").await;
    eventually("the comment is there", async || (!hub.hub.comments_by_apps().is_empty()).then_some(())).await;
    hub.hub.fault(Fault::new(PERMISSION, SLOW, 1));
    hub.comment("/bisect status").await;
    hub.leased("webhook_deliveries").await;
    hub.leased("outbox").await;
    one.kill().await;
    let other = Service::start(hub.serve("other").env("STALE_AFTER_SECONDS", "3")).await;
    let comments = hub.settled().await;
    assert_eq!(comments.len(), 2, "each was told once: {comments:?}");
    assert!(other.log().contains("taken up by others"), "{}", other.log());
    other.stop().await;
    hub.end().await;
}

#[tokio::test]
async fn a_comment_that_came_while_nobody_was_there_is_answered() {
    let hub = hub().await;
    // A port that is free now, and very likely still in a moment.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    hub.hub.set_webhook_url(hub.app.id, &format!("http://127.0.0.1:{port}/webhook"));
    hub.comment("/bisect help").await;
    let failed = hub.hub.deliveries();
    assert!(failed.len() == 1 && failed[0].status == 502, "{failed:?}");
    let service = Service::start(hub.serve("one").env("ROCKET_PORT", port.to_string())).await;
    let comments = hub.settled().await;
    assert!(comments.len() == 1 && comments[0].contains("/bisect"), "{comments:?}");
    // Another server has nothing to ask for.
    let other = Service::start(hub.serve("other")).await;
    hub.comment("/bisect help").await;
    eventually("the next comment is answered too", async || (hub.hub.comments_by_apps().len() == 2).then_some(()))
        .await;
    let asked = hub.hub.calls().iter().filter(|call| call.starts_with("POST /app/hook/deliveries/")).count();
    assert_eq!(asked, 1, "{:?}", hub.hub.calls());
    let metrics = service.text("/metrics").await;
    assert!(metrics.contains("bisectd_redeliveries_total 1"), "{metrics}");
    assert!(metrics.contains("bisectd_github_rate_left{installation=\"app\"} "), "{metrics}");
    service.stop().await;
    other.stop().await;
    hub.end().await;
}
