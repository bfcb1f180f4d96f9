//! Every route's answer is valid against GitHub's schema (the look-alike itself records a violation), and tokens are judged.

use crate::support::scene;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn every_route_answers_as_githubs_schema_says() {
    if std::env::var_os("BISECT_FIXTURES").is_none() {
        eprintln!("BISECT_FIXTURES is not set: answers are not checked against GitHub's schemas");
    }
    let s = scene().await;
    let (jwt, token) = (s.jwt(-30, 540), s.token(json!({})).await);
    s.world.comment("ada", "octo/calc", s.issue, "hello").await.unwrap();
    let app =
        ["/app".to_owned(), format!("/app/installations/{}", s.installation), "/repos/octo/calc/installation".into()];
    for path in app.iter().map(String::as_str).chain(["/app/hook/deliveries?per_page=5", "/rate_limit"]) {
        assert_eq!(s.status(Method::GET, path, &jwt, None).await, 200, "{path}");
    }
    let paths = [
        "".to_owned(),
        "/collaborators/ada/permission".into(),
        "/contents/.github/bisect.yml".into(),
        "/contents/.github".into(),
        "/commits/main".into(),
        format!("/commits/{}", &s.shas[0][..8]),
        format!("/commits/{}/pulls", s.shas[1]),
        "/compare/v1...v3".into(),
        format!("/issues/{}", s.issue),
        format!("/issues/{}/comments?per_page=1", s.issue),
    ];
    for path in paths {
        assert_eq!(s.status(Method::GET, &format!("/repos/octo/calc{path}"), &token, None).await, 200, "{path}");
    }
    let path = format!("/repos/octo/calc/issues/{}/comments", s.issue);
    let made: Value = s.call(Method::POST, &path, &token, Some(json!({"body": "hi"}))).await.json().await.unwrap();
    let comment = format!("/repos/octo/calc/issues/comments/{}", made["id"]);
    assert_eq!(s.status(Method::GET, &comment, &token, None).await, 200);
    assert_eq!(s.status(Method::PATCH, &comment, &token, Some(json!({"body": "ho"}))).await, 200);
    let eyes = Some(json!({"content": "eyes"}));
    assert_eq!(s.status(Method::POST, &format!("{comment}/reactions"), &token, eyes.clone()).await, 201);
    assert_eq!(s.status(Method::POST, &format!("{comment}/reactions"), &token, eyes).await, 200);
    assert_eq!(s.status(Method::DELETE, &comment, &token, None).await, 204);
    s.world.finish().await.unwrap();
}

#[tokio::test]
async fn what_github_refuses_is_refused_with_its_status() {
    let s = scene().await;
    for (iat, exp, why) in [(120, 540, "iat ahead"), (-30, -1, "expired"), (-30, 700, "too long")] {
        assert_eq!(s.status(Method::GET, "/app", &s.jwt(iat, exp), None).await, 401, "{why}");
    }
    let comments = format!("/repos/octo/calc/issues/{}/comments", s.issue);
    let hi = || Some(json!({"body": "hi"}));
    assert_eq!(s.status(Method::POST, &comments, "", hi()).await, 401);
    assert_eq!(s.status(Method::POST, &comments, "ghs_wrong", hi()).await, 401);
    let reading = s.token(json!({"permissions": {"contents": "read"}})).await;
    assert_eq!(s.status(Method::POST, &comments, &reading, hi()).await, 403);
    let token = s.token(json!({})).await;
    let long = Some(json!({"body": "x".repeat(65_537)}));
    assert_eq!(s.status(Method::POST, &comments, &token, long).await, 422);
    s.world.lock_issue("octo/calc", s.issue, true).unwrap();
    assert_eq!(s.status(Method::POST, &comments, &token, hi()).await, 403);
    s.world.delete_issue("octo/calc", s.issue).unwrap();
    assert_eq!(s.status(Method::POST, &comments, &token, hi()).await, 410);
    s.world.set_private("octo/calc", true).await.unwrap();
    assert_eq!(s.status(Method::GET, "/repos/octo/calc", "", None).await, 404);
    assert_eq!(s.status(Method::GET, "/repos/octo/calc", &token, None).await, 200);
    s.world.suspend(s.installation).await.unwrap();
    assert_eq!(s.status(Method::GET, "/repos/octo/calc", &token, None).await, 403);
    s.world.finish().await.unwrap();
}

#[tokio::test]
async fn the_clock_of_github_decides_over_tokens() {
    let s = scene().await;
    s.world.set_clock_offset(chrono::TimeDelta::minutes(-10));
    assert_eq!(s.status(Method::GET, "/app", &s.jwt(-30, 300), None).await, 401);
    assert_eq!(s.status(Method::GET, "/app", &s.jwt(-630, -60), None).await, 200);
    s.world.set_clock_offset(chrono::TimeDelta::zero());
    let token = s.token(json!({})).await;
    s.world.set_clock_offset(chrono::TimeDelta::minutes(61));
    assert_eq!(s.status(Method::GET, "/repos/octo/calc", &token, None).await, 401);
}

#[tokio::test]
async fn a_renamed_repository_is_redirected_to_its_number() {
    let s = scene().await;
    let token = s.token(json!({})).await;
    s.world.rename_repository("octo/calc", "sum").await.unwrap();
    let answer = s.call(Method::GET, "/repos/octo/calc/issues/1", &token, None).await;
    assert_eq!(answer.status(), 301);
    let to = answer.headers()["location"].to_str().unwrap().strip_prefix(&s.running.url()).unwrap().to_owned();
    assert_eq!(s.status(Method::GET, &to, &token, None).await, 200);
    s.world.finish().await.unwrap();
}

#[tokio::test]
async fn an_undocumented_call_is_refused_and_remembered() {
    let s = scene().await;
    let token = s.token(json!({})).await;
    let posted = s.world.comment("ada", "octo/calc", s.issue, "hello").await.unwrap();
    let path = format!("/repos/octo/calc/issues/comments/{}", posted.id);
    assert_eq!(s.status(Method::POST, &path, &token, Some(json!({"body": "x"}))).await, 404);
    assert_eq!(s.world.take_violations().len(), 1);
    s.world.finish().await.unwrap();
}
