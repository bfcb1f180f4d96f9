use super::*;
use serde_json::{Value, json};

fn a_comment() -> Value {
    json!({
        "action": "created",
        "installation": {"id": 5},
        "repository": {"id": 7, "full_name": "ada/engine", "private": false},
        "issue": {"number": 3, "locked": true},
        "comment": {"id": 31, "body": "/bisect help", "user": {"id": 1, "login": "ada", "type": "User"},
                    "performed_via_github_app": null},
    })
}

fn read_comment(payload: &str) -> Comment {
    match parse("issue_comment", payload.as_bytes()) {
        Ok(Event::Comment(comment)) => *comment,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_body_of_the_fixtures_is_read_or_ignored_with_a_reason() {
    let Some(folder) = std::env::var_os("BISECT_FIXTURES") else {
        eprintln!("skipped: BISECT_FIXTURES is not set");
        return;
    };
    let mut seen = Vec::new();
    for event in std::fs::read_dir(std::path::Path::new(&folder).join("webhooks")).unwrap().flatten() {
        let Ok(files) = std::fs::read_dir(event.path()) else { continue };
        for file in files.flatten() {
            let (event, action) = (event.file_name().into_string().unwrap(), file.file_name().into_string().unwrap());
            let delivery = read(&event, &std::fs::read(file.path()).unwrap()).unwrap();
            let kind = match delivery.event {
                Event::Ignored(why) => {
                    assert!(!why.is_empty());
                    "ignored".to_owned()
                }
                other => format!("{other:?}").split(['(', ' ']).next().unwrap().to_owned(),
            };
            seen.push(format!("{event}/{action} {kind}"));
        }
    }
    seen.sort();
    assert_eq!(
        seen,
        [
            "installation/created.json Installed",
            "installation/deleted.json Uninstalled",
            "installation/suspend.json Suspended",
            "installation_repositories/added.json RepositoriesChanged",
            "installation_repositories/removed.json RepositoriesChanged",
            "issue_comment/created.json ignored",
            "issue_comment/created.with-installation.json Comment",
            "issue_comment/deleted.json ignored",
            "issue_comment/edited.json ignored",
            "ping/with-app_id.json Ping",
            "repository/renamed.json RepositoryChanged",
        ]
    );
}

#[test]
fn a_comment_is_read_with_all_that_intake_needs() {
    let comment = read_comment(&a_comment().to_string());
    assert_eq!((comment.installation, comment.id, comment.issue, comment.locked), (5, 31, 3, true));
    assert_eq!((comment.repository.owner.as_str(), comment.repository.name.as_str()), ("ada", "engine"));
    assert!(!comment.by_machine);
    let delivery = read("issue_comment", a_comment().to_string().as_bytes()).unwrap();
    assert_eq!(
        (delivery.installation, delivery.comment, delivery.action.as_deref()),
        (Some(5), Some(31), Some("created"))
    );
}

#[test]
fn bots_and_apps_are_machines() {
    let mut payload = a_comment();
    payload["comment"]["user"]["type"] = json!("Bot");
    assert!(read_comment(&payload.to_string()).by_machine);
    let mut payload = a_comment();
    payload["comment"]["performed_via_github_app"] = json!({"id": 1});
    assert!(read_comment(&payload.to_string()).by_machine);
}

#[test]
fn nul_and_half_a_surrogate_pair_survive() {
    let payload = a_comment().to_string().replace("/bisect help", "a\\u0000b \\ud800 c \\ud83d\\ude00");
    let body = read_comment(&payload).body;
    assert!(body.starts_with("a\0b ") && body.ends_with(" c 😀"), "{body:?}");
    // Where nobody reads it, too.
    let payload = a_comment().to_string().replacen('{', "{\"sender\": {\"login\": \"\\udfff\"}, ", 1);
    assert_eq!(read_comment(&payload).id, 31);
}

#[test]
fn what_is_not_json_or_not_githubs_is_an_error_that_says_so() {
    let error = |event: &str, body: &[u8]| parse(event, body).unwrap_err().to_string();
    assert!(error("push", b"").contains("not JSON"));
    assert!(error("push", b"{\"a\": ").contains("not JSON"));
    assert!(error("push", b"\xff{}").contains("not JSON"));
    assert!(error("push", b"[]").contains("`push`"));
    assert!(error("issue_comment", b"{}").contains("action"));
    let mut payload = a_comment();
    payload["comment"]["id"] = json!("31");
    assert!(error("issue_comment", payload.to_string().as_bytes()).contains("expected i64"));
    let mut payload = a_comment();
    payload["issue"].as_object_mut().unwrap().remove("number");
    assert!(error("issue_comment", payload.to_string().as_bytes()).contains("number"));
}

#[test]
fn deep_nesting_is_refused_wherever_it_stands() {
    let deep = format!("{{\"action\": \"created\", \"unread\": {}{}}}", "[".repeat(200_000), "]".repeat(200_000));
    assert!(parse("issue_comment", deep.as_bytes()).unwrap_err().to_string().contains("nested"));
    assert_eq!(parse("ping", format!("{{\"zen\": \"{}\"}}", "[\\\"{".repeat(999)).as_bytes()), Ok(Event::Ping));
}

#[test]
fn unknown_events_and_actions_are_ignored() {
    for (event, body) in
        [("push", "{}"), ("issue_comment", r#"{"action": "pinned"}"#), ("repository", r#"{"action": "x"}"#)]
    {
        assert!(matches!(parse(event, body.as_bytes()), Ok(Event::Ignored(_))), "{event}");
    }
}
