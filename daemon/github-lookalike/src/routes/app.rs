//! What an App asks about itself: its installations, their tokens, its rate limit.

use crate::auth;
use crate::call::{Answered, Call, Reply};
use crate::world::state::{App, Installation, Permissions, Repository, State, Token};
use crate::{keys, render};
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::json;

pub(crate) fn counted(app: &App) -> Option<String> {
    Some(format!("app {}", app.id))
}

pub(crate) fn show(call: &Call<'_>) -> Answered {
    let app = auth::app(call)?;
    let state = call.world.read();
    let mut body = render::app(&state, &app);
    body["installations_count"] = json!(state.installations.iter().filter(|i| i.app == app.id).count());
    Ok(Reply { caller: counted(&app), ..Reply::json(200, body) })
}

fn own(state: &State, app: &App, id: i64) -> Result<Installation, Reply> {
    state.installation(id).filter(|i| i.app == app.id).cloned().ok_or_else(Reply::not_found)
}

pub(crate) fn installation(call: &Call<'_>) -> Answered {
    let app = auth::app(call)?;
    let state = call.world.read();
    let installation = own(&state, &app, call.number("installation_id")?)?;
    Ok(Reply { caller: counted(&app), ..Reply::json(200, render::installation(&state, &installation, false)) })
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Narrowing {
    repositories: Option<Vec<String>>,
    repository_ids: Option<Vec<i64>>,
    permissions: Option<Permissions>,
}

pub(crate) fn access_token(call: &Call<'_>) -> Answered {
    let app = auth::app(call)?;
    let narrowing: Narrowing = if call.body.is_null() { Narrowing::default() } else { call.body()? };
    call.world.change(|state| {
        let installation = own(state, &app, call.number("installation_id")?)?;
        if installation.suspended.is_some() {
            return Err(auth::suspended());
        }
        let permissions = narrowed(&installation.permissions, narrowing.permissions.as_ref())?;
        let chosen = chosen(state, &installation, &narrowing)?;
        let token = Token {
            token: keys::token(),
            installation: installation.id,
            repositories: chosen.as_ref().map(|chosen| chosen.iter().map(|r| r.id).collect()),
            permissions,
            expires_at: state.now() + state.token_life.unwrap_or(TimeDelta::hours(1)),
        };
        let repositories = chosen.map(|chosen| chosen.iter().map(|r| render::repository(state, r)).collect());
        let selected = installation.selected.is_some() || token.repositories.is_some();
        let body = render::token(&token.token, token.expires_at, &token.permissions, repositories, selected);
        state.tokens.push(token);
        Ok(Reply { caller: counted(&app), ..Reply::json(201, body) })
    })
}

/// What was asked for, if it was granted; `metadata: read` comes with everything.
fn narrowed(granted: &Permissions, asked: Option<&Permissions>) -> Result<Permissions, Reply> {
    let Some(asked) = asked.filter(|asked| !asked.is_empty()) else { return Ok(granted.clone()) };
    let rank = |level: &str| ["read", "write", "admin"].iter().position(|l| *l == level);
    for (name, level) in asked {
        if granted.get(name).is_none_or(|held| rank(held) < rank(level)) {
            return Err(Reply::error(422, "The permissions requested are not granted to this installation."));
        }
    }
    let mut permissions = asked.clone();
    permissions.entry("metadata".to_owned()).or_insert_with(|| "read".to_owned());
    Ok(permissions)
}

fn chosen(state: &State, installation: &Installation, narrowing: &Narrowing) -> Result<Option<Vec<Repository>>, Reply> {
    let refused = || {
        Reply::error(
            422,
            "There is at least one repository that does not exist or is not accessible to the parent installation.",
        )
    };
    let wanted: Vec<Option<&Repository>> = match (&narrowing.repository_ids, &narrowing.repositories) {
        (Some(ids), _) => ids.iter().map(|id| state.repository(*id)).collect(),
        (None, Some(names)) => {
            let of_account = |name: &String| {
                state.repositories.iter().find(|r| r.owner == installation.account && r.name.eq_ignore_ascii_case(name))
            };
            names.iter().map(of_account).collect()
        }
        (None, None) => {
            let own = installation.selected.as_ref();
            return Ok(own.map(|ids| ids.iter().filter_map(|id| state.repository(*id)).cloned().collect()));
        }
    };
    let covered = wanted.into_iter().map(|r| r.filter(|r| state.covers(installation, r)).cloned().ok_or_else(refused));
    covered.collect::<Result<Vec<_>, _>>().map(Some)
}

/// Does not count itself, as GitHub's does not.
pub(crate) fn rate_limit(call: &Call<'_>) -> Answered {
    let app_token = call.authorization.as_deref().is_some_and(|a| a.matches('.').count() == 2);
    let name = if app_token { format!("app {}", auth::app(call)?.id) } else { auth::caller(call)?.counted_as() };
    call.world.change(|state| {
        let now = state.now();
        let window = *state.limits.window(&name, now);
        let (limit, used, reset) = (window.limit, window.used, window.reset.timestamp());
        let core = json!({"limit": limit, "used": used, "remaining": window.remaining(), "reset": reset});
        let search = json!({"limit": 30, "used": 0, "remaining": 30, "reset": now.timestamp() + 60});
        Ok(Reply::json(200, json!({"resources": {"core": core, "search": search}, "rate": core})))
    })
}
