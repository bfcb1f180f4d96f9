//! What a session's cookie is good for: tampered, replayed, on another server, after signing out; and CSRF.

use crate::support::{BrowserSession, Hub, Project, SITE, cookie, eventually};
use github_lookalike::{Fault, Trouble};
use reqwest::header::{COOKIE, HeaderMap};

async fn hub() -> Hub {
    Hub::new(Project::linear(2), &[]).await
}

/// The session's cookie as `name=value`, of somebody who signs in now.
async fn signed_in(browser: &BrowserSession, login: &str) -> String {
    let back = browser.consent(browser.to_github(None).await, login, "authorize").await;
    let response = browser.client.get(back).send().await.unwrap();
    cookie(&response, "bisect_session").unwrap().split(';').next().unwrap().to_owned()
}

/// Whom a service takes somebody for who sends this cookie and nothing else.
async fn taken_for(browser: &BrowserSession, cookie: &str) -> Option<String> {
    let bare = browser.get("/auth/session").header(COOKIE, cookie);
    let text = bare.send().await.unwrap().text().await.unwrap();
    serde_json::from_str::<serde_json::Value>(&text).unwrap()["login"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn a_cookie_is_good_until_its_session_ends_and_only_as_it_was_given() {
    let hub = hub().await;
    let service = hub.serve_with_signin("one").await;
    let (browser, bare) = (BrowserSession::new(&service), BrowserSession::new(&service));
    let given = signed_in(&browser, "ada").await;
    assert_eq!(taken_for(&bare, &given).await.as_deref(), Some("ada"));
    let (name, value) = given.split_once('=').unwrap();
    for at in [0, value.len() / 2, value.len() - 4] {
        let other = if value.as_bytes()[at] == b'A' { "B" } else { "A" };
        let tampered = format!("{name}={}{other}{}", &value[..at], &value[at + 1..]);
        assert_eq!(taken_for(&bare, &tampered).await, None, "{tampered}");
    }
    let away = cookie(&bare.get("/auth/github/login").send().await.unwrap(), "bisect_signin").unwrap();
    let away = away.split(';').next().unwrap().replace("bisect_signin", name);
    for wrong in
        [format!("{name}="), format!("{name}={}", "x".repeat(5000)), format!("{name}={}", "00".repeat(32)), away]
    {
        assert_eq!(taken_for(&bare, &wrong).await, None, "{wrong:.60}");
    }
    assert_eq!(browser.sign_out(false).await, 303);
    assert_eq!(browser.login().await, None);
    assert_eq!(taken_for(&bare, &given).await, None, "replayed after signing out");
    let kept = "SELECT (SELECT count(*) FROM sessions) + (SELECT count(*) FROM users WHERE access_token IS NOT NULL)";
    assert_eq!(hub.count(kept).await, 0, "the last session takes the token along");
    assert_eq!(hub.count("SELECT count(*) FROM audit_events WHERE action = 'user.signout'").await, 1);
    eventually("GitHub takes the token no more", async || hub.github.user_tokens().is_empty().then_some(())).await;
    hub.end(service).await;
}

#[tokio::test]
async fn another_server_with_the_same_secret_knows_the_session_and_one_with_another_does_not() {
    let hub = hub().await;
    let one = hub.serve_with_signin("one").await;
    let two = hub.serve_with_signin("two").await;
    let (old, new) = ("5e".repeat(32), "77".repeat(32));
    let turned = format!("{new},{old}");
    let three = hub.serve_program(hub.program_with_signin("three").env("SESSION_SECRET", turned)).await;
    let four = hub.serve_program(hub.program_with_signin("four").env("SESSION_SECRET", &new)).await;
    let given = signed_in(&BrowserSession::new(&one), "ada").await;
    for (service, who) in [(&one, Some("ada")), (&two, Some("ada")), (&three, Some("ada")), (&four, None)] {
        assert_eq!(taken_for(&BrowserSession::new(service), &given).await.as_deref(), who);
    }
    for service in [two, three, four] {
        service.stop().await;
    }
    hub.end(one).await;
}

#[tokio::test]
async fn signing_out_everywhere_ends_every_session_of_that_user_only() {
    let hub = hub().await;
    let service = hub.serve_with_signin("one").await;
    let (laptop, phone) = (BrowserSession::of(&service, "ada").await, BrowserSession::of(&service, "ada").await);
    let tom = BrowserSession::of(&service, "tom").await;
    assert_eq!(laptop.sign_out(true).await, 303);
    for browser in [&laptop, &phone] {
        assert_eq!(browser.login().await, None);
    }
    assert_eq!(tom.login().await.as_deref(), Some("tom"));
    hub.end(service).await;
}

#[tokio::test]
async fn a_github_that_is_away_keeps_nobody_signed_in() {
    let hub = hub().await;
    let service = hub.serve_with_signin("one").await;
    let browser = BrowserSession::of(&service, "ada").await;
    hub.github.fault(Fault::new("DELETE /applications/*/token", Trouble::Status(502), 1));
    assert_eq!(browser.sign_out(false).await, 303);
    assert_eq!(browser.login().await, None);
    eventually("it is said that the token is left", async || {
        service.log().contains("a token could not be given back to GitHub").then_some(())
    })
    .await;
    hub.end(service).await;
}

#[tokio::test]
async fn nobody_is_signed_out_by_another_site() {
    let hub = hub().await;
    let service = hub.serve_with_signin("one").await;
    let (ada, tom) = (BrowserSession::of(&service, "ada").await, BrowserSession::of(&service, "tom").await);
    let foreign = tom.csrf().await;
    for csrf in ["", "x", &foreign] {
        let form = [("csrf", csrf), ("everywhere", "true")];
        assert_eq!(ada.post("/auth/logout").form(&form).send().await.unwrap().status(), 403);
    }
    assert_eq!(ada.post("/auth/logout").send().await.unwrap().status().as_u16() / 100, 4, "no form at all");
    assert_eq!(ada.get("/auth/logout").send().await.unwrap().status(), 404);
    assert_eq!(ada.login().await.as_deref(), Some("ada"));
    hub.end(service).await;
}

#[tokio::test]
async fn a_session_ends_by_itself_and_one_that_is_used_lives_on() {
    let hub = hub().await;
    let service = hub.serve_with_signin("one").await;
    let browser = BrowserSession::of(&service, "ada").await;
    hub.sql("UPDATE sessions SET expires_at = now() + interval '14 days'").await;
    let response = browser.get("/auth/session").send().await.unwrap();
    assert!(cookie(&response, "bisect_session").unwrap().contains("Max-Age=2592000"), "given anew");
    assert_eq!(hub.count("SELECT count(*) FROM sessions WHERE expires_at > now() + interval '29 days'").await, 1);
    let response = browser.get("/auth/session").send().await.unwrap();
    assert_eq!(cookie(&response, "bisect_session"), None, "not on every page");
    hub.sql("UPDATE sessions SET expires_at = now() - interval '1 second'").await;
    assert_eq!(browser.login().await, None);
    hub.end(service).await;
}

#[tokio::test]
async fn signing_in_again_ends_the_browsers_former_session() {
    let hub = hub().await;
    let service = hub.serve_with_signin("one").await;
    let (browser, bare) = (BrowserSession::new(&service), BrowserSession::new(&service));
    let former = signed_in(&browser, "ada").await;
    let given = signed_in(&browser, "tom").await;
    assert_eq!(taken_for(&bare, &former).await, None);
    assert_eq!(taken_for(&bare, &given).await.as_deref(), Some("tom"));
    hub.end(service).await;
}

#[tokio::test]
async fn headers_of_any_kind_are_no_way_around_the_cookie() {
    let hub = hub().await;
    let service = hub.serve_with_signin("one").await;
    let browser = BrowserSession::of(&service, "ada").await;
    let mut headers = HeaderMap::new();
    for (name, value) in [("x-user", "ada"), ("authorization", "Bearer ada"), ("x-forwarded-host", "evil.example")] {
        headers.insert(name, value.parse().unwrap());
    }
    let bare = BrowserSession::new(&service);
    let text = bare.get("/auth/session").headers(headers.clone()).send().await.unwrap().text().await.unwrap();
    assert_eq!(text, "null");
    let response = bare.get("/auth/github/login").headers(headers).send().await.unwrap();
    let to = response.headers()["location"].to_str().unwrap();
    assert!(!to.contains("evil.example") && to.contains(&SITE.replace("://", "%3A%2F%2F")), "{to}");
    assert_eq!(browser.login().await.as_deref(), Some("ada"));
    // A database that comes back finds the session where it was.
    eventually("the session is known", async || browser.login().await).await;
    hub.end(service).await;
}
