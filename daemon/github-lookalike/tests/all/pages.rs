//! The pages: what the form takes and from whom, and what is shown.

use crate::support::{Scene, scene};
use reqwest::{StatusCode, header};

async fn page(s: &Scene, path: &str) -> (StatusCode, String) {
    let answer = s.http.get(format!("{}{path}", s.running.url())).send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

/// What the form answers to these fields, sent by a page of `origin`.
async fn send(s: &Scene, origin: &str, fields: &str) -> reqwest::Response {
    let form = s.http.post(format!("{}/octo/calc/issues/1/comments", s.running.url()));
    let form = form.header(header::ORIGIN, origin).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    form.body(fields.to_owned()).send().await.unwrap()
}

#[tokio::test]
async fn the_form_writes_a_comment_and_its_webhook_follows() {
    let s = scene().await;
    s.world.set_webhook_url(s.app.id, "http://127.0.0.1:1/webhook");
    let own = s.running.url();
    let answer = send(&s, &own, "user=ada&body=%2Fbisect+v1+v3+%3Cb%3E%0D%0Amake").await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let comment = s.world.comments("octo/calc", 1).unwrap().remove(0);
    assert_eq!(comment.body, "/bisect v1 v3 <b>\nmake");
    let anchor = format!("issuecomment-{}", comment.id);
    assert!(answer.headers()[header::LOCATION].to_str().unwrap().ends_with(&format!("/octo/calc/issues/1#{anchor}")));
    s.world.settle().await;
    let delivered = s.world.deliveries();
    assert_eq!((delivered.len(), delivered[0].event.as_str()), (1, "issue_comment"));
    let (status, shown) = page(&s, "/octo/calc/issues/1/comments").await;
    assert!(status.is_success() && shown.contains(&format!("id=\"{anchor}\"")), "{shown}");
    assert!(shown.contains("&lt;b&gt;<br />\nmake") && shown.contains("Collaborator"), "{shown}");
    s.world.finish().await.unwrap();
}

#[tokio::test]
async fn the_form_refuses_other_sites_strangers_and_nothing() {
    let s = scene().await;
    let own = s.running.url();
    for (origin, fields, expected) in [
        ("http://elsewhere.example", "user=ada&body=x", StatusCode::FORBIDDEN),
        ("null", "user=ada&body=x", StatusCode::FORBIDDEN),
        (own.as_str(), "user=ada", StatusCode::BAD_REQUEST),
        (&own, "body=x", StatusCode::BAD_REQUEST),
        (&own, "user=ada&body=+%0A", StatusCode::UNPROCESSABLE_ENTITY),
        (&own, "user=nobody&body=x", StatusCode::UNPROCESSABLE_ENTITY),
        (&own, "user=bisect-bot%5Bbot%5D&body=x", StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let answer = send(&s, origin, fields).await;
        assert_eq!(answer.status(), expected, "{origin} {fields}");
        assert!(!answer.text().await.unwrap().is_empty(), "the page shows the reason");
    }
    let form = s.http.post(format!("{own}/octo/calc/issues/1/comments")).header(header::HOST, "rebound.example");
    let answer = form.header(header::ORIGIN, "http://rebound.example").body("user=ada&body=x").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN, "a name that leads here");
    assert_eq!(s.world.comments("octo/calc", 1).unwrap().len(), 0);
    s.world.finish().await.unwrap();
}

#[tokio::test]
async fn issues_pull_requests_and_commits_have_pages() {
    let s = scene().await;
    for (path, words) in [
        ("/", vec!["octo/calc#1", "add() is wrong", "octo/calc#2", "Merged"]),
        ("/octo/calc", vec!["add() is wrong"]),
        ("/octo/calc/issues/1", vec!["Since v1.", "ada (may push)", "octo (owner)"]),
        ("/octo/calc/pull/2", vec!["Faster", &s.shas[1][..7]]),
        (&format!("/octo/calc/commit/{}", s.shas[1]), vec!["change 2", "-# 1", "+# 2", &s.shas[0][..7]]),
        (&format!("/octo/calc/commit/{}", &s.shas[1][..8]), vec!["change 2"]),
    ] {
        let (status, text) = page(&s, path).await;
        assert!(status.is_success(), "{path}: {status}");
        for word in words {
            assert!(text.contains(word), "{path} lacks {word}: {text}");
        }
    }
    for path in ["/octo/calc/issues/9", "/octo/calc/commit/--upload-pack=x", "/octo/calc/commit/HEAD~1", "/octo/none"] {
        assert_eq!(page(&s, path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(s.world.take_violations().len(), 4);
}
