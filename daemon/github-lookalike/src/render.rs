//! GitHub's JSON of each thing, as its schemas and its recorded webhooks have it. Pure: state in, value out.

use crate::world::state::{
    App, Comment, Delivery, Installation, Issue, Permissions, Reaction, Repository, State, User,
};
use base64::Engine as _;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

/// GitHub's times: UTC, whole seconds.
pub(crate) fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn node_id(kind: &str, id: i64) -> String {
    base64::engine::general_purpose::STANDARD.encode(format!("{kind}{id}"))
}

/// A user as `simple-user`; `null` for one that is gone.
pub(crate) fn user(state: &State, id: i64) -> Value {
    state.user(id).map_or(Value::Null, |user| simple_user(&state.url, user))
}

pub(crate) fn simple_user(base: &str, user: &User) -> Value {
    let login = percent(&user.login);
    let api = format!("{base}/users/{login}");
    let mut value = json!({
        "login": user.login,
        "id": user.id,
        "node_id": node_id("04:User", user.id),
        "avatar_url": format!("{base}/avatars/u/{}?v=4", user.id),
        "gravatar_id": "",
        "url": api,
        "html_url": format!("{base}/{login}"),
        "type": user.kind,
        "user_view_type": "public",
        "site_admin": false,
    });
    let links = [
        ("followers_url", "/followers"),
        ("following_url", "/following{/other_user}"),
        ("gists_url", "/gists{/gist_id}"),
        ("starred_url", "/starred{/owner}{/repo}"),
        ("subscriptions_url", "/subscriptions"),
        ("organizations_url", "/orgs"),
        ("repos_url", "/repos"),
        ("events_url", "/events{/privacy}"),
        ("received_events_url", "/received_events"),
    ];
    for (name, rest) in links {
        value[name] = json!(format!("{api}{rest}"));
    }
    value
}

fn percent(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string().replace("%2D", "-")
}

/// A repository with everything that any of GitHub's answers shows of it.
pub(crate) fn repository(state: &State, repository: &Repository) -> Value {
    let (base, full_name) = (&state.url, state.full_name(repository));
    let api = format!("{base}/repos/{full_name}");
    let host = base.split("://").nth(1).unwrap_or("localhost");
    let open = state.issues.iter().filter(|issue| issue.repository == repository.id && !issue.deleted).count();
    let mut value = json!({
        "id": repository.id,
        "node_id": node_id("010:Repository", repository.id),
        "name": repository.name,
        "full_name": full_name,
        "private": repository.private,
        "owner": user(state, repository.owner),
        "html_url": format!("{base}/{full_name}"),
        "description": null,
        "fork": false,
        "url": api,
        "created_at": time(repository.created_at),
        "updated_at": time(repository.created_at),
        "pushed_at": time(repository.created_at),
        "git_url": format!("git://{host}/{full_name}.git"),
        "ssh_url": format!("git@{host}:{full_name}.git"),
        "clone_url": format!("{base}/{full_name}.git"),
        "svn_url": format!("{base}/{full_name}"),
        "archived": repository.archived,
        "open_issues_count": open,
        "open_issues": open,
        "default_branch": repository.default_branch,
        "visibility": if repository.private { "private" } else { "public" },
    });
    for (name, constant) in repository_constants() {
        value[name] = constant;
    }
    for (name, rest) in REPOSITORY_LINKS {
        value[*name] = json!(format!("{api}{rest}"));
    }
    value
}

fn repository_constants() -> Map<String, Value> {
    let constants = json!({
        "homepage": null, "size": 0, "stargazers_count": 0, "watchers_count": 0, "language": null, "has_issues": true,
        "has_projects": true, "has_downloads": true, "has_wiki": true, "has_pages": false, "has_discussions": false,
        "forks_count": 0, "mirror_url": null, "disabled": false, "license": null, "allow_forking": true,
        "is_template": false, "web_commit_signoff_required": false, "topics": [], "forks": 0, "watchers": 0,
        "network_count": 0, "subscribers_count": 0, "custom_properties": {},
    });
    match constants {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

const REPOSITORY_LINKS: &[(&str, &str)] = &[
    ("forks_url", "/forks"),
    ("keys_url", "/keys{/key_id}"),
    ("collaborators_url", "/collaborators{/collaborator}"),
    ("teams_url", "/teams"),
    ("hooks_url", "/hooks"),
    ("issue_events_url", "/issues/events{/number}"),
    ("events_url", "/events"),
    ("assignees_url", "/assignees{/user}"),
    ("branches_url", "/branches{/branch}"),
    ("tags_url", "/tags"),
    ("blobs_url", "/git/blobs{/sha}"),
    ("git_tags_url", "/git/tags{/sha}"),
    ("git_refs_url", "/git/refs{/sha}"),
    ("trees_url", "/git/trees{/sha}"),
    ("statuses_url", "/statuses/{sha}"),
    ("languages_url", "/languages"),
    ("stargazers_url", "/stargazers"),
    ("contributors_url", "/contributors"),
    ("subscribers_url", "/subscribers"),
    ("subscription_url", "/subscription"),
    ("commits_url", "/commits{/sha}"),
    ("git_commits_url", "/git/commits{/sha}"),
    ("comments_url", "/comments{/number}"),
    ("issue_comment_url", "/issues/comments{/number}"),
    ("contents_url", "/contents/{+path}"),
    ("compare_url", "/compare/{base}...{head}"),
    ("merges_url", "/merges"),
    ("archive_url", "/{archive_format}{/ref}"),
    ("downloads_url", "/downloads"),
    ("issues_url", "/issues{/number}"),
    ("pulls_url", "/pulls{/number}"),
    ("milestones_url", "/milestones{/number}"),
    ("notifications_url", "/notifications{?since,all,participating}"),
    ("labels_url", "/labels{/name}"),
    ("releases_url", "/releases{/id}"),
    ("deployments_url", "/deployments"),
];

/// The five fields by which installation webhooks name a repository.
pub(crate) fn short_repository(state: &State, repository: &Repository) -> Value {
    json!({
        "id": repository.id,
        "node_id": node_id("010:Repository", repository.id),
        "name": repository.name,
        "full_name": state.full_name(repository),
        "private": repository.private,
    })
}

/// How an author stands to the repository.
pub(crate) fn association(state: &State, repository: &Repository, user: i64) -> &'static str {
    if repository.owner == user {
        "OWNER"
    } else if state.roles.contains_key(&(repository.id, user)) {
        "COLLABORATOR"
    } else {
        "NONE"
    }
}

fn rollup(api: &str, reactions: &[&Reaction]) -> Value {
    let mut value = json!({"url": format!("{api}/reactions"), "total_count": reactions.len()});
    for content in REACTIONS {
        value[*content] = json!(reactions.iter().filter(|reaction| reaction.content == *content).count());
    }
    value
}

/// The reactions that GitHub knows.
pub(crate) const REACTIONS: &[&str] = &["+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes"];

/// An issue; a pull request's conversation has `pull_request` beside.
pub(crate) fn issue(state: &State, repository: &Repository, issue: &Issue) -> Value {
    let full_name = state.full_name(repository);
    let api = format!("{}/repos/{full_name}/issues/{}", state.url, issue.number);
    let page = if issue.pull.is_some() { "pull" } else { "issues" };
    let count = state.comments.iter().filter(|c| c.repository == repository.id && c.issue == issue.number).count();
    let mut value = json!({
        "url": api,
        "repository_url": format!("{}/repos/{full_name}", state.url),
        "labels_url": format!("{api}/labels{{/name}}"),
        "comments_url": format!("{api}/comments"),
        "events_url": format!("{api}/events"),
        "html_url": format!("{}/{full_name}/{page}/{}", state.url, issue.number),
        "id": issue.id,
        "node_id": node_id("05:Issue", issue.id),
        "number": issue.number,
        "title": issue.title,
        "user": user(state, issue.user),
        "labels": [],
        "state": "open",
        "locked": issue.locked,
        "assignee": null,
        "assignees": [],
        "milestone": null,
        "comments": count,
        "created_at": time(issue.created_at),
        "updated_at": time(issue.created_at),
        "closed_at": null,
        "author_association": association(state, repository, issue.user),
        "active_lock_reason": null,
        "draft": false,
        "performed_via_github_app": null,
        "body": issue.body,
        "reactions": rollup(&api, &[]),
    });
    if issue.pull.is_some() {
        let (html, pull) =
            (value["html_url"].clone(), format!("{}/repos/{full_name}/pulls/{}", state.url, issue.number));
        let text = html.as_str().unwrap_or_default();
        value["pull_request"] = json!({
            "url": pull, "html_url": html, "diff_url": format!("{text}.diff"), "patch_url": format!("{text}.patch"),
            "merged_at": null,
        });
    }
    value
}

/// A comment of an issue.
pub(crate) fn comment(state: &State, repository: &Repository, comment: &Comment) -> Value {
    let full_name = state.full_name(repository);
    let api = format!("{}/repos/{full_name}/issues/comments/{}", state.url, comment.id);
    let is_pull = state.issue(repository.id, comment.issue).is_some_and(|issue| issue.pull.is_some());
    let page = if is_pull { "pull" } else { "issues" };
    let reactions: Vec<&Reaction> = state.reactions.iter().filter(|r| r.comment == comment.id).collect();
    json!({
        "url": api,
        "html_url": format!("{}/{full_name}/{page}/{}#issuecomment-{}", state.url, comment.issue, comment.id),
        "issue_url": format!("{}/repos/{full_name}/issues/{}", state.url, comment.issue),
        "id": comment.id,
        "node_id": node_id("012:IssueComment", comment.id),
        "user": user(state, comment.user),
        "created_at": time(comment.created_at),
        "updated_at": time(comment.updated_at),
        "author_association": association(state, repository, comment.user),
        "performed_via_github_app": comment.app.and_then(|id| state.app(id)).map_or(Value::Null, |a| app(state, a)),
        "body": comment.body,
        "reactions": rollup(&api, &reactions),
    })
}

pub(crate) fn reaction(state: &State, reaction: &Reaction) -> Value {
    json!({
        "id": reaction.id,
        "node_id": node_id("08:Reaction", reaction.id),
        "user": user(state, reaction.user),
        "content": reaction.content,
        "created_at": time(reaction.created_at),
    })
}

/// The events that the App subscribes to, beside those about installations, which every App gets.
pub(crate) const EVENTS: [&str; 2] = ["issue_comment", "repository"];

/// An App.
pub(crate) fn app(state: &State, app: &App) -> Value {
    json!({
        "id": app.id,
        "client_id": app.client_id,
        "slug": app.slug,
        "node_id": node_id("03:App", app.id),
        "owner": user(state, app.owner),
        "name": app.slug,
        "description": "",
        "external_url": "https://example.com",
        "html_url": format!("{}/apps/{}", state.url, app.slug),
        "created_at": time(app.created_at),
        "updated_at": time(app.created_at),
        "permissions": app.permissions,
        "events": EVENTS,
    })
}

/// An installation. In webhooks GitHub writes its times as seconds; `webhook` says which is wanted.
pub(crate) fn installation(state: &State, installation: &Installation, webhook: bool) -> Value {
    let app = state.app(installation.app);
    let account = state.user(installation.account);
    let created = installation.created_at;
    let stamp = if webhook { json!(created.timestamp()) } else { json!(time(created)) };
    json!({
        "id": installation.id,
        "client_id": app.map(|app| app.client_id.clone()),
        "account": user(state, installation.account),
        "repository_selection": if installation.selected.is_some() { "selected" } else { "all" },
        "access_tokens_url": format!("{}/app/installations/{}/access_tokens", state.url, installation.id),
        "repositories_url": format!("{}/installation/repositories", state.url),
        "html_url": format!("{}/settings/installations/{}", state.url, installation.id),
        "app_id": installation.app,
        "app_slug": app.map(|app| app.slug.clone()),
        "target_id": installation.account,
        "target_type": account.map_or("User", |account| account.kind),
        "permissions": installation.permissions,
        "events": EVENTS,
        "created_at": stamp,
        "updated_at": stamp,
        "single_file_name": null,
        "has_multiple_single_files": false,
        "single_file_paths": [],
        "suspended_by": installation.suspended.map(|(_, by)| user(state, by)),
        "suspended_at": installation.suspended.map(|(at, _)| time(at)),
    })
}

/// The answer to a new installation token.
pub(crate) fn token(
    token: &str,
    expires_at: DateTime<Utc>,
    permissions: &Permissions,
    repositories: Option<Vec<Value>>,
    selected: bool,
) -> Value {
    let mut value = json!({
        "token": token,
        "expires_at": time(expires_at),
        "permissions": permissions,
        "repository_selection": if selected { "selected" } else { "all" },
    });
    if let Some(repositories) = repositories {
        value["repositories"] = json!(repositories);
    }
    value
}

/// A delivery as the list shows it.
pub(crate) fn delivery(delivery: &Delivery) -> Value {
    json!({
        "id": delivery.id,
        "guid": delivery.guid,
        "delivered_at": time(delivery.delivered_at),
        "redelivery": delivery.redelivery,
        "duration": (delivery.seconds * 100.0).round() / 100.0,
        "status": delivery.outcome,
        "status_code": delivery.status,
        "event": delivery.event,
        "action": delivery.action,
        "installation_id": delivery.installation,
        "repository_id": delivery.repository,
        "throttled_at": null,
    })
}
