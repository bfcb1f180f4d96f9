//! Tokens: narrowed, shared, renewed, and seen by nobody.

use super::scripted::{KEYS, Scripted, json_answer, repository, unscripted};
use bisectd::github::{Clock, Github, GithubError, GithubSettings, Permission};
use chrono::{TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use std::{
    io::Write,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
};

fn commit_or_permission(path: &str) -> super::scripted::Answer {
    if path.contains("/commits/") {
        return json_answer(200, &json!({ "sha": "1".repeat(40) }));
    }
    if path.ends_with("/permission") {
        return json_answer(200, &json!({ "permission": "write", "role_name": "write", "user": null }));
    }
    if path.contains("/issues/") {
        return json_answer(201, &json!({ "id": 99 }));
    }
    unscripted()
}

#[tokio::test]
async fn a_token_is_narrowed_to_one_repository_and_to_the_permissions_of_the_call() {
    let github = Scripted::start(|call| commit_or_permission(&call.path)).await;
    let client = github.client();
    assert_eq!(client.permission(&repository(), "ada", 1).await.unwrap(), Permission::Write);
    client.resolve(&repository(), "feature/x").await.unwrap().unwrap();
    client.resolve(&repository(), "main").await.unwrap().unwrap();
    assert_eq!(client.create_comment(&repository(), 3, "hello").await.unwrap(), 99);
    let wanted: Vec<_> = github.token_requests().into_iter().map(|call| (call.path, call.body)).collect();
    let request = |permissions| {
        let body = json!({ "repository_ids": [42], "permissions": permissions });
        ("/app/installations/7/access_tokens".to_owned(), body)
    };
    let expected = [json!({ "metadata": "read" }), json!({ "contents": "read" }), json!({ "issues": "write" })];
    assert_eq!(wanted, expected.map(request));
    let seen = github.seen();
    assert_eq!(seen[1].path, "/repos/octo/calc/commits/feature/x?per_page=1");
    assert_eq!(seen[1].authorization, seen[2].authorization, "one token for the same use");
    assert_ne!(seen[0].authorization, seen[1].authorization);
}

#[tokio::test]
async fn many_calls_at_once_ask_for_one_token() {
    let github = Scripted::start(|call| commit_or_permission(&call.path)).await;
    let client = github.client();
    let calls = (0..20).map(|_| client.resolve(github_repository(), "main"));
    let repository_calls = futures::future::join_all(calls).await;
    assert!(repository_calls.iter().all(Result::is_ok));
    assert_eq!(github.token_requests().len(), 1);
}

fn github_repository() -> &'static bisectd::github::RepositoryRef {
    static REPOSITORY: std::sync::LazyLock<bisectd::github::RepositoryRef> = std::sync::LazyLock::new(repository);
    &REPOSITORY
}

#[tokio::test]
async fn a_token_is_renewed_before_it_expires() {
    let github = Scripted::start(|call| commit_or_permission(&call.path)).await;
    // Both clocks run together: GitHub's `Date` would correct one that does not.
    let passed = Arc::new(AtomicI64::new(0));
    let seconds = Arc::clone(&passed);
    let clock = Clock::new(move || Utc::now() + TimeDelta::seconds(seconds.load(Ordering::Relaxed)));
    let client = github.client_at(clock);
    client.clone_token(&repository()).await.unwrap();
    passed.store(50 * 60, Ordering::Relaxed);
    client.clone_token(&repository()).await.unwrap();
    assert_eq!(github.token_requests().len(), 1, "good for ten minutes still");
    passed.store(56 * 60, Ordering::Relaxed);
    client.clone_token(&repository()).await.unwrap();
    assert!(github.token_requests().len() > 1, "four minutes are too few");
}

#[tokio::test]
async fn a_token_that_github_takes_no_more_is_fetched_anew_once() {
    let refused = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&refused);
    let github = Scripted::start(move |call| {
        if call.authorization.ends_with("secret1") && !call.path.starts_with("/app") {
            count.fetch_add(1, Ordering::Relaxed);
            return json_answer(401, &json!({ "message": "Bad credentials" }));
        }
        commit_or_permission(&call.path)
    })
    .await;
    let client = github.client();
    client.resolve(&repository(), "main").await.unwrap();
    client.resolve(&repository(), "main").await.unwrap();
    assert_eq!((refused.load(Ordering::Relaxed), github.token_requests().len()), (1, 2));
}

#[tokio::test]
async fn a_clock_that_is_ten_minutes_off_is_corrected_by_what_github_says() {
    for minutes in [-10, 10] {
        let life = TimeDelta::hours(1);
        let github = Scripted::with(TimeDelta::minutes(minutes), life, |call| commit_or_permission(&call.path)).await;
        let client = github.client();
        client.resolve(&repository(), "main").await.unwrap();
        assert_eq!(github.token_requests().len(), 2, "refused once, then right");
        client.permission(&repository(), "ada", 1).await.unwrap();
        assert_eq!(github.token_requests().len(), 3, "right at once");
    }
}

#[tokio::test]
async fn what_the_app_may_not_do_is_said_before_the_call() {
    let github = Scripted::start(|call| {
        if call.path.ends_with("/access_tokens") {
            let message = "The permissions requested are not granted to this installation.";
            return json_answer(422, &json!({ "message": message }));
        }
        unscripted()
    })
    .await;
    let error = github.client().create_comment(&repository(), 1, "x").await.unwrap_err();
    assert!(matches!(error, GithubError::Forbidden { status: 422, .. }), "{error:?}");
    assert!(github.seen().is_empty());
    let asked: Vec<_> = github.token_requests().into_iter().map(|call| call.body["permissions"].clone()).collect();
    assert_eq!(asked, [json!({ "issues": "write" }), json!({ "pull_requests": "write" })], "either would do");
}

#[tokio::test]
async fn wrong_settings_name_the_variable_and_hold_no_secret() {
    let right = GithubSettings::new("https://api.github.com", "1", SecretString::from(KEYS.0.clone()));
    let message = |settings: GithubSettings| match Github::new(&settings) {
        Err(GithubError::Configuration(message)) => message,
        other => panic!("{other:?}"),
    };
    assert!(message(GithubSettings { app_id: "Iv1.s3cret".into(), ..right.clone() }).contains("GITHUB_APP_ID"));
    let frame = "-----BEGIN RSA PRIVATE KEY-----\nczNjcmV0\n-----END RSA PRIVATE KEY-----\n";
    for key in ["s3cret", frame, ""] {
        let said = message(GithubSettings { private_key: SecretString::from(key), ..right.clone() });
        assert!(said.contains("GITHUB_PRIVATE_KEY_PATH") && !said.contains("czNjcmV0"), "{said}");
    }
    for url in ["", "api.github.com", "ftp://x", "https://s3cret@host"] {
        let said = message(GithubSettings { api_url: url.into(), ..right.clone() });
        assert!(said.contains("GITHUB_API_URL") && !said.contains("s3cret"), "{said}");
    }
    assert!(!format!("{right:?}{:?}", Github::new(&right).unwrap()).contains("MII"));
}

/// Everything that is traced in this thread.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_token_and_no_key_is_ever_logged_or_told() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let github = Scripted::start(|call| match call.path.as_str() {
        "/repos/octo/calc/issues/1/comments" => json_answer(500, &json!({ "message": "broken" })),
        "/repos/octo/calc/issues/2/comments" => (200, Vec::new(), "<html>".to_owned()),
        "/repos/octo/calc/issues/3/comments" => json_answer(403, &json!({ "message": "no" })),
        path => commit_or_permission(path),
    })
    .await;
    let client = github.client();
    let mut told = format!("{client:?}");
    for issue in 1..=4 {
        told +=
            &format!("{:?}", client.create_comment(&repository(), issue, "x").await.map_err(|e| format!("{e} {e:?}")));
    }
    let token = client.clone_token(&repository()).await.unwrap();
    told += &format!("{token:?}");
    let dead = GithubSettings { api_url: "http://127.0.0.1:1".into(), ..github.settings() };
    told += &format!("{:?}", Github::new(&dead).unwrap().resolve(&repository(), "main").await);
    assert!(token.token.expose_secret().contains("t0psecret"));
    let logged = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("/issues/1/comments") || logged.contains("hyper"), "nothing was captured: {logged}");
    let jwt = github.token_requests()[0].authorization.clone();
    let key_line = KEYS.0.lines().nth(3).unwrap();
    for text in [&logged, &told] {
        assert!(!text.contains("t0psecret"), "a token: {text}");
        assert!(!text.contains(jwt.trim_start_matches("Bearer ")), "a JWT");
        assert!(!text.contains(key_line), "the key");
    }
}
