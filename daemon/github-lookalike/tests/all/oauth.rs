//! Consent, codes and users' tokens: what GitHub takes, and how it says no.

use crate::support::{Scene, scene};
use serde_json::Value;

/// The example of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// Where the browser is sent back to.
async fn decided(scene: &Scene, decision: &str, query: &str) -> String {
    let page = format!(
        "{}/login/oauth/authorize?client_id={}&code_challenge={CHALLENGE}&code_challenge_method=S256&state=s%201{query}",
        scene.running.url(),
        scene.app.client_id
    );
    let form = format!("login=ada&decision={decision}");
    let response = scene.http.post(page).body(form).send().await.unwrap();
    assert_eq!(response.status(), 302);
    response.headers()["location"].to_str().unwrap().to_owned()
}

async fn code(scene: &Scene) -> String {
    let back = decided(scene, "authorize", "").await;
    let (before, rest) = back.split_once("?code=").unwrap();
    assert_eq!(before, "http://127.0.0.1:1/auth");
    rest.strip_suffix("&state=s%201").unwrap().to_owned()
}

async fn told(scene: &Scene, form: &str) -> Value {
    let form = format!("client_id={}&client_secret={}&{form}", scene.app.client_id, scene.app.client_secret);
    let request = scene.http.post(format!("{}/login/oauth/access_token", scene.running.url()));
    let response = request.header("Accept", "application/json").body(form).send().await.unwrap();
    assert_eq!(response.status(), 200, "also of a refusal");
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

async fn redeemed(scene: &Scene, code: &str, verifier: &str) -> Value {
    told(scene, &format!("code={code}&code_verifier={verifier}")).await
}

#[tokio::test]
async fn a_code_is_good_once_for_ten_minutes_and_for_who_asked_for_it() {
    let scene = scene().await;
    scene.world.set_callback_url(scene.app.id, "http://127.0.0.1:1/auth");
    let good = code(&scene).await;
    let said = redeemed(&scene, &good, VERIFIER).await;
    assert!(said["access_token"].as_str().unwrap().starts_with("ghu_") && said["expires_in"] == 28_800, "{said}");
    assert_eq!(redeemed(&scene, &good, VERIFIER).await["error"], "bad_verification_code", "used");
    let stolen = code(&scene).await;
    assert_eq!(redeemed(&scene, &stolen, "another").await["error"], "bad_verification_code", "PKCE");
    assert_eq!(redeemed(&scene, &stolen, VERIFIER).await["error"], "bad_verification_code", "used up by the thief");
    let late = code(&scene).await;
    scene.world.set_clock_offset(chrono::TimeDelta::minutes(11));
    assert_eq!(redeemed(&scene, &late, VERIFIER).await["error"], "bad_verification_code", "late");
    let wrong = told(&scene, "client_secret=x").await;
    assert_eq!(wrong["error"], "bad_verification_code", "no code");
    scene.world.finish().await.unwrap();
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_ends_the_old_token() {
    let scene = scene().await;
    scene.world.set_callback_url(scene.app.id, "http://127.0.0.1:1/auth");
    let first = redeemed(&scene, &code(&scene).await, VERIFIER).await;
    let form = format!("grant_type=refresh_token&refresh_token={}", first["refresh_token"].as_str().unwrap());
    let second = told(&scene, &form).await;
    assert_eq!(told(&scene, &form).await["error"], "bad_refresh_token");
    let user = async |said: &Value| {
        let request = scene.http.get(format!("{}/user", scene.running.url()));
        request.bearer_auth(said["access_token"].as_str().unwrap()).send().await.unwrap().status().as_u16()
    };
    assert_eq!((user(&first).await, user(&second).await), (401, 200));
    scene.world.finish().await.unwrap();
}

#[tokio::test]
async fn who_cancels_or_names_another_address_goes_back_to_the_apps_own() {
    let scene = scene().await;
    scene.world.set_callback_url(scene.app.id, "http://127.0.0.1:1/auth");
    let back = decided(&scene, "cancel", "").await;
    assert!(
        back.starts_with("http://127.0.0.1:1/auth?error=access_denied&") && back.ends_with("&state=s%201"),
        "{back}"
    );
    for asked in ["http://evil.example/", "http://127.0.0.1:1/authx", "http://127.0.0.1:1/"] {
        let back = decided(&scene, "authorize", &format!("&redirect_uri={asked}")).await;
        assert!(back.starts_with("http://127.0.0.1:1/auth?error=redirect_uri_mismatch&"), "{back}");
    }
    let back = decided(&scene, "authorize", "&redirect_uri=http://127.0.0.1:1/auth/callback").await;
    assert!(back.starts_with("http://127.0.0.1:1/auth/callback?code="), "{back}");
    scene.world.finish().await.unwrap();
}
