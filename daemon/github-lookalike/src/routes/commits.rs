//! Commits as the real git has them: one by name, the pull requests that brought it, and a range.

use super::repository_of;
use crate::call::{Answered, Call, Reply, encode};
use crate::git::{Change, CommitFacts};
use crate::world::state::{Issue, Repository, State};
use crate::{auth, git, render};
use serde_json::{Value, json};

/// Where a repository's objects are shown.
struct Place {
    api: String,
    html: String,
}

fn open(call: &Call<'_>, permission: &str) -> Result<(auth::Caller, Repository, Place), Reply> {
    let caller = auth::caller(call)?;
    let repository = repository_of(call)?;
    let state = call.world.read();
    caller.may_read(&state, &repository, &[permission])?;
    let full_name = state.full_name(&repository);
    let place = Place { api: format!("{}/repos/{full_name}", state.url), html: format!("{}/{full_name}", state.url) };
    drop(state);
    Ok((caller, repository, place))
}

fn broken(error: &anyhow::Error) -> Reply {
    tracing::warn!(%error, "git failed on the look-alike's repository");
    Reply::error(500, "Server Error")
}

fn is_empty(repository: &Repository) -> bool {
    git::text(&repository.git_dir, &["for-each-ref", "--count=1"]).is_ok_and(|refs| refs.is_empty())
}

pub(crate) fn show(call: &Call<'_>) -> Answered {
    let (caller, repository, place) = open(call, "contents")?;
    let name = call.parameter("ref");
    if is_empty(&repository) {
        return Err(Reply::error(409, "Git Repository is empty."));
    }
    let found = git::resolve(&repository.git_dir, name);
    let sha = found.ok_or_else(|| Reply::error(422, &format!("No commit found for SHA: {name}")))?;
    let caller = Some(caller.counted_as());
    if call.accept.contains(".sha") {
        return Ok(Reply { caller, ..Reply::raw("application/vnd.github.sha; charset=utf-8", sha.into_bytes()) });
    }
    let facts = git::commit(&repository.git_dir, &sha).map_err(|e| broken(&e))?;
    let changes = git::changes(&repository.git_dir, &[&sha]).map_err(|e| broken(&e))?;
    let mut body = commit(&place, &facts);
    let (added, removed) = changes.iter().fold((0, 0), |(a, r), change| (a + change.added, r + change.removed));
    body["stats"] = json!({"additions": added, "deletions": removed, "total": added + removed});
    body["files"] = changes.iter().map(|change| file(&place, &sha, change)).collect();
    Ok(Reply { caller, ..Reply::json(200, body) })
}

fn commit(place: &Place, facts: &CommitFacts) -> Value {
    let Place { api, html } = place;
    let sha = &facts.sha;
    let link = |sha: &str| json!({"sha": sha, "url": format!("{api}/commits/{sha}"), "html_url": format!("{html}/commit/{sha}")});
    let person = |p: &git::Person| json!({"name": p.name, "email": p.email, "date": p.date});
    json!({
        "sha": sha,
        "node_id": format!("C_{sha}"),
        "commit": {
            "author": person(&facts.author),
            "committer": person(&facts.committer),
            "message": facts.message,
            "tree": {"sha": facts.tree, "url": format!("{api}/git/trees/{}", facts.tree)},
            "url": format!("{api}/git/commits/{sha}"),
            "comment_count": 0,
            "verification":
                {"verified": false, "reason": "unsigned", "signature": null, "payload": null, "verified_at": null},
        },
        "url": format!("{api}/commits/{sha}"),
        "html_url": format!("{html}/commit/{sha}"),
        "comments_url": format!("{api}/commits/{sha}/comments"),
        "author": null,
        "committer": null,
        "parents": facts.parents.iter().map(|parent| link(parent)).collect::<Vec<_>>(),
    })
}

fn file(place: &Place, sha: &str, change: &Change) -> Value {
    let path = encode(&change.path);
    let status = match change.status {
        'A' => "added",
        'D' => "removed",
        'T' => "changed",
        _ => "modified",
    };
    json!({
        "sha": change.blob, "filename": change.path, "status": status, "additions": change.added,
        "deletions": change.removed, "changes": change.added + change.removed,
        "blob_url": format!("{}/blob/{sha}/{path}", place.html), "raw_url": format!("{}/raw/{sha}/{path}", place.html),
        "contents_url": format!("{}/contents/{path}?ref={sha}", place.api),
    })
}

/// GitHub's limit of commits on a page of a comparison.
const COMPARED: usize = 250;

pub(crate) fn compare(call: &Call<'_>) -> Answered {
    let (caller, repository, place) = open(call, "contents")?;
    let basehead = call.parameter("basehead");
    let (base, head) = basehead.split_once("...").ok_or_else(Reply::not_found)?;
    let git_dir = &repository.git_dir;
    let (base_sha, head_sha) = (git::resolve(git_dir, base), git::resolve(git_dir, head));
    let (Some(base_sha), Some(head_sha)) = (base_sha, head_sha) else { return Err(Reply::not_found()) };
    let no_base = |_| Reply::error(404, &format!("No common ancestor between {base} and {head}."));
    let merge_base = git::text(git_dir, &["merge-base", &base_sha, &head_sha]).map_err(no_base)?;
    let list = |from: &str, to: &str| -> Result<Vec<String>, Reply> {
        let range = format!("{from}..{to}");
        let listed = git::text(git_dir, &["rev-list", "--reverse", "--topo-order", &range]).map_err(|e| broken(&e))?;
        Ok(listed.lines().map(str::to_owned).collect())
    };
    let (ahead, behind) = (list(&base_sha, &head_sha)?, list(&head_sha, &base_sha)?);
    let status = match (ahead.is_empty(), behind.is_empty()) {
        (true, true) => "identical",
        (false, true) => "ahead",
        (true, false) => "behind",
        (false, false) => "diverged",
    };
    let path = format!("/repos/{}/{}/compare/{}", call.parameter("owner"), call.parameter("repo"), encode(basehead));
    let paged = call.query("page").is_some() || call.query("per_page").is_some();
    let (shown, link) =
        if paged { call.page(&ahead, &path) } else { (ahead.iter().take(COMPARED).cloned().collect(), None) };
    let render = |sha: &str| git::commit(git_dir, sha).map(|f| commit(&place, &f)).map_err(|e| broken(&e));
    let changes = git::changes(git_dir, &[&merge_base, &head_sha]).map_err(|e| broken(&e))?;
    let page = format!("{}/compare/{}", place.html, encode(basehead));
    let body = json!({
        "url": format!("{}/compare/{}", place.api, encode(basehead)), "html_url": page, "permalink_url": page,
        "diff_url": format!("{page}.diff"), "patch_url": format!("{page}.patch"),
        "base_commit": render(&base_sha)?, "merge_base_commit": render(&merge_base)?,
        "status": status, "ahead_by": ahead.len(), "behind_by": behind.len(), "total_commits": ahead.len(),
        "commits": shown.iter().map(|sha| render(sha)).collect::<Result<Vec<_>, _>>()?,
        "files": changes.iter().take(300).map(|change| file(&place, &head_sha, change)).collect::<Vec<_>>(),
    });
    let mut reply = Reply { caller: Some(caller.counted_as()), ..Reply::json(200, body) };
    if let Some(link) = link {
        reply = reply.header("link", link);
    }
    Ok(reply)
}

pub(crate) fn pulls(call: &Call<'_>) -> Answered {
    let (caller, repository, _) = open(call, "pull_requests")?;
    let sha = call.parameter("commit_sha");
    let full = git::resolve(&repository.git_dir, sha);
    let full = full.ok_or_else(|| Reply::error(422, &format!("No commit found for SHA: {sha}")))?;
    let state = call.world.read();
    let brought = |issue: &&Issue| {
        let by = |pull: &crate::world::state::Pull| pull.commits.contains(&full) || pull.merged.as_ref() == Some(&full);
        issue.repository == repository.id && issue.pull.as_ref().is_some_and(by)
    };
    let found: Vec<Value> = state.issues.iter().filter(brought).map(|issue| pull(&state, &repository, issue)).collect();
    drop(state);
    let path = format!("/repos/{}/{}/commits/{full}/pulls", call.parameter("owner"), call.parameter("repo"));
    let (shown, link) = call.page(&found, &path);
    let mut reply = Reply { caller: Some(caller.counted_as()), ..Reply::json(200, json!(shown)) };
    if let Some(link) = link {
        reply = reply.header("link", link);
    }
    Ok(reply)
}

fn pull(state: &State, repository: &Repository, issue: &Issue) -> Value {
    let Some(pull) = &issue.pull else { return Value::Null };
    let full_name = state.full_name(repository);
    let (api, number) = (format!("{}/repos/{full_name}", state.url), issue.number);
    let (own, html) = (format!("{api}/pulls/{number}"), format!("{}/{full_name}/pull/{number}", state.url));
    let head = pull.commits.last().cloned().unwrap_or_default();
    let base = pull.commits.first().cloned().unwrap_or_default();
    let owner = state.user(repository.owner).map_or("ghost", |user| user.login.as_str());
    let branch = |name: &str, sha: &str| {
        json!({
            "label": format!("{owner}:{name}"), "ref": name, "sha": sha, "user": render::user(state, repository.owner),
            "repo": render::repository(state, repository),
        })
    };
    let at = render::time(issue.created_at);
    let ended = pull.merged.as_ref().map(|_| at.clone());
    let link = |href: &str| json!({"href": href});
    let (review, one) = (format!("{own}/comments"), format!("{api}/pulls/comments{{/number}}"));
    let (comments, statuses) = (format!("{api}/issues/{number}/comments"), format!("{api}/statuses/{head}"));
    let mut value = json!({
        "url": own, "id": issue.id, "node_id": format!("PR_{}", issue.id), "html_url": html,
        "diff_url": format!("{html}.diff"), "patch_url": format!("{html}.patch"),
        "issue_url": format!("{api}/issues/{number}"), "commits_url": format!("{own}/commits"),
        "review_comments_url": review, "review_comment_url": one, "comments_url": comments, "statuses_url": statuses,
    });
    let more = json!({
        "number": number, "state": if pull.merged.is_some() { "closed" } else { "open" }, "locked": issue.locked,
        "title": issue.title, "user": render::user(state, issue.user), "body": issue.body, "labels": [],
        "milestone": null, "created_at": at, "updated_at": at, "closed_at": ended, "merged_at": ended,
        "merge_commit_sha": pull.merged, "assignee": null, "assignees": [], "requested_reviewers": [],
        "requested_teams": [], "draft": false, "author_association": "NONE", "auto_merge": null,
        "head": branch(&pull.head, &head), "base": branch(&repository.default_branch, &base),
        "_links": {
            "self": link(&own), "html": link(&html), "issue": link(&format!("{api}/issues/{number}")),
            "comments": link(&comments), "review_comments": link(&review), "review_comment": link(&one),
            "commits": link(&format!("{own}/commits")), "statuses": link(&statuses),
        },
    });
    if let (Value::Object(value), Value::Object(more)) = (&mut value, more) {
        value.extend(more);
    }
    value
}
