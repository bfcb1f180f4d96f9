//! What a token may learn of a repository: itself, its App, people's permissions, files, issues.

use super::repository_of;
use crate::call::{Answered, Call, Reply, encode};
use crate::world::state::{Repository, Role};
use crate::{auth, git, render};
use base64::Engine as _;
use serde_json::{Value, json};

pub(crate) fn show(call: &Call<'_>) -> Answered {
    let caller = auth::caller(call)?;
    let repository = repository_of(call)?;
    let state = call.world.read();
    caller.may_read(&state, &repository, &["metadata"])?;
    Ok(Reply { caller: Some(caller.counted_as()), ..Reply::json(200, render::repository(&state, &repository)) })
}

pub(crate) fn installation(call: &Call<'_>) -> Answered {
    let app = auth::app(call)?;
    let repository = repository_of(call)?;
    let state = call.world.read();
    let found = state.installations.iter().find(|i| i.app == app.id && state.covers(i, &repository));
    let found = found.ok_or_else(Reply::not_found)?;
    Ok(Reply { caller: super::app::counted(&app), ..Reply::json(200, render::installation(&state, found, false)) })
}

pub(crate) fn permission(call: &Call<'_>) -> Answered {
    let caller = auth::caller(call)?;
    let repository = repository_of(call)?;
    let state = call.world.read();
    caller.may(&state, &repository, &["metadata"], "read")?;
    let login = call.parameter("username");
    let missing = || Reply::error(404, &format!("{login} is not a user"));
    let user = state.user_named(login).filter(|user| user.kind != "Organization").ok_or_else(missing)?;
    let role = state.role(&repository, user.id);
    let (role_name, permission) = role.map_or(("none", "none"), Role::names);
    let mut collaborator = render::simple_user(&state.url, user);
    collaborator["role_name"] = json!(role_name);
    collaborator["permissions"] = json!({
        "admin": role >= Some(Role::Admin), "maintain": role >= Some(Role::Maintain), "push": role >= Some(Role::Write),
        "triage": role >= Some(Role::Triage), "pull": role >= Some(Role::Read),
    });
    let body = json!({"permission": permission, "role_name": role_name, "user": collaborator});
    Ok(Reply { caller: Some(caller.counted_as()), ..Reply::json(200, body) })
}

pub(crate) fn issue(call: &Call<'_>) -> Answered {
    let caller = auth::caller(call)?;
    let repository = repository_of(call)?;
    let state = call.world.read();
    caller.may_read(&state, &repository, &["issues", "pull_requests"])?;
    let issue = state.issue(repository.id, call.number("issue_number")?).ok_or_else(Reply::not_found)?;
    if issue.deleted {
        return Err(Reply::error(410, "This issue was deleted"));
    }
    Ok(Reply { caller: Some(caller.counted_as()), ..Reply::json(200, render::issue(&state, &repository, issue)) })
}

/// Files of up to this size come with their content; GitHub's limit.
const LARGEST_FILE: usize = 1 << 20;

pub(crate) fn contents(call: &Call<'_>) -> Answered {
    let caller = auth::caller(call)?;
    let repository = repository_of(call)?;
    let (full_name, base) = {
        let state = call.world.read();
        caller.may_read(&state, &repository, &["contents"])?;
        (state.full_name(&repository), state.url.clone())
    };
    let reference = call.query("ref").unwrap_or(&repository.default_branch);
    let commit = git::resolve(&repository.git_dir, reference)
        .ok_or_else(|| Reply::error(404, &format!("No commit found for the ref {reference}")))?;
    let path = call.parameter("path").trim_end_matches('/');
    let listed = git::run(&repository.git_dir, &["ls-tree", "-z", "--long", "--full-tree", &commit, "--", path])
        .map_err(|_| Reply::not_found())?;
    let listed = String::from_utf8_lossy(&listed).into_owned();
    let entry = listed.split('\0').find_map(Entry::parse).filter(|e| e.path == path).ok_or_else(Reply::not_found)?;
    let place = Place { base: &base, full_name: &full_name, commit: &commit, reference };
    let reply = if entry.kind == "tree" {
        let inside = git::run(&repository.git_dir, &["ls-tree", "-z", "--long", &commit, "--", &format!("{path}/")])
            .map_err(|_| Reply::not_found())?;
        let inside = String::from_utf8_lossy(&inside).into_owned();
        let items: Vec<Value> = inside.split('\0').filter_map(Entry::parse).map(|e| place.describe(&e)).collect();
        Reply::json(200, json!(items))
    } else {
        file(call, &repository, &place, &entry)?
    };
    Ok(Reply { caller: Some(caller.counted_as()), ..reply })
}

fn file(call: &Call<'_>, repository: &Repository, place: &Place<'_>, entry: &Entry) -> Answered {
    let bytes = git::run(&repository.git_dir, &["cat-file", "blob", &entry.sha]).map_err(|_| Reply::not_found())?;
    if call.accept.contains("raw") {
        return Ok(Reply::raw("application/vnd.github.raw+json; charset=utf-8", bytes));
    }
    let mut body = place.describe(entry);
    let (content, encoding) =
        if bytes.len() > LARGEST_FILE { (String::new(), "none") } else { (lines(&bytes), "base64") };
    body["content"] = json!(content);
    body["encoding"] = json!(encoding);
    Ok(Reply::json(200, body))
}

/// Base64 as GitHub sends it: lines of 60 letters, the last one ended too.
fn lines(bytes: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    text.as_bytes().chunks(60).map(|line| format!("{}\n", String::from_utf8_lossy(line))).collect()
}

/// A line of `git ls-tree --long`.
struct Entry {
    kind: String,
    sha: String,
    size: u64,
    path: String,
}

impl Entry {
    fn parse(line: &str) -> Option<Self> {
        let (facts, path) = line.split_once('\t')?;
        let mut facts = facts.split_whitespace().skip(1);
        let (kind, sha, size) = (facts.next()?, facts.next()?, facts.next()?);
        let size = size.parse().unwrap_or(0);
        Some(Self { kind: kind.to_owned(), sha: sha.to_owned(), size, path: path.to_owned() })
    }
}

/// Where a file is shown from.
struct Place<'a> {
    base: &'a str,
    full_name: &'a str,
    commit: &'a str,
    reference: &'a str,
}

impl Place<'_> {
    fn describe(&self, entry: &Entry) -> Value {
        let Self { base, full_name, commit, reference } = self;
        let path: Vec<String> = entry.path.split('/').map(|s| encode(s).replace("%2E", ".")).collect();
        let path = path.join("/");
        let url = format!("{base}/repos/{full_name}/contents/{path}?ref={}", encode(reference));
        let (kind, page) = match entry.kind.as_str() {
            "tree" => ("dir", "tree"),
            "commit" => ("submodule", "tree"),
            _ => ("file", "blob"),
        };
        let html = format!("{base}/{full_name}/{page}/{commit}/{path}");
        let git = format!("{base}/repos/{full_name}/git/{page}s/{}", entry.sha);
        let download = (kind == "file").then(|| format!("{base}/{full_name}/raw/{commit}/{path}"));
        json!({
            "name": entry.path.rsplit('/').next(), "path": entry.path, "sha": entry.sha, "size": entry.size, "url": url,
            "html_url": html, "git_url": git, "download_url": download, "type": kind,
            "_links": {"self": url, "git": git, "html": html},
        })
    }
}
