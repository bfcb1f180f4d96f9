//! `/auth`: the way to GitHub's consent page and back, and out again.

use super::{
    Inner, SESSION_LIFETIME, SignIn, Viewer,
    cookies::{Cookies, DEPARTURE, SESSION},
    next,
    page::{AGAIN, Answer, Page},
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
    web::address::{self, Limited},
};
use chrono::{DateTime, TimeDelta, Utc};
use rocket::{
    Request, Route, State,
    form::{Form, FromForm},
    http::{CookieJar, Header, Status},
    request::{FromRequest, Outcome},
    response::Redirect,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{convert::Infallible, time::Duration};
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
        Err(page) => Answer::Says(page),
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
) -> Result<String, Page> {
    let away = signin.inner.cookies.read(jar, DEPARTURE).and_then(|text| serde_json::from_str::<Away>(&text).ok());
    Cookies::take(jar, DEPARTURE);
    let expected = away.filter(|away| away.until > Utc::now());
    let same = |away: &Away| back.state.is_some_and(|state| away.state.as_bytes().ct_eq(state.as_bytes()).into());
    let away = expected.filter(same).ok_or_else(not_asked_for)?;
    if let Some(error) = back.error {
        return Err(refused_by_github(error, back.error_description));
    }
    let code = back.code.ok_or_else(not_asked_for)?;
    let tokens = oauth.redeem(code.to_owned(), away.verifier).await.map_err(unredeemed)?;
    let who = oauth.user(&tokens.access).await.map_err(|error| away_now(&error))?;
    let former = signin.inner.cookies.read(jar, SESSION).and_then(|text| Token::parse(&text));
    let token = Token::random();
    let began = begin(&signin.inner, &who, &tokens, (former.as_ref(), &token), from).await;
    let user = began.map_err(|error| {
        tracing::warn!(error = %error, "somebody could not be signed in");
        database_away()
    })?;
    signin.inner.cookies.give(jar, SESSION, token.text(), SESSION_LIFETIME);
    tracing::info!(user.id = user, user.login = who.login, address = from.address, "signed in");
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
        return Answer::Says(Page {
            status: Status::Forbidden,
            title: "That was not asked for on a page of ours",
            text: "Another site may have tried to sign you out, or the page was older than your session. Nothing was \
                   done."
                .to_owned(),
            link: Some((next::HOME, "Go to the dashboard")),
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
        if sessions::count(&mut tx, user.id).await? == 0 {
            users::store_tokens(&mut tx, user.id, None, None, None).await?;
            user_repositories::forget_user(&mut tx, user.id).await?;
        }
        let detail = json!({ "everywhere": everywhere, "sessions": ended });
        audit(&mut tx, user.id, &user.login, "user.signout", detail, &from).await?;
        tx.commit().await
    };
    let ended: Result<(), DbError> = ended.await;
    if let Err(error) = ended {
        tracing::warn!(error = %error, "somebody could not be signed out");
        return Answer::Says(database_away());
    }
    Cookies::take(jar, SESSION);
    tracing::info!(user.id = user.id, user.login = user.login, address = from.address, everywhere, "signed out");
    Answer::To(Redirect::to("/"))
}

fn off(missing: &[&str]) -> Page {
    Page {
        status: Status::ServiceUnavailable,
        title: "Nobody can sign in here yet",
        text: format!(
            "Whoever runs this service has to set {} first. Commands in issues and pull requests work all the same.",
            missing.join(", ")
        ),
        link: None,
    }
}

fn not_asked_for() -> Page {
    Page {
        status: Status::BadRequest,
        title: "This sign-in is over",
        text:
            "It was begun more than ten minutes ago, in another browser, or not here at all; or your browser refuses \
               cookies. Nothing was done: begin again."
                .to_owned(),
        link: AGAIN,
    }
}

fn refused_by_github(error: &str, description: Option<&str>) -> Page {
    if error == "access_denied" {
        return Page {
            status: Status::Forbidden,
            title: "You did not allow it",
            text: "Without your consent GitHub does not say who you are, so you are not signed in.".to_owned(),
            link: AGAIN,
        };
    }
    tracing::warn!(error, description, "GitHub sent somebody back without a code");
    Page {
        status: Status::BadGateway,
        title: "GitHub did not sign you in",
        text: format!(
            "GitHub says: {}. If it says so again, tell whoever runs this service.",
            description.unwrap_or(error).chars().take(300).collect::<String>().trim_end_matches('.')
        ),
        link: AGAIN,
    }
}

fn unredeemed(error: OAuthError) -> Page {
    match error {
        OAuthError::Refused(_) => Page {
            status: Status::BadRequest,
            title: "This sign-in was used already",
            text: "GitHub takes each answer of its consent page once, and for ten minutes. Begin again.".to_owned(),
            link: AGAIN,
        },
        OAuthError::Configuration(_) => {
            tracing::error!(error = %error, "nobody can sign in");
            Page {
                status: Status::BadGateway,
                title: "GitHub does not know this service",
                text: "Its registration at GitHub is not as it should be. Whoever runs it finds the reason in its log."
                    .to_owned(),
                link: AGAIN,
            }
        }
        OAuthError::Unavailable(_) => away_now(&error),
    }
}

fn away_now(error: &(impl std::fmt::Display + ?Sized)) -> Page {
    tracing::warn!(error = %error, "somebody could not be signed in: GitHub is away");
    Page {
        status: Status::BadGateway,
        title: "GitHub does not answer",
        text: "You are not signed in. Try again in a minute; www.githubstatus.com says how GitHub is.".to_owned(),
        link: AGAIN,
    }
}

fn database_away() -> Page {
    Page {
        status: Status::ServiceUnavailable,
        title: "This does not work just now",
        text: "The service's database is away. Try again in a minute.".to_owned(),
        link: AGAIN,
    }
}
