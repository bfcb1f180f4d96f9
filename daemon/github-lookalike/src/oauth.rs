//! `/login/oauth`: GitHub's consent page, codes that are good once and for ten minutes, and user tokens that are
//! given out for them and refreshed. Errors are answered as GitHub does: with status 200, or at the App's own address.

use crate::call::encode;
use crate::keys;
use crate::pages;
use crate::server::pairs;
use crate::world::World;
use crate::world::state::{Code, State, UserToken};
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Method, Response, StatusCode, header, request};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// How long a code is good.
const CODE_LIFE: TimeDelta = TimeDelta::minutes(10);
/// How long an App's user token is good, and its refresh token: eight hours and about half a year.
const TOKEN_LIFE: TimeDelta = TimeDelta::hours(8);
const REFRESH_LIFE: TimeDelta = TimeDelta::seconds(15_897_600);

/// Answers what is below `/login/oauth`, and `DELETE /applications/{client_id}/token`; `None` for an address that is not
/// there.
pub(crate) fn serve(world: &World, parts: &request::Parts, path: &str, body: &Bytes) -> Option<Response<Body>> {
    let query = pairs(parts.uri.query().unwrap_or_default());
    let form = pairs(&String::from_utf8_lossy(body));
    match (&parts.method, path) {
        (&Method::GET, "/login/oauth/authorize") => Some(consent(world, &query)),
        (&Method::POST, "/login/oauth/authorize") => Some(decided(world, parts, &query, &form)),
        (&Method::POST, "/login/oauth/access_token") => {
            let accept = parts.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
            Some(told(&world.change(|state| exchange(state, &form)), accept))
        }
        (&Method::DELETE, path) => {
            let client_id = path.strip_prefix("/applications/")?.strip_suffix("/token")?;
            Some(world.change(|state| revoked(state, parts, client_id, body)))
        }
        _ => None,
    }
}

fn field<'a>(pairs: &'a [(String, String)], name: &str) -> &'a str {
    pairs.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
}

/// Who asks: an App or an OAuth App, and where its people are sent back to.
struct Client {
    id: String,
    name: String,
    secret: String,
    app: Option<i64>,
    callback: Option<String>,
}

fn client(state: &State, id: &str) -> Option<Client> {
    let app = state.apps.iter().find(|app| app.client_id == id).map(|app| Client {
        id: id.to_owned(),
        name: app.slug.clone(),
        secret: app.client_secret.clone(),
        app: Some(app.id),
        callback: app.callback_url.clone(),
    });
    let oauth = || state.oauth_apps.iter().find(|app| app.client_id == id);
    app.or_else(|| {
        let found = oauth()?;
        Some(Client {
            id: id.to_owned(),
            name: found.name.clone(),
            secret: found.client_secret.clone(),
            app: None,
            callback: Some(found.callback_url.clone()),
        })
    })
}

/// Where the browser goes back to: the App's own address, or one below it.
fn back(client: &Client, asked: &str) -> Result<String, String> {
    let Some(callback) = &client.callback else { return Err(String::new()) };
    let below = asked == callback || asked.strip_prefix(callback.as_str()).is_some_and(|rest| rest.starts_with('/'));
    if asked.is_empty() || below {
        Ok(if below { asked.to_owned() } else { callback.clone() })
    } else {
        Err(callback.clone())
    }
}

fn redirect(to: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::FOUND;
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}

fn refused(to: &str, state: &str, error: &str, description: &str) -> Response<Body> {
    let docs = encode("https://docs.github.com/apps/troubleshooting");
    let state = if state.is_empty() { String::new() } else { format!("&state={}", encode(state)) };
    redirect(&format!("{to}?error={error}&error_description={}&error_uri={docs}{state}", encode(description)))
}

fn page(status: StatusCode, body: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(pages::framed("Authorize", body)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

/// What an App may not ask for, if it does.
fn wrong(client: &Client, query: &[(String, String)]) -> Option<Response<Body>> {
    let state = field(query, "state");
    match back(client, field(query, "redirect_uri")) {
        Err(callback) if callback.is_empty() => {
            Some(page(StatusCode::NOT_FOUND, "<h1>The App has no callback URL</h1>"))
        }
        Err(callback) => {
            let said = "The redirect_uri MUST match the registered callback URL for this application.";
            Some(refused(&callback, state, "redirect_uri_mismatch", said))
        }
        Ok(_) => None,
    }
}

fn consent(world: &World, query: &[(String, String)]) -> Response<Body> {
    let state = world.read();
    let Some(client) = client(&state, field(query, "client_id")) else {
        return page(StatusCode::NOT_FOUND, "<h1>404: there is no such App</h1>");
    };
    if let Some(wrong) = wrong(&client, query) {
        return wrong;
    }
    let people = state.users.iter().filter(|user| user.kind == "User");
    let people: String = people.map(|user| format!("<option>{}</option>", pages::escape(&user.login))).collect();
    let (name, scope) = (pages::escape(&client.name), pages::escape(field(query, "scope")));
    page(
        StatusCode::OK,
        &format!(
            "<h1>Authorize {name}</h1><p>It asks for: {scope}</p><form method=\"post\">\
             <p><label>Sign in as <select name=\"login\">{people}</select></label></p>\
             <p class=\"send\"><button name=\"decision\" value=\"cancel\">Cancel</button> \
             <button name=\"decision\" value=\"authorize\" class=\"primary\">Authorize {name}</button></p></form>"
        ),
    )
}

fn decided(
    world: &World,
    parts: &request::Parts,
    query: &[(String, String)],
    form: &[(String, String)],
) -> Response<Body> {
    if !pages::own(&parts.headers) {
        return page(StatusCode::FORBIDDEN, "<h1>Only this page's own form is taken</h1>");
    }
    world.change(|state| {
        let Some(client) = client(state, field(query, "client_id")) else {
            return page(StatusCode::NOT_FOUND, "<h1>404: there is no such App</h1>");
        };
        if let Some(wrong) = wrong(&client, query) {
            return wrong;
        }
        let to = back(&client, field(query, "redirect_uri")).unwrap_or_default();
        let said = field(query, "state");
        if field(form, "decision") != "authorize" {
            return refused(&to, said, "access_denied", "The user has denied your application access.");
        }
        let Some(user) = state.user_named(field(form, "login")).filter(|user| user.kind == "User") else {
            return page(StatusCode::UNPROCESSABLE_ENTITY, "<h1>There is no such person</h1>");
        };
        let code = Code {
            code: keys::random_hex(10),
            client_id: client.id,
            user: user.id,
            redirect_uri: field(query, "redirect_uri").to_owned(),
            challenge: Some(field(query, "code_challenge").to_owned()).filter(|text| !text.is_empty()),
            scope: field(query, "scope").to_owned(),
            good_until: state.now() + CODE_LIFE,
        };
        let separator = if to.contains('?') { '&' } else { '?' };
        let answer = redirect(&format!("{to}{separator}code={}&state={}", code.code, encode(said)));
        state.codes.push(code);
        answer
    })
}

fn error(name: &str, description: &str) -> Value {
    let docs = "https://docs.github.com/apps/managing-oauth-apps/troubleshooting-oauth-app-access-token-request-errors";
    json!({"error": name, "error_description": description, "error_uri": docs})
}

fn exchange(state: &mut State, form: &[(String, String)]) -> Value {
    let known = client(state, field(form, "client_id")).filter(|client| client.secret == field(form, "client_secret"));
    let Some(client) = known else {
        return error("incorrect_client_credentials", "The client_id and/or client_secret passed are incorrect.");
    };
    match field(form, "grant_type") {
        "refresh_token" => refreshed(state, &client, field(form, "refresh_token")),
        _ => redeemed(state, &client, form),
    }
}

fn redeemed(state: &mut State, client: &Client, form: &[(String, String)]) -> Value {
    let bad = || error("bad_verification_code", "The code passed is incorrect or expired.");
    let given = field(form, "code");
    // Good once, whatever comes of it.
    let Some(index) = state.codes.iter().position(|code| code.code == given) else { return bad() };
    let code = state.codes.remove(index);
    if code.client_id != client.id || code.good_until <= state.now() {
        return bad();
    }
    let asked = field(form, "redirect_uri");
    if !asked.is_empty() && asked != code.redirect_uri {
        let said = "The redirect_uri MUST match the registered callback URL for this application.";
        return error("redirect_uri_mismatch", said);
    }
    if let Some(challenge) = &code.challenge {
        let made = URL_SAFE_NO_PAD.encode(Sha256::digest(field(form, "code_verifier")));
        if made != *challenge {
            return bad();
        }
    }
    given_out(state, client, code.user, &code.scope)
}

fn refreshed(state: &mut State, client: &Client, refresh: &str) -> Value {
    let now = state.now();
    let good = |token: &UserToken| {
        token.client_id == client.id
            && token.refresh.as_deref() == Some(refresh)
            && token.refresh_until.is_some_and(|until| until > now)
    };
    let Some(index) = state.user_tokens.iter().position(good) else {
        return error("bad_refresh_token", "The refresh token passed is incorrect or expired.");
    };
    // Neither the old token nor the old refresh token works any more.
    let old = state.user_tokens.remove(index);
    given_out(state, client, old.user, &old.scope)
}

/// An App gives back a user's token (docs.github.com, "REST API endpoints for OAuth authorizations", "Delete an app
/// token"): it proves itself by Basic authentication. The fixtures do not have this call.
fn revoked(state: &mut State, parts: &request::Parts, client_id: &str, body: &Bytes) -> Response<Body> {
    let basic = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Basic "));
    let given = basic.and_then(|text| String::from_utf8(STANDARD.decode(text).ok()?).ok());
    let known = client(state, client_id).is_some_and(|it| given == Some(format!("{}:{}", it.id, it.secret)));
    let mut response = Response::new(Body::empty());
    let token =
        serde_json::from_slice::<Value>(body).ok().and_then(|it| it["access_token"].as_str().map(str::to_owned));
    let before = state.user_tokens.len();
    let is_it = |it: &UserToken| it.client_id == client_id && Some(&it.token) == token.as_ref();
    if known {
        state.user_tokens.retain(|it| !is_it(it));
    }
    *response.status_mut() = match (known, state.user_tokens.len() < before) {
        (false, _) => StatusCode::NOT_FOUND,
        (true, false) => StatusCode::UNPROCESSABLE_ENTITY,
        (true, true) => StatusCode::NO_CONTENT,
    };
    response
}

fn given_out(state: &mut State, client: &Client, user: i64, scope: &str) -> Value {
    let now = state.now();
    let expires = client.app.is_some() && state.user_tokens_expire;
    let life = state.user_token_life.unwrap_or(TOKEN_LIFE);
    let token = UserToken {
        token: format!("{}{}", if client.app.is_some() { "ghu_" } else { "gho_" }, keys::random_hex(18)),
        refresh: expires.then(|| format!("ghr_{}", keys::random_hex(38))),
        user,
        client_id: client.id.clone(),
        app: client.app,
        scope: scope.to_owned(),
        expires_at: expires.then(|| now + life),
        refresh_until: expires.then(|| now + REFRESH_LIFE),
    };
    let scope = if client.app.is_some() { String::new() } else { scope.replace(' ', ",") };
    let mut said = json!({"access_token": token.token, "token_type": "bearer", "scope": scope});
    if expires {
        said["expires_in"] = json!(life.num_seconds());
        said["refresh_token"] = json!(token.refresh);
        said["refresh_token_expires_in"] = json!(REFRESH_LIFE.num_seconds());
    }
    state.user_tokens.push(token);
    said
}

/// JSON where it is asked for, else a form, always with status 200.
fn told(said: &Value, accept: &str) -> Response<Body> {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let pairs = said.as_object().into_iter().flatten();
    let form = || pairs.map(|(name, value)| format!("{name}={}", encode(&plain(value)))).collect::<Vec<_>>().join("&");
    let (media, text) = if accept.contains("application/json") {
        ("application/json; charset=utf-8", said.to_string())
    } else {
        ("application/x-www-form-urlencoded; charset=utf-8", form())
    };
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
}
