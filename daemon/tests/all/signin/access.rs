//! Who sees what: GitHub's word, for ten minutes at most, and less when a webhook says that it changed.

use crate::support::{BrowserSession, CALC, Hub, Project, eventually};
use github_lookalike::{Fault, NewRepository, Role, Trouble};

/// A private `octo/calc` that ada may write to and tom triage; the installation is known.
async fn hub() -> Hub {
    Hub::private(Project::linear(2)).await
}

async fn installed(hub: &Hub) {
    hub.github.announce_installation(hub.installation).await.unwrap();
    hub.settled_deliveries().await;
}

/// What the database shows a user, as `name permission`.
async fn sees(hub: &Hub, login: &str) -> Vec<String> {
    let sql = "SELECT r.full_name || ' ' || p.permission FROM user_repositories p JOIN users u ON u.id = p.user_id \
               JOIN repositories r ON r.id = p.repository_id WHERE u.github_login = $1 AND p.expires_at > now() \
               AND p.expires_at <= now() + interval '10 minutes' ORDER BY 1";
    let rows: Vec<(String,)> = sqlx::query_as(sql).bind(login).fetch_all(&mut hub.world.db.raw().await).await.unwrap();
    rows.into_iter().map(|(row,)| row).collect()
}

/// What the ten minutes bring about.
async fn later(hub: &Hub) {
    hub.sql("UPDATE users SET repositories_until = now() - interval '1 second'").await;
    hub.sql("UPDATE user_repositories SET expires_at = now() - interval '1 second'").await;
}

fn asked(hub: &Hub) -> usize {
    hub.github.calls().iter().filter(|call| call.starts_with("GET /user/installations?")).count()
}

#[tokio::test]
async fn everybody_sees_what_github_lists_for_them_and_row_level_security_agrees() {
    let hub = hub().await;
    hub.github.add_user("eve");
    hub.github.add_repository(&NewRepository::new("octo/open")).unwrap();
    hub.github.permission("octo/open", "ada", Some(Role::Admin)).unwrap();
    let service = hub.serve_with_signin("one").await;
    installed(&hub).await;
    for login in ["ada", "tom", "eve"] {
        drop(BrowserSession::of(&service, login).await);
    }
    assert_eq!(sees(&hub, "ada").await, ["octo/calc write", "octo/open admin"]);
    assert_eq!(sees(&hub, "tom").await, ["octo/calc triage"]);
    assert_eq!(sees(&hub, "eve").await, Vec::<String>::new());
    let seen_as = async |login: Option<&str>| {
        let id = match login {
            Some(login) => Some(hub.count(&format!("SELECT id FROM users WHERE github_login = '{login}'")).await),
            None => None,
        };
        let mut tx = hub.world.db.db.begin_as_viewer(id).await.unwrap();
        // No condition of its own: what is not for the viewer is not there.
        bisectd::db::repositories::of_installation(&mut tx, hub.installation).await.unwrap().len()
    };
    assert_eq!((seen_as(Some("ada")).await, seen_as(Some("tom")).await), (2, 2), "octo/open is public");
    assert_eq!((seen_as(Some("eve")).await, seen_as(None).await), (1, 1));
    hub.end(service).await;
}

#[tokio::test]
async fn github_is_asked_when_ten_minutes_are_over_and_once_for_many_who_look() {
    let hub = hub().await;
    let (one, two) = (hub.serve_with_signin("one").await, hub.serve_with_signin("two").await);
    installed(&hub).await;
    let (here, there) = (BrowserSession::of(&one, "ada").await, BrowserSession::of(&two, "ada").await);
    assert_eq!(here.login().await.as_deref(), Some("ada"));
    let before = asked(&hub);
    later(&hub).await;
    hub.github.permission(CALC, "ada", Some(Role::Maintain)).unwrap();
    let looks = (0..10).map(|n| if n % 2 == 0 { here.login() } else { there.login() });
    for login in futures::future::join_all(looks).await {
        assert_eq!(login.as_deref(), Some("ada"));
    }
    assert_eq!(asked(&hub) - before, 1, "{:?}", hub.github.calls());
    assert_eq!(sees(&hub, "ada").await, ["octo/calc maintain"]);
    two.stop().await;
    hub.end(one).await;
}

#[tokio::test]
async fn before_it_is_over_it_is_asked_for_without_anybody_waiting() {
    let hub = hub().await;
    let service = hub.serve_with_signin("one").await;
    installed(&hub).await;
    let ada = BrowserSession::of(&service, "ada").await;
    hub.github.permission(CALC, "ada", None).unwrap();
    hub.sql("UPDATE users SET repositories_until = now() + interval '4 minutes'").await;
    assert_eq!(ada.login().await.as_deref(), Some("ada"));
    eventually("it is asked", async || sees(&hub, "ada").await.is_empty().then_some(())).await;
    hub.end(service).await;
}

#[tokio::test]
async fn webhooks_about_members_and_installations_drop_what_was_known() {
    let hub = hub().await;
    let service = hub.serve_with_signin("one").await;
    installed(&hub).await;
    let ada = BrowserSession::of(&service, "ada").await;
    let looked = async || {
        assert_eq!(ada.login().await.as_deref(), Some("ada"));
        sees(&hub, "ada").await
    };
    assert_eq!(looked().await, ["octo/calc write"]);
    hub.github.permission(CALC, "ada", None).unwrap();
    assert_eq!(looked().await, ["octo/calc write"], "nobody said so yet");
    hub.github.announce_member(CALC, "ada").await.unwrap();
    hub.settled_deliveries().await;
    assert_eq!(sees(&hub, "ada").await, Vec::<String>::new(), "before anybody looks");
    assert_eq!(looked().await, Vec::<String>::new());
    hub.github.permission(CALC, "ada", Some(Role::Admin)).unwrap();
    later(&hub).await;
    assert_eq!(looked().await, ["octo/calc admin"]);
    hub.github.suspend(hub.installation).await.unwrap();
    hub.settled_deliveries().await;
    assert_eq!(looked().await, Vec::<String>::new());
    hub.github.unsuspend(hub.installation).await.unwrap();
    hub.settled_deliveries().await;
    later(&hub).await;
    assert_eq!(looked().await, ["octo/calc admin"]);
    hub.github.uninstall(hub.installation).await.unwrap();
    hub.settled_deliveries().await;
    assert_eq!(looked().await, Vec::<String>::new());
    hub.end(service).await;
}

#[tokio::test]
async fn what_changes_while_github_is_asked_is_asked_for_again() {
    let hub = hub().await;
    let service = hub.serve_with_signin("one").await;
    installed(&hub).await;
    let ada = BrowserSession::of(&service, "ada").await;
    later(&hub).await;
    let gate = hub.github.gate("GET /user/installations/*/repositories", github_lookalike::Place::BeforeAnswer);
    let look = tokio::spawn(async move { ada.login().await });
    gate.reached(crate::support::PATIENCE).await.unwrap();
    hub.github.permission(CALC, "ada", None).unwrap();
    hub.github.announce_member(CALC, "ada").await.unwrap();
    hub.settled_deliveries().await;
    gate.open();
    assert_eq!(look.await.unwrap().as_deref(), Some("ada"));
    assert_eq!(sees(&hub, "ada").await, Vec::<String>::new());
    hub.end(service).await;
}

#[tokio::test]
async fn a_token_that_is_over_is_refreshed_and_one_that_was_taken_back_signs_out() {
    let hub = hub().await;
    let service = hub.serve_with_signin("one").await;
    installed(&hub).await;
    let (ada, phone) = (BrowserSession::of(&service, "ada").await, BrowserSession::of(&service, "ada").await);
    let before = hub.github.user_tokens();
    // GitHub ends it before its time: a 401, then a new one.
    hub.github.expire_user_tokens("ada");
    later(&hub).await;
    assert_eq!(ada.login().await.as_deref(), Some("ada"));
    assert_eq!(sees(&hub, "ada").await, ["octo/calc write"]);
    assert_ne!(hub.github.user_tokens(), before);
    // At its time: a new one without a 401.
    hub.sql("UPDATE users SET token_expires_at = now()").await;
    later(&hub).await;
    let refused = || hub.github.calls().iter().filter(|call| call.ends_with(" 401")).count();
    let (so_far, before) = (refused(), hub.github.user_tokens());
    assert_eq!(ada.login().await.as_deref(), Some("ada"));
    assert_eq!(refused(), so_far);
    assert_ne!(hub.github.user_tokens(), before);
    hub.github.revoke_authorization("ada");
    later(&hub).await;
    for browser in [&ada, &phone] {
        assert_eq!(browser.login().await, None);
    }
    let left = "SELECT (SELECT count(*) FROM sessions) + (SELECT count(*) FROM user_repositories) \
                + (SELECT count(*) FROM users WHERE access_token IS NOT NULL OR refresh_token IS NOT NULL)";
    assert_eq!(hub.count(left).await, 0);
    assert_eq!(hub.count("SELECT count(*) FROM audit_events WHERE action = 'user.signout'").await, 1);
    assert!(!service.log().contains("ghu_") && !service.log().contains("ghr_"));
    hub.end(service).await;
}

#[tokio::test]
async fn the_webhook_of_a_revocation_signs_out_at_once() {
    let hub = hub().await;
    let service = hub.serve_with_signin("one").await;
    let (ada, tom) = (BrowserSession::of(&service, "ada").await, BrowserSession::of(&service, "tom").await);
    hub.github.revoke_authorization("ada");
    hub.github.announce_revocation(hub.app.id, "ada").await.unwrap();
    hub.settled_deliveries().await;
    assert_eq!(ada.login().await, None);
    assert_eq!(tom.login().await.as_deref(), Some("tom"));
    hub.end(service).await;
}

#[tokio::test]
async fn a_github_that_is_away_signs_nobody_out_and_is_left_alone_for_a_while() {
    let hub = hub().await;
    let service = hub.serve_with_signin("one").await;
    installed(&hub).await;
    let ada = BrowserSession::of(&service, "ada").await;
    later(&hub).await;
    hub.github.fault(Fault::new("GET /user/installations", Trouble::Status(502), 1));
    for _ in 0..3 {
        assert_eq!(ada.login().await.as_deref(), Some("ada"));
    }
    assert_eq!(sees(&hub, "ada").await, Vec::<String>::new(), "what is too old shows nothing");
    assert_eq!(hub.github.faults_left(), 0);
    later(&hub).await;
    hub.sql("UPDATE users SET repositories_asking_until = NULL").await;
    assert_eq!(ada.login().await.as_deref(), Some("ada"));
    assert_eq!(sees(&hub, "ada").await, ["octo/calc write"]);
    hub.end(service).await;
}

#[tokio::test]
async fn with_an_oauth_app_the_installation_says_who_may_what() {
    let hub = hub().await;
    let oauth = hub.github.add_oauth_app("bisect-web", &format!("{}/auth", crate::support::SITE));
    let program = hub.program_with_signin("one").env("GITHUB_CLIENT_ID", &oauth.client_id);
    let service = hub.serve_program(program.env("GITHUB_CLIENT_SECRET", &oauth.client_secret)).await;
    installed(&hub).await;
    let ada = BrowserSession::of(&service, "ada").await;
    assert_eq!(sees(&hub, "ada").await, Vec::<String>::new(), "nothing leads to a repository yet");
    // A job of hers does.
    hub.sql(
        "INSERT INTO bisect_jobs (status, completed_at, installation_id, repository_id, user_id, good_sha, bad_sha, command) \
         SELECT 'cancelled', now(), r.installation_id, r.id, u.id, repeat('a', 40), repeat('b', 40), '{x}' \
         FROM repositories r, users u WHERE u.github_login = 'ada'",
    )
    .await;
    later(&hub).await;
    assert_eq!(ada.login().await.as_deref(), Some("ada"));
    assert_eq!(sees(&hub, "ada").await, ["octo/calc write"]);
    hub.github.permission(CALC, "ada", None).unwrap();
    later(&hub).await;
    assert_eq!(ada.login().await.as_deref(), Some("ada"));
    assert_eq!(sees(&hub, "ada").await, Vec::<String>::new());
    hub.end(service).await;
}
