//! The whole way: a comment on the look-alike, a job in containers, the answer in the same comment.

use crate::support::{Project, Service, World, eventually};
use github_lookalike::{Lookalike, NewRepository, Role, World as GitHub};

#[tokio::test]
async fn a_comment_becomes_a_proven_answer_on_github() {
    let world = World::new(Project::linear(9)).await;
    let hub = GitHub::new().unwrap();
    hub.add_user("ada");
    hub.add_user("eve");
    hub.add_organization("octo");
    let app = hub.add_app("bisect-bot", "octo").unwrap();
    hub.add_repository(&NewRepository::new("octo/calc").private().copied_from(world.project.path())).unwrap();
    hub.permission("octo/calc", "ada", Some(Role::Write)).unwrap();
    hub.permission("octo/calc", "eve", Some(Role::Read)).unwrap();
    hub.install(app.id, "octo", None).unwrap();
    let issue = hub.add_issue("octo/calc", "ada", "it broke", "").unwrap();
    let running = Lookalike::start(&hub).await.unwrap();
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

    let asked = hub.comment("ada", "octo/calc", issue, "/bisect c0 main test \"$(cat n)\" -lt 5").await.unwrap();
    world.job_appears().await;
    let ended = async || world.job().await.status.is_final().then_some(());
    eventually("the job ends", ended).await;
    let culprit = world.project.sha("c5").to_string();
    let answer = eventually("the answer is told", async || {
        let comments = hub.comments("octo/calc", issue).unwrap();
        comments.into_iter().find(|comment| comment.app.is_some() && comment.body.contains(&culprit))
    })
    .await;
    assert!(answer.body.contains("Culprit found and proven"), "{}", answer.body);
    assert_eq!(hub.reactions(asked.id).len(), 1, "eyes on the comment");
    assert_eq!(hub.comments_by_apps().len(), 1, "one comment, edited in place");
    hub.expect_comment("octo/calc", issue, "Culprit found and proven");

    hub.comment("eve", "octo/calc", issue, "/bisect c0 main true").await.unwrap();
    eventually("eve is told that she may not", async || {
        hub.comments_by_apps().into_iter().find(|comment| comment.body.contains("those who can push")).map(drop)
    })
    .await;
    hub.expect_comment("octo/calc", issue, "those who can push");
    assert_eq!(world.jobs().await.len(), 1, "nothing was queued for her");

    assert!(!service.log().contains("PRIVATE KEY"));
    service.stop().await;
    hub.finish().await.unwrap();
    running.stop().await;
    world.ends_clean().await;
}
