//! Payloads of webhooks: whatever may be signed, GitHub's own and what looks like them.

use super::{fuzz, in_time, mutated};
use crate::webhook::event::{Event, parse};
use proptest::{prelude::*, sample::Index};
use serde_json::{Value, json};

const EVENTS: &[&str] = &[
    "ping",
    "issue_comment",
    "installation",
    "installation_repositories",
    "installation_target",
    "repository",
    "push",
    "",
];

/// Reads it as each event, and holds what comes of it to its promises.
fn read(body: &[u8]) {
    for event in EVENTS {
        match parse(event, body) {
            Ok(Event::Ignored(why)) => assert!(!why.is_empty()),
            // Half of a surrogate pair takes six bytes and becomes three times three.
            Ok(Event::Comment(comment)) => assert!(comment.body.len() <= 2 * body.len(), "{comment:?}"),
            Ok(_) => {}
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "\\udfff\\ud800",
    "\\u",
    "null",
    "true",
    "0",
    "-1",
    "1e400",
    "-0.0",
    "9223372036854775808",
    "\"action\":\"created\",",
    "\"action\":null,",
    "\"installation\":{\"id\":1},",
    "\"comment\":{},",
    "\"id\":",
    "\"user\":null,",
    "\"full_name\":\"/\",",
    "\u{feff}",
    "\n",
    "é",
];

/// One payload of each event, and the real ones where there are any.
fn sound() -> Vec<Vec<u8>> {
    let account = || json!({"id": 1, "login": "ada", "type": "User"});
    let repository = || json!({"id": 7, "full_name": "ada/engine", "private": false, "default_branch": "main"});
    let installation =
        || json!({"id": 5, "account": account(), "permissions": {"issues": "write"}, "suspended_at": null});
    let payloads = [
        json!({"zen": "Half measures.", "hook": {"type": "App", "events": ["push"]}}),
        json!({"action": "created", "installation": {"id": 5}, "repository": repository(), "sender": account(),
               "issue": {"number": 3, "locked": true},
               "comment": {"id": 31, "body": "/bisect v1 main x", "user": account(), "performed_via_github_app": null}}),
        json!({"action": "created", "installation": installation(), "repositories": [repository()], "sender": account()}),
        json!({"action": "deleted", "installation": installation()}),
        json!({"action": "removed", "installation": installation(), "repositories_added": [repository()],
               "repositories_removed": [repository()], "sender": account()}),
        json!({"action": "renamed", "installation": {"id": 5}, "account": account(), "changes": {"login": {"from": "a"}}}),
        json!({"action": "renamed", "installation": {"id": 5}, "repository": repository()}),
        json!({"action": "deleted", "repository": repository()}),
    ];
    payloads.iter().map(|payload| payload.to_string().into_bytes()).chain(recorded()).collect()
}

/// GitHub's recorded payloads, where `BISECT_FIXTURES` says where they are.
fn recorded() -> Vec<Vec<u8>> {
    let Some(folder) = std::env::var_os("BISECT_FIXTURES") else { return Vec::new() };
    let events = std::fs::read_dir(std::path::Path::new(&folder).join("webhooks")).unwrap().flatten();
    let files = events.filter_map(|event| std::fs::read_dir(event.path()).ok()).flatten().flatten();
    files.map(|file| std::fs::read(file.path()).unwrap()).collect()
}

/// Any JSON, of the kinds that stand in payloads and of others.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::sample::select(vec!["created", "deleted", "renamed", "added", "/", "a/b/c", "Bot"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 30, 5, |inner| {
        let key = prop::sample::select(vec!["id", "action", "body", "login", "type", "full_name", "private", "x", ""]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..5).prop_map(|pairs| pairs.into_iter().collect()),
        ]
    })
}

/// Every place of a value, as JSON pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => {
            map.iter().map(|(key, child)| (key.replace('~', "~0").replace('/', "~1"), child)).collect()
        }
        Value::Array(items) => items.iter().enumerate().map(|(n, child)| (n.to_string(), child)).collect(),
        _ => return,
    };
    for (key, child) in children {
        places(child, &format!("{at}/{key}"), found);
    }
}

/// Sound payloads in which some values are others.
fn reshaped() -> impl Strategy<Value = Vec<u8>> {
    let sound: Vec<Value> = sound().iter().map(|body| serde_json::from_slice(body).unwrap()).collect();
    let changes = prop::collection::vec((any::<Index>(), any_json()), 1..4);
    (prop::sample::select(sound), changes).prop_map(|(mut payload, changes)| {
        for (at, new) in changes {
            let mut found = Vec::new();
            places(&payload, "", &mut found);
            *payload.pointer_mut(at.get::<String>(&found)).unwrap() = new;
        }
        payload.to_string().into_bytes()
    })
}

/// Nesting of every depth, where it is read and where it is not, closed and left open.
fn deep() -> impl Strategy<Value = Vec<u8>> {
    let opened = prop::sample::select(vec![("[", "]"), ("{\"a\":", "}"), ("[{\"a\":[", "]}]"), ("[\"[\",", "]")]);
    let key = prop::sample::select(vec!["unread", "action", "installation", "comment", "repository", "sender"]);
    (opened, key, 0..3000_usize, 0..3_usize).prop_map(|((open, close), key, depth, missing)| {
        let (open, close) = (open.repeat(depth), close.repeat(depth.saturating_sub(missing)));
        format!("{{\"action\":\"created\",\"{key}\":{open}1{close}}}").into_bytes()
    })
}

#[test]
fn any_bytes_are_answered() {
    fuzz("payloads, any bytes", prop::collection::vec(any::<u8>(), 0..200), |body| read(body));
}

#[test]
fn any_json_is_answered() {
    fuzz("payloads, any JSON", any_json(), |value| read(value.to_string().as_bytes()));
}

#[test]
fn any_change_of_a_payload_is_answered() {
    fuzz("payloads, changed", mutated(sound(), PIECES), |body| read(body));
}

#[test]
fn any_value_anywhere_is_answered() {
    fuzz("payloads, reshaped", reshaped(), |body| read(body));
}

#[test]
fn any_depth_is_answered() {
    fuzz("payloads, deep", deep(), |body| read(body));
}

/// A comment of the size that GitHub allows, in every way of writing it that makes it long.
#[test]
fn the_longest_comments_are_read_in_time() {
    for piece in ["a", "\\n", "\\u0000", "\\ud83d\\ude00", "\\ud800", "\\\\", "\\\"", "{[", "é", "😀"] {
        let body = json!({"action": "created", "installation": {"id": 5}, "issue": {"number": 3},
            "repository": {"id": 7, "full_name": "ada/engine", "private": false},
            "comment": {"id": 31, "body": "@", "user": {"id": 1, "login": "ada", "type": "User"}}});
        let body = body.to_string().replacen('@', &piece.repeat(65_536), 1);
        assert!(matches!(parse("issue_comment", body.as_bytes()), Ok(Event::Comment(_))), "{piece}");
        in_time(body.as_bytes(), || read(body.as_bytes()));
    }
}
