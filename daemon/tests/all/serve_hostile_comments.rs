//! Comments that nobody should write, and a `.github/bisect.yml` that is a bomb: one clear answer each, and nothing
//! queued.

use crate::support::{Commit, Project, Service, World, eventually};
use github_lookalike::{Lookalike, NewApp, NewRepository, Role, Running, World as GitHub};

/// `octo/calc`, and `octo/bomb`, whose settings are a bomb; ada may push to both.
struct Hub {
    hub: GitHub,
    app: NewApp,
    running: Running,
}

async fn hub(world: &World) -> Hub {
    let bomb = (1..60).fold("a0: &a0 [x, x]\n".to_owned(), |bomb, n| {
        let alias = format!("*a{}", n - 1);
        format!("{bomb}a{n}: &a{n} [{}]\n", vec![alias; 20].join(", "))
    });
    let settings = [(".github/bisect.yml", bomb.as_str())];
    let commit = |parents| Commit { parents, files: &settings };
    let bombed = Project::of(&[commit(&[]), commit(&[0])]);
    let hub = GitHub::new().unwrap();
    hub.add_organization("octo");
    let app = hub.add_app("bisect-bot", "octo").unwrap();
    for (name, project) in [("octo/calc", &world.project), ("octo/bomb", &bombed)] {
        hub.add_repository(&NewRepository::new(name).copied_from(project.path())).unwrap();
        hub.permission(name, "ada", Some(Role::Write)).unwrap();
        hub.add_issue(name, "ada", "it broke", "").unwrap();
    }
    hub.install(app.id, "octo", None).unwrap();
    let running = Lookalike::start(&hub).await.unwrap();
    Hub { hub, app, running }
}

#[tokio::test]
async fn a_hostile_comment_gets_one_clear_answer_and_queues_nothing() {
    let world = World::new(Project::linear(3)).await;
    let Hub { hub, app, running } = hub(&world).await;
    let key = world.path("app.pem");
    std::fs::write(&key, &app.private_key).unwrap();
    let program = world
        .serve("one")
        .env("GITHUB_APP_ID", app.id.to_string())
        .env("GITHUB_APP_SLUG", &app.slug)
        .env("GITHUB_PRIVATE_KEY_PATH", key.to_str().unwrap())
        .env("GITHUB_WEBHOOK_SECRET", &app.webhook_secret)
        .env("GITHUB_API_URL", running.url())
        .env("GITHUB_URL", running.url());
    let service = Service::start(program).await;
    hub.set_webhook_url(app.id, &format!("{}/webhook", service.address));

    let prose = "Lorem ipsum dolor. ".repeat(60_000 / 19);
    let thousand = "/bisect nowhere main ./x\n".repeat(1000);
    for (repository, comment, answer) in [
        ("octo/calc", format!("{prose}\n\n/bisect nowhere main ./x"), "no branch, tag or commit nowhere"),
        ("octo/calc", format!("/bisect c0 main echo {prose}"), "bytes long; at most 32768 are taken.\n"),
        ("octo/calc", thousand, "no branch, tag or commit nowhere"),
        ("octo/calc", "/bisect -c0 main ./x".to_owned(), "begins with a dash"),
        ("octo/calc", "/bisect --upload-pack=./x c0 main ./x".to_owned(), "There is no option"),
        ("octo/calc", "/bisect c0 ma\u{7}in ./x".to_owned(), "control or invisible character"),
        ("octo/calc", "/bisect c0 ma\u{202e}in ./x".to_owned(), "control or invisible character"),
        ("octo/calc", "/bisect c0\0 main ./x".to_owned(), "control or invisible character"),
        ("octo/bomb", "/bisect c0 main ./x".to_owned(), "`.github/bisect.yml` on the default branch cannot be used"),
    ] {
        let before = hub.comments_by_apps().len();
        hub.comment("ada", repository, 1, &comment).await.unwrap();
        let shown: String = comment.chars().take(60).collect();
        let what = format!("{shown:?} is answered");
        let told = eventually(&what, async || hub.comments_by_apps().get(before).cloned()).await.body;
        let plain: String = told.chars().filter(|c| *c != '\u{200b}').collect();
        assert!(plain.contains(answer) && told.len() < 4000, "{shown:?}: {told}");
        hub.expect_comment(repository, 1, &told);
    }
    // Long, and none of the bot's business.
    hub.comment("ada", "octo/calc", 1, &prose).await.unwrap();
    // The bot's own answers are told to it, too, and ignored.
    let ends = "SELECT state, count(*) FROM webhook_deliveries GROUP BY state ORDER BY state";
    let mut seen = Vec::new();
    let all = [("ignored".to_owned(), 10_i64), ("rejected".to_owned(), 9)];
    eventually("every delivery has its end", async || {
        let now: Vec<(String, i64)> = sqlx::query_as(ends).fetch_all(&mut world.db.raw().await).await.unwrap();
        if !seen.contains(&now) {
            println!("deliveries: {now:?}");
            seen.push(now.clone());
        }
        (now == all).then_some(())
    })
    .await;

    assert_eq!(world.jobs().await.len(), 0, "nothing is queued");
    let log = service.log();
    assert!(!log.contains("PRIVATE KEY") && !log.contains(&app.webhook_secret), "{log}");
    assert!(!log.contains("Lorem ipsum"), "no comment is logged: {log}");
    service.stop().await;
    hub.finish().await.unwrap();
    running.stop().await;
    world.ends_clean().await;
}
