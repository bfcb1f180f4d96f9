//! Tokens at rest, and their keys: `ENCRYPTION_KEY=new,old` and `bisectd rotate-keys`.

use crate::support::{BrowserSession, Hub, Project, World};
use bisectd::signin::{Field, Vault};

fn vault(byte: u8) -> Vault {
    Vault::new(&[vec![byte; 32].into()]).unwrap()
}

/// A user whose tokens were sealed with the key of this byte.
async fn add(world: &World, github_id: i64, byte: u8) -> i64 {
    use bisectd::db::users;
    let mut tx = world.db.db.begin().await.unwrap();
    let user = users::upsert(&mut tx, github_id, &format!("user-{github_id}")).await.unwrap();
    let seal = |field, text: &str| vault(byte).seal(user, field, &text.to_owned().into()).unwrap();
    let (access, refresh) = (seal(Field::Access, "ghu_x"), seal(Field::Refresh, "ghr_x"));
    users::store_tokens(&mut tx, user, Some(&access), Some(&refresh), None).await.unwrap();
    tx.commit().await.unwrap();
    user
}

async fn opens(world: &World, user: i64, byte: u8) -> bool {
    let mut tx = world.db.db.begin().await.unwrap();
    let row = bisectd::db::users::tokens(&mut tx, user).await.unwrap().unwrap();
    let access = vault(byte).open(user, Field::Access, &row.access.unwrap());
    let refresh = vault(byte).open(user, Field::Refresh, &row.refresh.unwrap());
    access.is_ok() && refresh.is_ok()
}

#[tokio::test]
async fn keys_are_rotated_in_batches_once_and_what_no_key_opens_stays() {
    let world = World::new(Project::linear(2)).await;
    let mut users = Vec::new();
    for github_id in 1..=450 {
        users.push(add(&world, github_id, 1).await);
    }
    let lost = add(&world, 9999, 9).await;
    let keys = |keys: &[u8]| keys.iter().map(|byte| hex::encode([*byte; 32])).collect::<Vec<_>>().join(",");
    let rotate = |with: &[u8]| world.program().args(["rotate-keys"]).env("ENCRYPTION_KEY", keys(with));
    let ran = rotate(&[2, 1]).run().await.expect(1);
    assert!(ran.stdout.starts_with("900 tokens sealed anew") && ran.stdout.contains("2 tokens"), "{}", ran.stdout);
    for user in &users {
        assert!(opens(&world, *user, 2).await);
    }
    assert!(opens(&world, lost, 9).await, "its key may be found again");
    let ran = rotate(&[2]).run().await.expect(1);
    assert!(ran.stdout.starts_with("0 tokens sealed anew"), "once: {}", ran.stdout);
    let ran = rotate(&[2, 9]).run().await.expect(0);
    assert!(ran.stdout.starts_with("2 tokens sealed anew") && opens(&world, lost, 2).await, "{}", ran.stdout);
    let ran = world.program().args(["rotate-keys"]).run().await.expect(2);
    assert!(ran.stderr.contains("ENCRYPTION_KEY"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_session_lives_through_a_rotation_of_the_keys() {
    let hub = Hub::new(Project::linear(2), &[]).await;
    let service = hub.serve_with_signin("one").await;
    let browser = BrowserSession::of(&service, "ada").await;
    let both = format!("{},{}", "77".repeat(32), "e0".repeat(32));
    let turned = || hub.program_with_signin("two").env("ENCRYPTION_KEY", &both);
    hub.world.program().args(["rotate-keys"]).env("ENCRYPTION_KEY", &both).run().await.expect(0);
    let two = hub.serve_program(turned()).await;
    hub.sql("UPDATE users SET repositories_until = NULL").await;
    // The cookie jar knows the site, not the server: the second one is asked by the first one's cookie.
    let given = browser.get("/auth/session").send().await.unwrap();
    assert_eq!(given.status(), 200);
    assert_eq!(browser.login().await.as_deref(), Some("ada"), "the first server cannot open it, and asks the App");
    let elsewhere = BrowserSession::of(&two, "ada").await;
    hub.sql("UPDATE users SET repositories_until = NULL").await;
    assert_eq!(elsewhere.login().await.as_deref(), Some("ada"));
    two.stop().await;
    hub.end(service).await;
}

#[tokio::test]
async fn without_a_key_no_token_is_stored() {
    let hub = Hub::private(Project::linear(2)).await;
    let service = hub.serve_program(hub.program_with_signin("one").without("ENCRYPTION_KEY")).await;
    let browser = BrowserSession::of(&service, "ada").await;
    assert_eq!(browser.login().await.as_deref(), Some("ada"));
    let stored = "SELECT count(*) FROM users WHERE access_token IS NOT NULL OR refresh_token IS NOT NULL";
    assert_eq!(hub.count(stored).await, 0);
    assert!(service.log().contains("ENCRYPTION_KEY is not set"));
    hub.end(service).await;
}
