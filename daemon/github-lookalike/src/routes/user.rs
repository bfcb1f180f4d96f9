//! What a user's token tells about the user: who it is, and which installations and repositories the user reaches.

use crate::auth;
use crate::call::{Answered, Call, Reply};
use crate::render;
use crate::world::state::{Installation, Repository, Role, State, UserToken};
use serde_json::json;

fn counted(token: &UserToken) -> Option<String> {
    Some(format!("user {}", token.user))
}

pub(crate) fn show(call: &Call<'_>) -> Answered {
    let token = auth::user(call)?;
    let state = call.world.read();
    let user = state.user(token.user).ok_or_else(Reply::not_found)?;
    let mut body = render::simple_user(&state.url, user);
    let rest = json!({
        "name": null, "company": null, "blog": "", "location": null, "email": null, "hireable": null, "bio": null,
        "public_repos": 0, "public_gists": 0, "followers": 0, "following": 0,
        "created_at": "2011-01-26T19:01:12Z", "updated_at": "2011-01-26T19:14:43Z",
    });
    for (name, value) in rest.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    Ok(Reply { caller: counted(&token), ..Reply::json(200, body) })
}

pub(crate) fn emails(call: &Call<'_>) -> Answered {
    let token = auth::user(call)?;
    let state = call.world.read();
    let user = state.user(token.user).ok_or_else(Reply::not_found)?;
    // An App needs a permission of its own for it; an OAuth App a scope.
    if !token.scope.contains("user:email") || token.app.is_some() {
        return Err(Reply::forbidden());
    }
    let email = format!("{}@example.com", user.login);
    let body = json!([{"email": email, "primary": true, "verified": true, "visibility": "private"}]);
    Ok(Reply { caller: counted(&token), ..Reply::json(200, body) })
}

/// The repositories of an installation that the user was given something in.
fn reached(state: &State, installation: &Installation, user: i64) -> Vec<(Repository, Role)> {
    let covered = state.repositories.iter().filter(|repository| state.covers(installation, repository));
    covered.filter_map(|repository| Some((repository.clone(), state.explicit_role(repository, user)?))).collect()
}

fn of_app(token: &UserToken) -> Result<i64, Reply> {
    token.app.ok_or_else(|| {
        Reply::error(
            403,
            "You must authenticate with an access token authorized to a GitHub App in order to list installations",
        )
    })
}

pub(crate) fn installations(call: &Call<'_>) -> Answered {
    let token = auth::user(call)?;
    let app = of_app(&token)?;
    let state = call.world.read();
    let mine = |installation: &&Installation| {
        installation.app == app
            && (installation.account == token.user || !reached(&state, installation, token.user).is_empty())
    };
    let all: Vec<_> = state.installations.iter().filter(mine).map(|i| render::installation(&state, i, false)).collect();
    page(call, &token, "installations", all, "/user/installations", state)
}

pub(crate) fn repositories(call: &Call<'_>) -> Answered {
    let token = auth::user(call)?;
    let app = of_app(&token)?;
    let id = call.number("installation_id")?;
    let state = call.world.read();
    let installation = state.installation(id).filter(|i| i.app == app).ok_or_else(Reply::not_found)?;
    let reached = reached(&state, installation, token.user);
    if reached.is_empty() && installation.account != token.user {
        return Err(Reply::not_found());
    }
    if installation.suspended.is_some() {
        return Err(auth::suspended());
    }
    let shown = |(repository, role): &(Repository, Role)| {
        let mut value = render::repository(&state, repository);
        value["permissions"] = json!({
            "admin": *role >= Role::Admin, "maintain": *role >= Role::Maintain, "push": *role >= Role::Write,
            "triage": *role >= Role::Triage, "pull": true,
        });
        value
    };
    let all: Vec<_> = reached.iter().map(shown).collect();
    page(call, &token, "repositories", all, &format!("/user/installations/{id}/repositories"), state)
}

/// One page of a list with its count. Gives the world back before the page is made, which reads it, too.
fn page(
    call: &Call<'_>,
    token: &UserToken,
    name: &str,
    all: Vec<serde_json::Value>,
    path: &str,
    state: std::sync::MutexGuard<'_, State>,
) -> Answered {
    drop(state);
    let (page, link) = call.page(&all, path);
    let mut body = json!({"total_count": all.len()});
    body[name] = json!(page);
    let reply = Reply { caller: counted(token), ..Reply::json(200, body) };
    Ok(match link {
        Some(link) => reply.header("link", link),
        None => reply,
    })
}
