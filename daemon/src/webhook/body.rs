//! The guard of the route: nothing of a body is looked at before its signature was found good.

use super::{Refused, Webhook};
use crate::web::address;
use rocket::{
    Request,
    data::{Data, FromData, Outcome, ToByteUnit},
    tokio::io::AsyncReadExt,
};

/// GitHub's own limit for payloads.
const LARGEST: usize = 25 * 1024 * 1024;

/// How much of a body that is too large is still read, so that its sender hears why it was refused.
const DRAINED: usize = 64 * 1024 * 1024;

/// The longest delivery id and event name that are taken; GitHub's are 36 and about 40.
const LONGEST_NAME: usize = 200;

/// A signed body, with the headers that say what it is.
pub(super) struct Body {
    /// `X-GitHub-Delivery`.
    pub(super) id: String,
    /// `X-GitHub-Event`.
    pub(super) event: String,
    /// As received.
    pub(super) bytes: Vec<u8>,
}

#[rocket::async_trait]
impl<'r> FromData<'r> for Body {
    type Error = Refused;

    async fn from_data(request: &'r Request<'_>, data: Data<'r>) -> Outcome<'r, Self> {
        match take(request, data).await {
            Ok(body) => Outcome::Success(body),
            Err(refused) => Outcome::Error((refused.status(), refused)),
        }
    }
}

async fn take(request: &Request<'_>, data: Data<'_>) -> Result<Body, Refused> {
    let Some(webhook) = request.rocket().state::<Webhook>() else { return Err(Refused::Unavailable) };
    let Some(secrets) = &webhook.secrets else {
        return Err(unsigned(request, "this server has no GITHUB_WEBHOOK_SECRET, so it takes no webhooks"));
    };
    let Some(signature) = request.headers().get_one("X-Hub-Signature-256") else {
        return Err(unsigned(request, "the header X-Hub-Signature-256 is missing"));
    };
    let bytes = read(data).await?;
    if !secrets.verify(signature, &bytes) {
        return Err(unsigned(request, "X-Hub-Signature-256 is not the signature of this body"));
    }
    if !request.content_type().is_some_and(|kind| kind.is_json()) {
        let hint = "the content type is not application/json: choose it in the App's webhook settings";
        return Err(Refused::Wrong(hint.to_owned()));
    }
    Ok(Body { id: header(request, "X-GitHub-Delivery")?, event: header(request, "X-GitHub-Event")?, bytes })
}

/// Who sends what is not signed may do so only now and then.
fn unsigned(request: &Request<'_>, why: &'static str) -> Refused {
    if address::allows(request) { Refused::Unsigned(why) } else { Refused::TooMany }
}

fn header(request: &Request<'_>, name: &'static str) -> Result<String, Refused> {
    match request.headers().get_one(name) {
        None | Some("") => Err(Refused::Wrong(format!("the header {name} is missing"))),
        Some(value) if value.len() > LONGEST_NAME || !value.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(Refused::Wrong(format!("the header {name} is not what GitHub sends")))
        }
        Some(value) => Ok(value.to_owned()),
    }
}

/// By what comes, whatever Content-Length says.
async fn read(data: Data<'_>) -> Result<Vec<u8>, Refused> {
    let mut stream = data.open(DRAINED.bytes());
    let mut bytes = Vec::new();
    let broken = |error: std::io::Error| Refused::Wrong(format!("the body ended early: {error}"));
    (&mut stream).take(LARGEST as u64 + 1).read_to_end(&mut bytes).await.map_err(broken)?;
    if bytes.len() <= LARGEST {
        return Ok(bytes);
    }
    drop(bytes);
    // A sender that goes away meanwhile hears nothing, and that is its own choice.
    let _ = rocket::tokio::io::copy(&mut stream, &mut rocket::tokio::io::sink()).await;
    Err(Refused::TooLarge)
}
