//! A GitHub that gives out tokens, and for the rest answers what a test says.

use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode},
    response::Response,
};
use bisectd::github::{Clock, Github, GithubSettings, RepositoryRef};
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use secrecy::SecretString;
use serde_json::{Value, json};
use std::{
    process::Command,
    sync::{Arc, LazyLock, Mutex},
};

pub const APP: u64 = 4711;

/// A call that arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: Method,
    pub path: String,
    pub authorization: String,
    pub body: Value,
}

/// What a test answers: status, headers, body.
pub type Answer = (u16, Vec<(&'static str, String)>, String);
type Script = dyn Fn(&Seen) -> Answer + Send + Sync;

#[derive(Clone)]
pub struct Scripted {
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    script: Arc<Script>,
    /// GitHub's own clock, relative to this machine's.
    ahead: TimeDelta,
    pub token_life: TimeDelta,
}

/// A private key as GitHub hands it out, and its public half.
pub static KEYS: LazyLock<(String, String)> = LazyLock::new(|| {
    let openssl = |args: &[&str]| {
        let ran = Command::new("openssl").args(args).output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
        String::from_utf8(ran.stdout).unwrap()
    };
    let private = openssl(&["genrsa", "-traditional", "2048"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.pem");
    std::fs::write(&file, &private).unwrap();
    (private, openssl(&["rsa", "-in", file.to_str().unwrap(), "-pubout"]))
});

pub fn json_answer(status: u16, body: &Value) -> Answer {
    (status, Vec::new(), body.to_string())
}

pub fn repository() -> RepositoryRef {
    RepositoryRef { installation: 7, id: 42, owner: "octo".into(), name: "calc".into() }
}

impl Scripted {
    pub async fn start(script: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self::with(TimeDelta::zero(), TimeDelta::hours(1), script).await
    }

    pub async fn with(
        ahead: TimeDelta,
        token_life: TimeDelta,
        script: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let github = Self { url, seen: Arc::default(), script: Arc::new(script), ahead, token_life };
        let app = Router::new().fallback(answer).with_state(github.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        github
    }

    pub fn settings(&self) -> GithubSettings {
        GithubSettings::new(&self.url, APP.to_string(), SecretString::from(KEYS.0.clone()))
    }

    pub fn client(&self) -> Github {
        Github::new(&self.settings()).unwrap()
    }

    pub fn client_at(&self, clock: Clock) -> Github {
        Github::new(&GithubSettings { clock, ..self.settings() }).unwrap()
    }

    /// What arrived, without the requests for tokens.
    pub fn seen(&self) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap().clone();
        seen.into_iter().filter(|call| !call.path.ends_with("/access_tokens")).collect()
    }

    /// The requests for tokens that arrived.
    pub fn token_requests(&self) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap().clone();
        seen.into_iter().filter(|call| call.path.ends_with("/access_tokens")).collect()
    }

    fn now(&self) -> DateTime<Utc> {
        Utc::now() + self.ahead
    }

    /// What GitHub checks of a JWT, by its own clock.
    fn refuses_jwt(&self, call: &Seen) -> Option<Answer> {
        let jwt = call.authorization.strip_prefix("Bearer ").unwrap_or_default();
        let mut validation = Validation::new(Algorithm::RS256);
        validation.validate_exp = false;
        let key = DecodingKey::from_rsa_pem(KEYS.1.as_bytes()).unwrap();
        let refusal = |message: &str| Some(json_answer(401, &json!({ "message": message })));
        let Ok(decoded) = jsonwebtoken::decode::<Value>(jwt, &key, &validation) else {
            return refusal("A JSON web token could not be decoded");
        };
        let number = |name: &str| decoded.claims[name].as_i64().unwrap_or_default();
        let now = self.now().timestamp();
        if decoded.claims["iss"] != APP {
            return refusal("Integration not found");
        }
        if number("iat") > now || number("exp") <= now || number("exp") > now + 600 {
            return refusal("'Expiration time' claim ('exp') is too far in the future");
        }
        None
    }

    fn grant(&self, call: &Seen) -> Answer {
        let number = self.token_requests().len();
        let expires = (self.now() + self.token_life).to_rfc3339();
        let scripted = (self.script)(call);
        if scripted.0 != 501 {
            return scripted;
        }
        json_answer(201, &json!({ "token": format!("ghs_t0psecret{number}"), "expires_at": expires }))
    }
}

/// For calls of which a test says nothing.
pub fn unscripted() -> Answer {
    json_answer(501, &json!({ "message": "not in this test" }))
}

async fn answer(State(github): State<Scripted>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let bytes: Bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let text = |headers: &HeaderMap, name: &str| headers.get(name).map(|v| v.to_str().unwrap().to_owned());
    let call = Seen {
        method: parts.method,
        path: parts.uri.path_and_query().unwrap().to_string(),
        authorization: text(&parts.headers, "authorization").unwrap_or_default(),
        body: serde_json::from_slice(&bytes).unwrap_or_default(),
    };
    assert!(text(&parts.headers, "user-agent").unwrap().starts_with("bisect-bot/"));
    github.seen.lock().unwrap().push(call.clone());
    let as_app = call.path.starts_with("/app");
    let (status, headers, body) = match as_app.then(|| github.refuses_jwt(&call)).flatten() {
        Some(refusal) => refusal,
        None if call.path.ends_with("/access_tokens") => github.grant(&call),
        None => (github.script)(&call),
    };
    let date = github.now().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let mut response = Response::builder().status(StatusCode::from_u16(status).unwrap()).header("date", date);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(body.into()).unwrap()
}
