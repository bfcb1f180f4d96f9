//! The way to GitHub's consent page and back, and every way in which it goes wrong.

use crate::support::{BrowserSession, Hub, Project, SITE, cookie, lifetime, location};
use github_lookalike::{Fault, Trouble};
use reqwest::Url;

async fn hub() -> Hub {
    Hub::new(Project::linear(2), &[]).await
}

#[tokio::test]
async fn somebody_signs_in_and_ends_on_the_dashboard() {
    let hub = hub().await;
    let service = hub.serve_with_signin("one").await;
    let browser = BrowserSession::new(&service);
    assert_eq!(browser.login().await, None);
    let to_github = browser.to_github(None).await;
    let said: std::collections::BTreeMap<_, _> = to_github.query_pairs().into_owned().collect();
    assert_eq!((said["scope"].as_str(), said["code_challenge_method"].as_str()), ("read:user user:email", "S256"));
    assert_eq!(said["redirect_uri"], format!("{SITE}/auth/callback"));
    let back = browser.consent(to_github, "ada", "authorize").await;
    let response = browser.client.get(back).send().await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["location"]), (303, &"/dashboard".parse().unwrap()));
    let given = cookie(&response, "bisect_session").unwrap();
    for part in ["HttpOnly", "SameSite=Lax", "Path=/", &lifetime()] {
        assert!(given.contains(part), "{part}: {given}");
    }
    assert!(!given.contains("Secure"), "BASE_URL is http: {given}");
    assert_eq!(browser.login().await.as_deref(), Some("ada"));
    let stored = "SELECT count(*) FROM users WHERE github_login = 'ada' AND access_token IS NOT NULL AND refresh_token \
                  IS NOT NULL AND token_expires_at > now() + interval '7 hours' AND avatar_url LIKE 'http%'";
    assert_eq!(hub.count(stored).await, 1);
    let audited = "SELECT count(*) FROM audit_events a JOIN users u ON u.id = a.actor_user_id WHERE actor = 'ada' \
                   AND channel = 'web' AND action = 'user.signin' AND address = '127.0.0.1'";
    assert_eq!(hub.count(audited).await, 1);
    // What was stored speaks for nobody who reads the database.
    let secrets = hub.github.user_tokens();
    assert_eq!(secrets.len(), 2);
    let plain = "SELECT count(*) FROM users WHERE position('gh'::bytea IN access_token) = 30";
    assert_eq!(hub.count(plain).await, 0);
    let log = service.log();
    assert!(
        log.contains("\"audit.action\":\"user.signin\"") && secrets.iter().all(|secret| !log.contains(secret)),
        "{log}"
    );
    hub.end(service).await;
}

#[tokio::test]
async fn it_ends_on_the_page_that_was_asked_for_and_never_on_another_site() {
    let hub = hub().await;
    let service = hub.serve_with_signin("one").await;
    let browser = BrowserSession::new(&service);
    for (asked, ends) in [
        ("/jobs/7?after=3", "/jobs/7?after=3"),
        ("https://evil.example/", "/dashboard"),
        ("//evil.example/", "/dashboard"),
        ("/\\evil.example/", "/dashboard"),
        ("/\t/evil.example/", "/dashboard"),
        ("/x\r\nSet-Cookie: a=b", "/dashboard"),
        ("/auth/github/login", "/dashboard"),
    ] {
        assert_eq!(browser.sign_in("ada", Some(asked)).await, ends, "{asked}");
    }
    hub.end(service).await;
}

#[tokio::test]
async fn https_cookies_are_secure() {
    let hub = hub().await;
    let program = hub.program_with_signin("one").env("BASE_URL", "https://bisect.example.com");
    let service = hub.serve_program(program).await;
    let browser = BrowserSession::new(&service);
    let response = browser.get("/auth/github/login").send().await.unwrap();
    let given = cookie(&response, "bisect_signin").unwrap();
    assert!(given.contains("Secure") && given.contains("HttpOnly") && given.contains("Max-Age=600"), "{given}");
    hub.end(service).await;
}

#[tokio::test]
async fn who_does_not_consent_is_told_so() {
    let hub = hub().await;
    let service = hub.serve_with_signin("one").await;
    let browser = BrowserSession::new(&service);
    let back = browser.consent(browser.to_github(None).await, "ada", "cancel").await;
    let (status, text) = browser.shown(back).await;
    assert_eq!(status, 403);
    assert!(text.contains("did not allow it") && text.contains("/auth/github/login"), "{text}");
    assert_eq!(browser.login().await, None);
    assert_eq!(hub.count("SELECT count(*) FROM sessions").await, 0);
    hub.end(service).await;
}

#[tokio::test]
async fn a_callback_that_was_not_asked_for_here_signs_nobody_in() {
    let hub = hub().await;
    let service = hub.serve_with_signin("one").await;
    let (mallory, ada) = (BrowserSession::new(&service), BrowserSession::new(&service));
    // Mallory's code, which ada's browser is made to bring: it would be signed in as mallory.
    hub.github.add_user("mallory");
    let forged = mallory.consent(mallory.to_github(None).await, "mallory", "authorize").await;
    let refused = async |url: Url| {
        let (status, text) = ada.shown(url).await;
        assert_eq!(status, 400, "{text}");
        assert!(text.contains("This sign-in is over"), "{text}");
    };
    refused(forged.clone()).await;
    drop(ada.to_github(None).await);
    refused(forged.clone()).await;
    let with = |query: &str| Url::parse(&format!("{SITE}/auth/callback?{query}")).unwrap();
    for query in
        ["", "code=x", "state=", "code=x&state=y", "error=access_denied", "code=x&state=%00", "state=a&state=b"]
    {
        refused(with(query)).await;
    }
    assert_eq!(ada.login().await, None);
    // It is good still where it belongs, once.
    let response = mallory.client.get(forged.clone()).send().await.unwrap();
    assert_eq!(response.status(), 303);
    let (status, _) = mallory.shown(forged).await;
    assert_eq!((status, mallory.login().await.as_deref()), (400, Some("mallory")), "a replay changes nothing");
    hub.end(service).await;
}

#[tokio::test]
async fn a_code_that_github_does_not_take_is_explained() {
    let hub = hub().await;
    let service = hub.serve_with_signin("one").await;
    let browser = BrowserSession::new(&service);
    let mut back = browser.consent(browser.to_github(None).await, "ada", "authorize").await;
    let state = back.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    back.query_pairs_mut().clear().append_pair("code", "0123456789").append_pair("state", &state);
    let (status, text) = browser.shown(back).await;
    assert_eq!(status, 400);
    assert!(text.contains("used already"), "{text}");
    hub.end(service).await;
}

#[tokio::test]
async fn a_github_that_is_away_or_refuses_this_service_is_told_apart() {
    let hub = hub().await;
    let service = hub.serve_with_signin("one").await;
    let browser = BrowserSession::new(&service);
    for call in ["POST /login/oauth/access_token", "GET /user"] {
        for trouble in [Trouble::Status(502), Trouble::DropBefore] {
            let back = browser.consent(browser.to_github(None).await, "ada", "authorize").await;
            hub.github.fault(Fault::new(call, trouble, 1));
            let (status, text) = browser.shown(back).await;
            assert_eq!(status, 502, "{call}");
            assert!(text.contains("GitHub does not answer"), "{text}");
        }
    }
    let wrong = hub.program_with_signin("two").env("GITHUB_CLIENT_SECRET", "another");
    let other = hub.serve_program(wrong).await;
    let browser = BrowserSession::new(&other);
    let back = browser.consent(browser.to_github(None).await, "ada", "authorize").await;
    let (status, text) = browser.shown(back).await;
    assert!(status == 502 && text.contains("does not know this service"), "{text}");
    assert!(other.log().contains("GITHUB_CLIENT_SECRET") && !other.log().contains(&hub.app.client_secret));
    other.stop().await;
    hub.end(service).await;
}

#[tokio::test]
async fn without_its_variables_signing_in_is_off_and_says_why() {
    let hub = hub().await;
    let program = hub.program_with_signin("one").without("GITHUB_CLIENT_SECRET").without("SESSION_SECRET");
    let service = hub.serve_program(program).await;
    let browser = BrowserSession::new(&service);
    for path in ["/auth/github/login", "/auth/callback?code=x&state=y", "/auth/github/callback"] {
        let (status, text) = browser.shown(Url::parse(&format!("{SITE}{path}")).unwrap()).await;
        assert_eq!(status, 503);
        assert!(text.contains("GITHUB_CLIENT_SECRET, SESSION_SECRET") && !text.contains("BASE_URL"), "{text}");
    }
    assert!(service.log().contains("nobody can sign in"));
    assert_eq!(browser.login().await, None);
    hub.end(service).await;
}

#[tokio::test]
async fn consent_that_comes_with_an_installation_is_asked_for_anew() {
    let hub = hub().await;
    let service = hub.serve_with_signin("one").await;
    let browser = BrowserSession::new(&service);
    let path = "/auth/github/callback?code=x&installation_id=77&setup_action=install";
    let response = browser.get(path).send().await.unwrap();
    assert_eq!(&response.headers()["location"], "/auth/github/login?next=/setup?installation_id=77");
    let to_github = location(&browser.get("/auth/github/login?next=/setup?installation_id=77").send().await.unwrap());
    let back = browser.consent(to_github, "ada", "authorize").await;
    let response = browser.client.get(back).send().await.unwrap();
    assert_eq!(&response.headers()["location"], "/setup?installation_id=77");
    hub.end(service).await;
}
