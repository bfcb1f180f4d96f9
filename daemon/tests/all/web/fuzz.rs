//! The API as schemathesis tries it, from its own description: no fault of the server, and no answer that the description
//! does not have. Streams do not end, so they are left to the tests of their own.

use super::Site;
use crate::support::test_tool;
use std::process::Stdio;
use tokio::process::Command;

/// For each of the two runs, which go side by side.
const SECONDS: u32 = 40;

async fn run(site: &Site, who: &str, headers: &[String]) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(test_tool("schemathesis/bin/schemathesis"));
    command.current_dir(folder.path()).env("HOME", folder.path()).env_remove("http_proxy").stdin(Stdio::null());
    command.args([
        "run",
        &format!("{}/api/openapi.json", site.service.address),
        "--phases",
        "examples,coverage,fuzzing",
    ]);
    command.args(["--max-time", &SECONDS.to_string(), "--exclude-path-regex", "events$", "--continue-on-failure"]);
    command.args(["--checks", "not_a_server_error,status_code_conformance,content_type_conformance"]);
    command.args(["--checks", "response_schema_conformance,response_headers_conformance"]);
    // As much as one address may ask, and not more: else every answer would be 429.
    command.args(["--rate-limit", "18/s", "--request-timeout", "30", "--suppress-health-check", "all", "--no-color"]);
    command.args(["--warnings", "off", "--output-truncate", "true"]);
    for header in headers {
        command.args(["--header", header]);
    }
    let ran = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{who}:\n{said}");
    let generated = said.split(" generated").next().and_then(|before| before.rsplit(' ').next()?.parse::<u32>().ok());
    assert!(generated.is_some_and(|cases| cases >= 100), "{who} tried next to nothing:\n{said}");
}

#[tokio::test]
async fn whatever_is_asked_is_answered_as_the_description_says() {
    let site = Site::new().await;
    let ada = site.session(1).await;
    let of_nobody = ["X-Forwarded-For: 10.1.0.1".to_owned()];
    let of_ada = [
        "X-Forwarded-For: 10.1.0.2".to_owned(),
        format!("Cookie: {}", ada.cookie),
        format!("X-CSRF-Token: {}", ada.csrf),
    ];
    tokio::join!(run(&site, "nobody", &of_nobody), run(&site, "ada", &of_ada));
    site.hub.stop(site.service).await;
}
