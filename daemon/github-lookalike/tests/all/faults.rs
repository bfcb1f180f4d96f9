//! Faults strike as named, and only as often.

use crate::support::scene;
use github_lookalike::{Fault, Place, Trouble, WebhookFault};
use reqwest::Method;
use serde_json::json;
use std::time::Duration;

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

#[tokio::test]
async fn a_call_stands_at_a_gate_before_it_is_done_or_before_it_is_answered() {
    let s = scene().await;
    let token = s.token(json!({})).await;
    let path = format!("/repos/octo/calc/issues/{}/comments", s.issue);
    for (place, made) in [(Place::BeforeCall, 0), (Place::BeforeAnswer, 2)] {
        let gate = s.world.gate("POST /repos/*/*/issues/*/comments", place);
        let test = async {
            gate.reached(Duration::from_secs(60)).await.unwrap();
            assert_eq!(s.world.comments("octo/calc", s.issue).unwrap().len(), made, "{place:?}");
            gate.open();
        };
        let call = s.call(Method::POST, &path, &token, Some(json!({"body": "hi"})));
        let (answer, ()) = tokio::join!(call, test);
        assert_eq!(answer.status(), 201);
        s.world.expect_comment("octo/calc", s.issue, "hi");
    }
    s.world.finish().await.unwrap();
}

#[tokio::test]
async fn what_nobody_took_is_sent_again_until_somebody_takes_it() {
    let s = scene().await;
    s.world.set_webhook_url(s.app.id, &format!("{}/login", s.running.url()));
    s.world.webhook_fault(WebhookFault::Lost);
    assert_eq!(s.world.faults_left(), 1);
    s.world.comment("ada", "octo/calc", s.issue, "/bisect help").await.unwrap();
    assert_eq!(s.world.faults_left(), 0);
    // The page answers a POST with 404, then there is one that takes anything.
    assert_eq!(s.world.redeliver_failed().await, 1);
    assert_eq!(s.world.redeliver_failed().await, 1);
    let taker = axum::Router::new().fallback(async || "taken");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    s.world.set_webhook_url(s.app.id, &format!("http://{}/", listener.local_addr().unwrap()));
    let serving = tokio::spawn(async move { axum::serve(listener, taker).await });
    assert_eq!(s.world.redeliver_failed().await, 1);
    assert_eq!(s.world.redeliver_failed().await, 0);
    let guids: std::collections::BTreeSet<_> = s.world.deliveries().into_iter().map(|d| d.guid).collect();
    assert_eq!((guids.len(), s.world.deliveries().len()), (1, 4));
    serving.abort();
    s.world.take_violations();
}
