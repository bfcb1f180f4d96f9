//! Faults strike as named, and only as often.

use crate::support::scene;
use github_lookalike::{Fault, Trouble};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn an_answer_is_lost_before_or_after_the_comment_was_made() {
    let s = scene().await;
    let token = s.token(json!({})).await;
    let path = format!("/repos/octo/calc/issues/{}/comments", s.issue);
    for (trouble, made) in [(Trouble::DropBefore, 0), (Trouble::DropAfter, 1)] {
        s.world.fault(Fault::new("POST /repos/*/*/issues/*/comments", trouble, 1));
        assert!(s.try_call(Method::POST, &path, &token, Some(json!({"body": "hi"}))).await.is_err(), "{trouble:?}");
        assert_eq!(s.world.comments("octo/calc", s.issue).unwrap().len(), made, "{trouble:?}");
    }
    s.world.expect_comment("octo/calc", s.issue, "hi");
    s.world.finish().await.unwrap();
}

#[tokio::test]
async fn it_can_be_down_and_come_back_at_the_same_address() {
    let mut s = scene().await;
    assert_eq!(s.status(Method::GET, "/repos/octo/calc", "", None).await, 200);
    s.running.go_down().await;
    assert!(s.try_call(Method::GET, "/repos/octo/calc", "", None).await.is_err());
    s.running.come_back().await;
    assert_eq!(s.status(Method::GET, "/repos/octo/calc", "", None).await, 200);
}

#[tokio::test]
async fn limits_have_githubs_headers() {
    let s = scene().await;
    let token = s.token(json!({})).await;
    s.world.fault(Fault::new("GET /repos/**", Trouble::SecondaryLimit { status: 429, retry_after: 7 }, 1));
    let answer = s.call(Method::GET, "/repos/octo/calc", &token, None).await;
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (429, "7"));
    s.world.exhaust_rate_limit(s.installation, chrono::Utc::now() + chrono::TimeDelta::minutes(5));
    let answer = s.call(Method::GET, "/repos/octo/calc", &token, None).await;
    assert_eq!((answer.status().as_u16(), answer.headers()["x-ratelimit-remaining"].to_str().unwrap()), (403, "0"));
}
