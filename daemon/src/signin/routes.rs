//! `/auth`: the way to GitHub's consent page and back, and out again.

use super::{
    Inner, SESSION_LIFETIME, SignIn, Viewer,
    cookies::{Cookies, DEPARTURE, SESSION},
    next::{self, sign_in_url},
    tokens,
    viewer::Token,
};
use crate::{
    db::{
        DbError, Tx,
        audit_events::{self, NewAuditEvent},
        sessions, user_repositories, users,
    },
    github::{OAuth, OAuthError, UserInfo, UserTokens},
    web::{
        Notice,
        address::{self, Limited},
    },
};
use chrono::{DateTime, TimeDelta, Utc};
use rocket::{
    Request, Route, State,
    form::{Form, FromForm},
    http::{CookieJar, Header, Status},
    request::{FromRequest, Outcome},
    response::{Redirect, Responder},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{convert::Infallible, sync::Arc, time::Duration};
use subtle::ConstantTimeEq;

/// How long somebody may look at GitHub's consent page.
const CONSENT: Duration = Duration::from_mins(10);

/// The routes of signing in and out.
#[must_use]
pub fn routes() -> Vec<Route> {
    rocket::routes![login, callback, callback_of_old, session, logout]
}

/// What the browser keeps while it is at GitHub's, encrypted.
#[derive(Serialize, Deserialize)]
struct Away {
    state: String,
    verifier: String,
    next: String,
    until: DateTime<Utc>,
}

/// What a route of signing in answers; nobody keeps it.
enum Answer {
    To(Redirect),
    Says(Notice),
}

impl<'r> Responder<'r, 'static> for Answer {
    fn respond_to(self, request: &'r Request<'_>) -> rocket::response::Result<'static> {
        match self {
            Self::Says(notice) => notice.respond_to(request),
            Self::To(redirect) => {
                let mut response = redirect.respond_to(request)?;
                response.set_header(Header::new("Cache-Control", "no-store"));
                Ok(response)
            }
        }
    }
}

/// Where a request comes from, for the audit.
struct From {
    address: String,
    user_agent: Option<String>,
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for From {
    type Error = Infallible;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Infallible> {
        let user_agent = request.headers().get_one("User-Agent").map(|text| text.chars().take(300).collect());
        Outcome::Success(Self { address: address::of(request).to_string(), user_agent })
    }
}

#[rocket::get("/auth/github/login?<next>")]
fn login(_limited: Limited, next: Option<&str>, signin: &State<SignIn>, jar: &CookieJar<'_>) -> Answer {
    let Some(oauth) = &signin.inner.oauth else { return Answer::Says(off(&signin.inner.missing)) };
    let departure = oauth.depart();
    let away = Away {
        state: departure.state,
        verifier: departure.verifier,
        next: next::local(next),
        until: Utc::now() + TimeDelta::from_std(CONSENT).unwrap_or_default(),
    };
    signin.inner.cookies.give(jar, DEPARTURE, json!(away).to_string(), CONSENT);
    Answer::To(Redirect::to(departure.url))
}

/// What GitHub sends a browser back with.
#[derive(FromForm)]
struct Back<'r> {
    code: Option<&'r str>,
    state: Option<&'r str>,
    error: Option<&'r str>,
    error_description: Option<&'r str>,
    installation_id: Option<&'r str>,
}

#[rocket::get("/auth/callback?<back..>")]
async fn callback(
    _limited: Limited,
    back: Back<'_>,
    from: From,
    signin: &State<SignIn>,
    jar: &CookieJar<'_>,
) -> Answer {
    let Some(oauth) = &signin.inner.oauth else { return Answer::Says(off(&signin.inner.missing)) };
    if let (None, Some(installation)) = (back.state, back.installation_id.and_then(|id| id.parse::<u64>().ok())) {
        // An App that asks for consent during its installation: the code was not asked for here, so it is asked anew.
        return Answer::To(Redirect::to(format!("/auth/github/login?next=/setup?installation_id={installation}")));
    }
    match arrived(signin, oauth, &back, &from, jar).await {
        Ok(next) => Answer::To(Redirect::to(next)),
        Err(notice) => Answer::Says(notice),
    }
}

/// The same at the address that older Apps are registered with.
#[rocket::get("/auth/github/callback?<back..>")]
async fn callback_of_old(
    limited: Limited,
    back: Back<'_>,
    from: From,
    signin: &State<SignIn>,
    jar: &CookieJar<'_>,
) -> Answer {
    callback(limited, back, from, signin, jar).await
}

/// Signs in whom GitHub sent back, and says where to go now.
async fn arrived(
    signin: &SignIn,
    oauth: &OAuth,
    back: &Back<'_>,
    from: &From,
    jar: &CookieJar<'_>,
) -> Result<String, Notice> {
    let away = signin.inner.cookies.read(jar, DEPARTURE).and_then(|text| serde_json::from_str::<Away>(&text).ok());
    Cookies::take(jar, DEPARTURE);
    let expected = away.filter(|away| away.until > Utc::now());
    let same = |away: &Away| back.state.is_some_and(|state| away.state.as_bytes().ct_eq(state.as_bytes()).into());
    let away = expected.filter(same).ok_or_else(not_asked_for)?;
    // Whatever goes wrong from here on, the next try ends where this one was to end.
    let again = |notice: Notice| Notice { link: Some((sign_in_url(Some(&away.next)), AGAIN)), ..notice };
    if let Some(error) = back.error {
        return Err(again(refused_by_github(error, back.error_description)));
    }
    let code = back.code.ok_or_else(not_asked_for)?;
    let tokens = oauth.redeem(code.to_owned(), away.verifier.clone()).await.map_err(|it| again(unredeemed(it)))?;
    let who = oauth.user(&tokens.access).await.map_err(|error| again(github_away(&error)))?;
    let former = signin.inner.cookies.read(jar, SESSION).and_then(|text| Token::parse(&text));
    let token = Token::random();
    let began = begin(&signin.inner, &who, &tokens, (former.as_ref(), &token), from).await;
    let user = began.map_err(|error| {
        tracing::warn!(error = %error, "somebody could not be signed in");
        again(database_away())
    })?;
    signin.inner.cookies.give(jar, SESSION, token.text(), SESSION_LIFETIME);
    // So that the first page shows it.
    signin.ensure(user).await;
    Ok(away.next)
}

/// A new session in the place of the browser's former one: what was known before signing in is of no use afterwards.
async fn begin(
    inner: &Inner,
    who: &UserInfo,
    tokens: &UserTokens,
    (former, token): (Option<&Token>, &Token),
    from: &From,
) -> Result<i64, DbError> {
    let mut tx = inner.db.begin().await?;
    let known = users::Known {
        github_id: who.id,
        login: &who.login,
        name: who.name.as_deref(),
        email: who.email.as_deref(),
        avatar_url: who.avatar_url.as_deref().filter(|url| url.starts_with("https://") || url.starts_with("http://")),
    };
    let user = users::sign_in(&mut tx, &known).await?;
    tokens::store(inner, &mut tx, user, tokens).await?;
    user_repositories::ask_again(&mut tx, user).await?;
    if let Some(former) = former {
        sessions::end(&mut tx, &former.hash()).await?;
    }
    sessions::begin(&mut tx, &token.hash(), user, SESSION_LIFETIME, from.user_agent.as_deref()).await?;
    audit(&mut tx, user, &who.login, "user.signin", json!({}), from).await?;
    tx.commit().await?;
    Ok(user)
}

async fn audit(
    tx: &mut Tx,
    user: i64,
    login: &str,
    action: &str,
    detail: serde_json::Value,
    from: &From,
) -> Result<(), DbError> {
    let event = NewAuditEvent { actor: login, channel: "web", action, job: None, installation: None, detail };
    audit_events::append_of_user(tx, &event, user, Some(&from.address)).await
}

/// Who is signed in, for scripts: `login`, `avatar_url`, and what is sent back as `X-CSRF-Token`; `null` for nobody.
#[rocket::get("/auth/session")]
fn session(_limited: Limited, viewer: Viewer) -> Unkept {
    let user = viewer.user.map(|user| json!({ "login": user.login, "avatar_url": user.avatar_url, "csrf": user.csrf }));
    Unkept { text: json!(user).to_string(), kept: Header::new("Cache-Control", "no-store") }
}

/// An answer that no browser or proxy keeps.
#[derive(rocket::Responder)]
#[response(content_type = "json")]
struct Unkept {
    text: String,
    kept: Header<'static>,
}

#[derive(FromForm)]
struct Logout<'r> {
    csrf: Option<&'r str>,
    everywhere: Option<&'r str>,
}

#[rocket::post("/auth/logout", data = "<form>")]
async fn logout(
    _limited: Limited,
    form: Form<Logout<'_>>,
    viewer: Viewer,
    from: From,
    signin: &State<SignIn>,
    jar: &CookieJar<'_>,
) -> Answer {
    let Some(user) = viewer.user else { return Answer::To(Redirect::to("/")) };
    if !form.csrf.is_some_and(|given| user.csrf_is(given)) {
        return Answer::Says(Notice {
            status: Status::Forbidden,
            title: "That was not asked for on a page of ours",
            what: "Nothing was done: another site may have tried to sign you out, or the page was older than your session."
                .to_owned(),
            next: "Load a page anew, and sign out there.",
            link: None,
        });
    }
    let everywhere = form.everywhere.is_some_and(|text| ["true", "on", "1"].contains(&text));
    let ended = async {
        let mut tx = signin.inner.db.begin().await?;
        let ended = if everywhere {
            sessions::end_all(&mut tx, user.id).await?
        } else {
            u64::from(sessions::end(&mut tx, &user.hash).await?)
        };
        // Nobody looks as this user any more, so nobody needs to speak for them.
        let mut token = None;
        if sessions::count(&mut tx, user.id).await? == 0 {
            token = tokens::take(&signin.inner, &mut tx, user.id).await?;
            user_repositories::forget_user(&mut tx, user.id).await?;
        }
        let detail = json!({ "everywhere": everywhere, "sessions": ended });
        audit(&mut tx, user.id, &user.login, "user.signout", detail, &from).await?;
        tx.commit().await?;
        Ok::<_, DbError>(token)
    };
    let token = match ended.await {
        Ok(token) => token,
        Err(error) => {
            tracing::warn!(error = %error, "somebody could not be signed out");
            return Answer::Says(database_away());
        }
    };
    Cookies::take(jar, SESSION);
    if let Some(token) = token {
        // Nobody waits for it, and where GitHub is away the token ends by itself.
        tokio::spawn(tokens::give_back(Arc::clone(&signin.inner), user.id, token));
    }
    Answer::To(Redirect::to("/"))
}

/// What the way back to GitHub is called.
const AGAIN: &str = "Sign in with GitHub";

/// A page that ends a try to sign in. What was tried may be tried again.
fn notice(status: Status, title: &'static str, what: impl Into<String>, next: &'static str) -> Notice {
    Notice { status, title, what: what.into(), next, link: Some((sign_in_url(None), AGAIN)) }
}

fn off(missing: &[&str]) -> Notice {
    let what = format!("Whoever runs this service has to set {} first.", missing.join(", "));
    let next =
        "Commands in issues and pull requests work all the same, and public jobs can be seen without signing in.";
    let title = "Nobody can sign in here yet";
    Notice { link: None, ..notice(Status::ServiceUnavailable, title, what, next) }
}

fn not_asked_for() -> Notice {
    notice(
        Status::BadRequest,
        "This sign-in is over",
        "It was begun more than ten minutes ago, in another browser, or not here at all; or your browser refuses cookies.",
        "Nothing was done. Begin again.",
    )
}

fn refused_by_github(error: &str, description: Option<&str>) -> Notice {
    if error == "access_denied" {
        return notice(
            Status::Forbidden,
            "You did not allow it",
            "Without your consent GitHub does not say who you are, so you are not signed in.",
            "It is asked for your name and picture, and for which repositories you may read: nothing is written for you. \
             Public jobs can be seen without signing in.",
        );
    }
    tracing::warn!(error, description, "GitHub sent somebody back without a code");
    let said: String = description.unwrap_or(error).chars().take(300).collect();
    let what = format!("GitHub says: {}.", said.trim_end_matches('.'));
    let next = "You are not signed in. If it says so again, tell whoever runs this service.";
    notice(Status::BadGateway, "GitHub did not sign you in", what, next)
}

fn unredeemed(error: OAuthError) -> Notice {
    match error {
        OAuthError::Refused(_) => notice(
            Status::BadRequest,
            "This sign-in was used already",
            "GitHub takes each answer of its consent page once, and for ten minutes.",
            "You are not signed in. Begin again.",
        ),
        OAuthError::Configuration(_) => {
            tracing::error!(error = %error, "nobody can sign in");
            notice(
                Status::BadGateway,
                "GitHub does not know this service",
                "Its registration at GitHub is not as it should be.",
                "You are not signed in. Whoever runs this service finds the reason in its log.",
            )
        }
        OAuthError::Unavailable(_) => github_away(&error),
    }
}

fn github_away(error: &(impl std::fmt::Display + ?Sized)) -> Notice {
    tracing::warn!(error = %error, "somebody could not be signed in: GitHub is away");
    notice(
        Status::BadGateway,
        "GitHub does not answer",
        "You are not signed in.",
        "Try again in a minute; www.githubstatus.com says how GitHub is.",
    )
}

fn database_away() -> Notice {
    notice(
        Status::ServiceUnavailable,
        "This does not work just now",
        "The service's database is away.",
        "Try again in a minute.",
    )
}
