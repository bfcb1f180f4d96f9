//! Comments that nobody should write, and a `.github/bisect.yml` that is a bomb: one clear answer each, and nothing
//! queued.

use crate::support::{CALC, Commit, Hub, Project, eventually};
use github_lookalike::{NewRepository, Role};

const BOMB: &str = "octo/bomb";

/// A project whose `.github/bisect.yml` is small and would be read as 20⁵⁹ letters.
fn bomb() -> Project {
    let bomb = (1..60).fold("a0: &a0 [x, x]\n".to_owned(), |bomb, n| {
        let alias = format!("*a{}", n - 1);
        format!("{bomb}a{n}: &a{n} [{}]\n", vec![alias; 20].join(", "))
    });
    let settings = [(".github/bisect.yml", bomb.as_str())];
    let commit = |parents| Commit { parents, files: &settings };
    Project::of(&[commit(&[]), commit(&[0])])
}

#[tokio::test]
async fn a_hostile_comment_gets_one_clear_answer_and_queues_nothing() {
    let hub = Hub::new(Project::linear(3), &[]).await;
    hub.github.add_repository(&NewRepository::new(BOMB).copied_from(bomb().path())).unwrap();
    hub.github.permission(BOMB, "ada", Some(Role::Write)).unwrap();
    for repository in [CALC, BOMB] {
        hub.github.add_issue(repository, "ada", "it broke", "").unwrap();
    }
    let service = hub.serve("one").await;

    let prose = "Lorem ipsum dolor. ".repeat(60_000 / 19);
    let thousand = "/bisect nowhere main ./x\n".repeat(1000);
    for (repository, comment, answer) in [
        (CALC, format!("{prose}\n\n/bisect nowhere main ./x"), "no branch, tag or commit nowhere"),
        (CALC, format!("/bisect c0 main echo {prose}"), "bytes long; at most 32768 are taken.\n"),
        (CALC, thousand, "no branch, tag or commit nowhere"),
        (CALC, "/bisect -c0 main ./x".to_owned(), "begins with a dash"),
        (CALC, "/bisect --upload-pack=./x c0 main ./x".to_owned(), "There is no option"),
        (CALC, "/bisect c0 ma\u{7}in ./x".to_owned(), "control or invisible character"),
        (CALC, "/bisect c0 ma\u{202e}in ./x".to_owned(), "control or invisible character"),
        (CALC, "/bisect c0\0 main ./x".to_owned(), "control or invisible character"),
        (BOMB, "/bisect c0 main ./x".to_owned(), "`.github/bisect.yml` on the default branch cannot be used"),
    ] {
        let before = hub.github.comments_by_apps().len();
        hub.github.comment("ada", repository, 1, &comment).await.unwrap();
        let shown: String = comment.chars().take(60).collect();
        let what = format!("{shown:?} is answered");
        let told = eventually(&what, async || hub.github.comments_by_apps().get(before).cloned()).await.body;
        let plain: String = told.chars().filter(|c| *c != '\u{200b}').collect();
        assert!(plain.contains(answer) && told.len() < 4000, "{shown:?}: {told}");
        hub.github.expect_comment(repository, 1, &told);
    }
    // Long, and none of the bot's business.
    hub.github.comment("ada", CALC, 1, &prose).await.unwrap();
    // The bot's own answers are told to it, too, and ignored.
    let ends = "SELECT state, count(*) FROM webhook_deliveries GROUP BY state ORDER BY state";
    let mut seen = Vec::new();
    let all = [("ignored".to_owned(), 10_i64), ("rejected".to_owned(), 9)];
    eventually("every delivery has its end", async || {
        let now: Vec<(String, i64)> = sqlx::query_as(ends).fetch_all(&mut hub.world.db.raw().await).await.unwrap();
        if !seen.contains(&now) {
            println!("deliveries: {now:?}");
            seen.push(now.clone());
        }
        (now == all).then_some(())
    })
    .await;

    assert_eq!(hub.world.jobs().await.len(), 0, "nothing is queued");
    assert!(!service.log().contains("Lorem ipsum"), "no comment is logged: {}", service.log());
    hub.end(service).await.ends_clean().await;
}
