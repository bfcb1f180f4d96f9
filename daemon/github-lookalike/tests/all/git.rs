//! The real git clones over HTTP, with and without a token.

use crate::support::scene;
use base64::Engine as _;
use serde_json::json;
use tokio::process::Command;

async fn clone(url: &str, token: Option<&str>) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut git = Command::new("git");
    git.env("GIT_TERMINAL_PROMPT", "0").env("GIT_CONFIG_GLOBAL", "/dev/null");
    if let Some(token) = token {
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("x-access-token:{token}"));
        git.args(["-c", &format!("http.extraHeader=Authorization: Basic {basic}")]);
    }
    let output = git.args(["clone", "-q", url]).arg(folder.path().join("c")).output().await.unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn private_repositories_demand_the_token_and_public_ones_do_not() {
    let s = scene().await;
    let url = format!("{}/octo/calc.git", s.running.url());
    assert!(clone(&url, None).await.0);
    assert!(!clone(&url, Some("ghs_wrong")).await.0, "wrong credentials are refused even where none are needed");
    s.world.set_private("octo/calc", true).await.unwrap();
    assert!(!clone(&url, None).await.0);
    let (cloned, complaint) = clone(&url, Some(&s.token(json!({"permissions": {"contents": "read"}})).await)).await;
    assert!(cloned, "{complaint}");
    assert!(!clone(&url, Some(&s.token(json!({"permissions": {"issues": "write"}})).await)).await.0);
    s.world.finish().await.unwrap();
}
