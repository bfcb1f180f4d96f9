//! The routes, named by GitHub's own templates, and how a path finds one. An unlisted path is one that the bot must not call.

mod app;
mod comments;
mod commits;
mod deliveries;
mod repository;
mod user;

use crate::call::{Answered, Call, Reply, decode};
use crate::world::state::Repository;

type Handler = fn(&Call<'_>) -> Answered;

/// Method, GitHub's template, and who answers.
const ROUTES: &[(&str, &str, Handler)] = &[
    ("GET", "/app", app::show),
    ("POST", "/app-manifests/{code}/conversions", crate::manifest::convert),
    ("GET", "/app/installations/{installation_id}", app::installation),
    ("POST", "/app/installations/{installation_id}/access_tokens", app::access_token),
    ("GET", "/app/hook/deliveries", deliveries::list),
    ("GET", "/app/hook/deliveries/{delivery_id}", deliveries::show),
    ("POST", "/app/hook/deliveries/{delivery_id}/attempts", deliveries::attempt),
    ("GET", "/rate_limit", app::rate_limit),
    ("GET", "/repos/{owner}/{repo}", repository::show),
    ("GET", "/repos/{owner}/{repo}/installation", repository::installation),
    ("GET", "/repos/{owner}/{repo}/collaborators/{username}/permission", repository::permission),
    ("GET", "/repos/{owner}/{repo}/contents/{path}", repository::contents),
    ("GET", "/repos/{owner}/{repo}/commits/{commit_sha}/pulls", commits::pulls),
    ("GET", "/repos/{owner}/{repo}/commits/{ref}", commits::show),
    ("GET", "/repos/{owner}/{repo}/compare/{basehead}", commits::compare),
    ("GET", "/repos/{owner}/{repo}/issues/comments/{comment_id}", comments::show),
    ("PATCH", "/repos/{owner}/{repo}/issues/comments/{comment_id}", comments::update),
    ("DELETE", "/repos/{owner}/{repo}/issues/comments/{comment_id}", comments::delete),
    ("POST", "/repos/{owner}/{repo}/issues/comments/{comment_id}/reactions", comments::react),
    ("GET", "/repos/{owner}/{repo}/issues/{issue_number}", repository::issue),
    ("GET", "/repos/{owner}/{repo}/issues/{issue_number}/comments", comments::list),
    ("POST", "/repos/{owner}/{repo}/issues/{issue_number}/comments", comments::create),
    ("GET", "/user", user::show),
    ("GET", "/user/emails", user::emails),
    ("GET", "/user/installations", user::installations),
    ("GET", "/user/installations/{installation_id}/repositories", user::repositories),
];

/// What may be several segments: a path, or a branch's name with slashes.
const LONG: [&str; 3] = ["path", "ref", "basehead"];

/// A route that fits, and what its template's braces stand for.
pub(crate) struct Found {
    pub template: &'static str,
    pub handler: Handler,
    pub path: Vec<(String, String)>,
}

/// Finds the route of a path; `/repositories/{id}/…` is the same as `/repos/{owner}/{repo}/…`.
pub(crate) fn find(method: &str, path: &str) -> Option<Found> {
    let mut segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let mut by_id = None;
    if segments.first() == Some(&"repositories") && segments.len() > 1 {
        by_id = Some(segments[1].to_owned());
        segments.splice(0..2, ["repos", "-", "-"]);
    }
    ROUTES.iter().filter(|(verb, ..)| *verb == method).find_map(|(_, template, handler)| {
        let mut path = bind(&template[1..].split('/').collect::<Vec<_>>(), &segments)?;
        path.extend(by_id.clone().map(|id| ("id".to_owned(), id)));
        Some(Found { template, handler: *handler, path })
    })
}

fn bind(template: &[&str], segments: &[&str]) -> Option<Vec<(String, String)>> {
    let Some((first, rest)) = template.split_first() else { return segments.is_empty().then(Vec::new) };
    let Some(name) = first.strip_prefix('{').and_then(|name| name.strip_suffix('}')) else {
        return (segments.first() == Some(first)).then(|| bind(rest, &segments[1..])).flatten();
    };
    let longest = if LONG.contains(&name) { segments.len() } else { 1.min(segments.len()) };
    (1..=longest).rev().find_map(|count| {
        let mut bound = bind(rest, &segments[count..])?;
        let value = decode(&segments[..count].join("/"));
        (!value.is_empty()).then(|| bound.insert(0, (name.to_owned(), value)))?;
        Some(bound)
    })
}

/// The repository that the path names; a former name is redirected to the number, which never changes.
pub(crate) fn repository_of(call: &Call<'_>) -> Result<Repository, Reply> {
    let state = call.world.read();
    let id = call.parameter("id");
    if !id.is_empty() {
        let found = id.parse().ok().and_then(|id| state.repository(id));
        return found.cloned().ok_or_else(Reply::not_found);
    }
    let full_name = format!("{}/{}", call.parameter("owner"), call.parameter("repo"));
    if let Some(found) = state.repository_named(&full_name) {
        return Ok(found.clone());
    }
    let moved = state.former_names.get(&full_name.to_lowercase()).and_then(|id| state.repository(*id));
    let moved = moved.ok_or_else(Reply::not_found)?;
    // Whoever may not know of it learns nothing of its new name either: the route itself checks after the redirect.
    Err(Reply::error(301, "Moved Permanently").header("location", format!("/repositories/{}", moved.id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_finds_its_template_and_names_may_have_slashes() {
        let found = find("GET", "/repos/a/b/commits/feature%2Fx/y").unwrap();
        assert_eq!(found.template, "/repos/{owner}/{repo}/commits/{ref}");
        assert_eq!(found.path[2].1, "feature/x/y");
        assert_eq!(
            find("GET", "/repos/a/b/commits/abc/pulls").unwrap().template,
            "/repos/{owner}/{repo}/commits/{commit_sha}/pulls"
        );
        assert_eq!(find("GET", "/repositories/7/issues/1").unwrap().path.last().unwrap().1, "7");
        assert!(find("POST", "/repos/a/b/issues/comments/1").is_none(), "GitHub documents PATCH");
        assert!(find("GET", "/repos/a").is_none());
        assert!(find("GET", "/repos/a/b/contents/").is_none());
    }
}
