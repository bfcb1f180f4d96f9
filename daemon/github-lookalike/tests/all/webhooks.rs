//! Webhooks arrive signed, in the shape of GitHub's own, and are sent again when asked for.

use crate::support::{Scene, scene};
use axum::http::HeaderMap;
use github_lookalike::{Order, WebhookFault, signature};
use reqwest::Method;
use serde_json::Value;
use std::sync::{Arc, Mutex};

type Received = Arc<Mutex<Vec<(String, String, String, String)>>>;

/// A server that takes webhooks: delivery id, event, signature, body.
async fn receiver(s: &Scene) -> Received {
    let received = Received::default();
    let taking = received.clone();
    let take = move |headers: HeaderMap, body: String| {
        let text = |name: &str| headers[name].to_str().unwrap().to_owned();
        let one = (text("x-github-delivery"), text("x-github-event"), text("x-hub-signature-256"), body);
        taking.lock().unwrap().push(one);
        async { axum::http::StatusCode::ACCEPTED }
    };
    let router = axum::Router::new().route("/webhook", axum::routing::post(take));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    s.world.set_webhook_url(s.app.id, &format!("http://{}/webhook", listener.local_addr().unwrap()));
    tokio::spawn(async move { axum::serve(listener, router).await });
    received
}

/// Every field of GitHub's recorded body is there, except what the sample has beyond any other.
fn missing(ours: &Value, theirs: &Value, path: &str, found: &mut Vec<String>) {
    if let (Value::Object(ours), Value::Object(theirs)) = (ours, theirs) {
        for (name, value) in theirs {
            match ours.get(name) {
                None => found.push(format!("{path}.{name}")),
                Some(own) if !matches!(name.as_str(), "permissions") => {
                    missing(own, value, &format!("{path}.{name}"), found)
                }
                Some(_) => {}
            }
        }
    }
}

#[tokio::test]
async fn a_comment_is_told_signed_and_in_githubs_shape() {
    let s = scene().await;
    let received = receiver(&s).await;
    s.world.comment("ada", "octo/calc", s.issue, "/bisect help").await.unwrap();
    let (_, event, signed, body) = received.lock().unwrap()[0].clone();
    assert_eq!(event, "issue_comment");
    assert_eq!(signed, signature(&s.app.webhook_secret, body.as_bytes()));
    let ours: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(ours["comment"]["body"], "/bisect help");
    let Some(fixtures) = std::env::var_os("BISECT_FIXTURES") else { return };
    let path = std::path::Path::new(&fixtures).join("webhooks/issue_comment/created.json");
    let theirs: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut found = Vec::new();
    missing(&ours, &theirs, "", &mut found);
    assert_eq!(found, Vec::<String>::new());
}

#[tokio::test]
async fn duplicates_second_ids_order_and_redelivery() {
    let s = scene().await;
    let received = receiver(&s).await;
    let ids = || received.lock().unwrap().iter().map(|r| r.0.clone()).collect::<Vec<_>>();
    s.world.webhook_fault(WebhookFault::Duplicate);
    s.world.comment("ada", "octo/calc", s.issue, "1").await.unwrap();
    s.world.webhook_fault(WebhookFault::SecondDeliveryId);
    s.world.comment("ada", "octo/calc", s.issue, "2").await.unwrap();
    let seen = ids();
    assert!(seen.len() == 4 && seen[0] == seen[1] && seen[2] != seen[3]);
    s.world.webhook_fault(WebhookFault::Lost);
    s.world.comment("ada", "octo/calc", s.issue, "3").await.unwrap();
    let failed = s.world.deliveries().pop().unwrap();
    assert_eq!((failed.status, ids().len()), (502, 4));
    let path = format!("/app/hook/deliveries/{}", failed.id);
    assert_eq!(s.status(Method::GET, &path, &s.jwt(-30, 540), None).await, 200);
    assert_eq!(s.status(Method::POST, &format!("{path}/attempts"), &s.jwt(-30, 540), None).await, 202);
    s.world.settle().await;
    assert_eq!(ids()[4], failed.guid);
    s.world.hold_webhooks();
    s.world.comment("ada", "octo/calc", s.issue, "first").await.unwrap();
    s.world.comment("ada", "octo/calc", s.issue, "last").await.unwrap();
    s.world.release_webhooks(Order::Reversed).await;
    let bodies: Vec<Value> =
        received.lock().unwrap()[5..].iter().map(|r| serde_json::from_str(&r.3).unwrap()).collect();
    assert_eq!((&bodies[0]["comment"]["body"], &bodies[1]["comment"]["body"]), (&"last".into(), &"first".into()));
    s.world.finish().await.unwrap();
}

#[tokio::test]
async fn the_life_of_installations_and_repositories_is_told_in_githubs_shape() {
    let s = scene().await;
    let received = receiver(&s).await;
    s.world.announce_installation(s.installation).await.unwrap();
    s.world.add_to_installation(s.installation, "octo/calc").await.unwrap();
    s.world.rename_repository("octo/calc", "sum").await.unwrap();
    s.world.remove_from_installation(s.installation, "octo/sum").await.unwrap();
    s.world.suspend(s.installation).await.unwrap();
    s.world.uninstall(s.installation).await.unwrap();
    let told: Vec<(String, Value)> =
        received.lock().unwrap().iter().map(|r| (r.1.clone(), serde_json::from_str(&r.3).unwrap())).collect();
    let names: Vec<String> =
        told.iter().map(|(event, b)| format!("{event}/{}", b["action"].as_str().unwrap())).collect();
    let (all, added, removed) =
        ("installation", "installation_repositories/added", "installation_repositories/removed");
    let expected = [&format!("{all}/created"), added, "repository/renamed", removed, "installation/suspend"];
    assert_eq!(names[..5], expected);
    assert_eq!(names[5..], ["installation/deleted"]);
    let Some(fixtures) = std::env::var_os("BISECT_FIXTURES") else { return };
    for (name, (_, ours)) in names.iter().zip(&told) {
        let path = std::path::Path::new(&fixtures).join(format!("webhooks/{name}.json"));
        let theirs: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let mut found = Vec::new();
        missing(ours, &theirs, "", &mut found);
        // The recorded repository belongs to an organization; octo is a user.
        found.retain(|field| field != ".organization");
        assert_eq!(found, Vec::<String>::new(), "{name}");
    }
}
