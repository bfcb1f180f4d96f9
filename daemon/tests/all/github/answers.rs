//! What the client makes of answers, good and bad, and of none.

use super::scripted::{Answer, Scripted, json_answer, repository, unscripted};
use bisectd::github::{GithubError, GithubSettings, IssueComment};
use chrono::Utc;
use serde_json::{Value, json};
use std::time::Duration;

async fn told(answer: impl Fn() -> Answer + Send + Sync + 'static) -> GithubError {
    let github = Scripted::start(move |call| if call.path.starts_with("/app") { unscripted() } else { answer() }).await;
    github.client().update_comment(&repository(), 5, "x").await.unwrap_err()
}

fn said(status: u16, message: &'static str) -> impl Fn() -> Answer {
    move || json_answer(status, &json!({ "message": message }))
}

#[tokio::test]
async fn refusals_troubles_and_nonsense_are_told_apart() {
    assert!(matches!(told(said(404, "Not Found")).await, GithubError::NotFound { .. }));
    assert!(matches!(told(said(410, "Gone")).await, GithubError::Refused { status: 410, .. }));
    assert!(matches!(told(said(422, "Validation Failed")).await, GithubError::Refused { status: 422, .. }));
    assert!(matches!(told(said(401, "Bad credentials")).await, GithubError::Forbidden { status: 401, .. }));
    let lacking = told(said(403, "Resource not accessible by integration")).await;
    assert!(matches!(lacking, GithubError::Forbidden { status: 403, .. }), "{lacking:?}");
    let suspended = told(said(403, "This installation has been suspended")).await;
    assert!(matches!(suspended, GithubError::Suspended { .. }), "{suspended:?}");
    assert!(matches!(told(said(502, "x")).await, GithubError::Unavailable { .. }));
    assert!(matches!(told(|| (200, vec![], "<html>".into())).await, GithubError::Misunderstood { .. }));
    assert!(matches!(told(|| json_answer(200, &json!({ "id": 6 }))).await, GithubError::Misunderstood { .. }));
    let away = || (301, vec![("location", "http://127.0.0.1:1/repos".to_owned())], String::new());
    let error = told(away).await;
    assert!(matches!(&error, GithubError::Misunderstood { reason, .. } if reason.contains("redirect")), "{error:?}");
    let circle = || (307, vec![("location", "/repositories/42".to_owned())], String::new());
    assert!(matches!(told(circle).await, GithubError::Misunderstood { .. }));
}

#[tokio::test]
async fn after_a_limit_nothing_more_is_sent_for_that_installation() {
    let github = Scripted::start(|call| {
        if call.path.starts_with("/app") {
            return unscripted();
        }
        let headers = vec![("retry-after", "30".to_owned())];
        (429, headers, json!({ "message": "You have exceeded a secondary rate limit" }).to_string())
    })
    .await;
    let client = github.client();
    for _ in 0..2 {
        let error = client.resolve(&repository(), "main").await.unwrap_err();
        let wait = error.retry_after().unwrap();
        assert!(wait <= Duration::from_secs(30) && wait > Duration::from_secs(20), "{error}");
    }
    assert_eq!(github.seen().len(), 1);
}

#[tokio::test]
async fn what_is_left_of_the_limit_is_remembered() {
    let resets = Utc::now().timestamp() + 100;
    let github = Scripted::start(move |call| {
        if call.path.starts_with("/app") {
            return unscripted();
        }
        let headers = [("x-ratelimit-limit", 5000), ("x-ratelimit-remaining", 4321), ("x-ratelimit-reset", resets)];
        let headers = headers.map(|(name, value)| (name, value.to_string()));
        (200, headers.into(), json!({ "sha": "1".repeat(40) }).to_string())
    })
    .await;
    let client = github.client();
    client.resolve(&repository(), "main").await.unwrap();
    let left = client.rate_left();
    assert_eq!((left[0].installation, left[0].left, left[0].limit), (Some(7), 4321, 5000));
    assert_eq!(left[0].resets_at.timestamp(), resets);
}

#[tokio::test]
async fn no_answer_and_no_connection_are_troubles_that_may_pass() {
    let github = Scripted::start(|_| unscripted()).await;
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}", nobody.local_addr().unwrap());
    let timeout = Duration::from_millis(300);
    let settings = GithubSettings { api_url: silent, timeout, ..github.settings() };
    let error = bisectd::github::Github::new(&settings).unwrap().app().await.unwrap_err();
    assert!(matches!(&error, GithubError::Unavailable { reason, .. } if reason.contains("within 0.3 s")), "{error:?}");
    let cutter = tokio::spawn(async move {
        loop {
            drop(nobody.accept().await);
        }
    });
    let settings = GithubSettings { timeout: Duration::from_secs(30), ..settings };
    let error = bisectd::github::Github::new(&settings).unwrap().app().await.unwrap_err();
    assert!(matches!(error, GithubError::Unavailable { .. }), "{error:?}");
    assert_eq!(error.retry_after(), Some(Duration::ZERO));
    cutter.abort();
}

#[tokio::test]
async fn a_renamed_repository_is_followed_with_the_same_method_and_body() {
    let github = Scripted::start(|call| {
        if call.path.starts_with("/app") {
            return unscripted();
        }
        match call.path.strip_prefix("/repos/octo/calc") {
            Some(rest) => (301, vec![("location", format!("/repositories/42{rest}"))], "{}".to_owned()),
            None if call.path.ends_with("comments/5") => json_answer(200, &json!({ "id": 5 })),
            None if call.path.ends_with("comments") => json_answer(201, &json!({ "id": 6 })),
            None => json_answer(200, &json!({ "sha": "2".repeat(40) })),
        }
    })
    .await;
    let client = github.client();
    client.update_comment(&repository(), 5, "new").await.unwrap();
    assert_eq!(client.create_comment(&repository(), 1, "first").await.unwrap(), 6);
    client.resolve(&repository(), "main").await.unwrap().unwrap();
    let seen = github.seen();
    let methods: Vec<&str> = seen.iter().map(|call| call.method.as_str()).collect();
    assert_eq!(methods, ["PATCH", "PATCH", "POST", "POST", "GET", "GET"]);
    assert_eq!((&seen[1].path[..], &seen[1].body), ("/repositories/42/issues/comments/5", &json!({ "body": "new" })));
    assert_eq!(seen[3].body, json!({ "body": "first" }));
}

#[tokio::test]
async fn comments_of_all_pages_are_read_and_ours_are_known() {
    let github = Scripted::start(|call| {
        if call.path.starts_with("/app") {
            return unscripted();
        }
        let comment = |id: i64, app: Option<u64>| {
            json!({ "id": id, "body": format!("c{id}"), "performed_via_github_app": app.map(|id| json!({ "id": id })) })
        };
        let page: Vec<Value> = match &call.path {
            path if path.ends_with("&page=1") => (0..100).map(|id| comment(id, None)).collect(),
            path if path.ends_with("&page=2") => vec![comment(100, Some(4711)), comment(101, Some(1))],
            _ => return unscripted(),
        };
        json_answer(200, &json!(page))
    })
    .await;
    let since = "2026-11-24T00:00:00Z".parse().unwrap();
    let comments = github.client().comments(&repository(), 1, since).await.unwrap();
    assert_eq!(comments.len(), 102);
    assert_eq!(comments[100], IssueComment { id: 100, body: "c100".into(), ours: true });
    assert!(!comments[101].ours);
    assert!(github.seen()[0].path.contains("since=2026-11-24T00:00:00Z&per_page=100"));
}

#[tokio::test]
async fn files_names_and_people_that_are_not_there_are_answers() {
    let github = Scripted::start(|call| match call.path.as_str() {
        path if path.starts_with("/app") => unscripted(),
        path if path.contains("/commits/") => json_answer(422, &json!({ "message": "No commit found for SHA: x" })),
        "/repos/octo/calc/contents/.github/bisect.yml" => {
            json_answer(200, &json!({ "type": "file", "encoding": "base64", "content": "aW1hZ2U6\nIHg=\n" }))
        }
        "/repos/octo/calc/contents/big" => {
            json_answer(200, &json!({ "type": "file", "encoding": "none", "content": "" }))
        }
        "/repos/octo/calc/contents/folder" => json_answer(200, &json!([])),
        _ => json_answer(404, &json!({ "message": "Not Found" })),
    })
    .await;
    let client = github.client();
    assert_eq!(client.resolve(&repository(), "x").await.unwrap(), None);
    assert_eq!(client.permission(&repository(), "no/body", 1).await.unwrap(), bisectd::github::Permission::None);
    assert!(github.seen().last().unwrap().path.contains("no%2Fbody"));
    let file = client.file(&repository(), ".github/bisect.yml").await.unwrap();
    assert_eq!(file.as_deref(), Some("image: x"));
    assert_eq!(client.file(&repository(), "folder").await.unwrap(), None);
    assert_eq!(client.file(&repository(), "missing").await.unwrap(), None);
    let big = client.file(&repository(), "big").await.unwrap_err();
    assert!(matches!(big, GithubError::Refused { .. }), "{big:?}");
    let asked = github.seen().len();
    assert_eq!(client.resolve(&repository(), "../../user").await.unwrap(), None);
    assert_eq!(github.seen().len(), asked, "no name of git's, and never asked");
}
