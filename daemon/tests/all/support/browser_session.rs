//! A browser without scripts: it keeps cookies, goes where it is sent, and signs people in through the real routes.

use super::{hub::Hub, program::Program, service::Service};
use bisectd::signin::SESSION_LIFETIME;
use reqwest::{Client, RequestBuilder, Response, Url, redirect::Policy};
use serde_json::Value;

/// `BASE_URL` of services that people sign in to; a [`BrowserSession`] finds them there.
pub const SITE: &str = "http://bisect.example.com";

/// One person's browser, at one service.
pub struct BrowserSession {
    /// Keeps the cookies, and follows no redirects.
    pub client: Client,
}

impl Hub {
    /// A service that people can sign in to.
    pub fn program_with_signin(&self, name: &str) -> Program {
        self.github.set_callback_url(self.app.id, &format!("{SITE}/auth"));
        self.program(name)
            .env("BASE_URL", SITE)
            .env("GITHUB_CLIENT_ID", &self.app.client_id)
            .env("GITHUB_CLIENT_SECRET", &self.app.client_secret)
            .env("SESSION_SECRET", "5e".repeat(32))
            .env("ENCRYPTION_KEY", "e0".repeat(32))
    }

    pub async fn serve_with_signin(&self, name: &str) -> Service {
        self.serve_program(self.program_with_signin(name)).await
    }
}

impl BrowserSession {
    /// Nobody is signed in.
    pub fn new(service: &Service) -> Self {
        let address = service.address.trim_start_matches("http://").parse().unwrap();
        let client = Client::builder().no_proxy().cookie_store(true).redirect(Policy::none());
        let client = client.resolve("bisect.example.com", address).build().unwrap();
        Self { client }
    }

    /// `login` is signed in.
    pub async fn of(service: &Service, login: &str) -> Self {
        let browser = Self::new(service);
        assert_eq!(browser.sign_in(login, None).await, "/dashboard");
        browser
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{SITE}{path}"))
    }

    pub fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{SITE}{path}"))
    }

    /// What the service says of who is signed in; null for nobody.
    pub async fn session(&self) -> Value {
        let text = self.get("/auth/session").send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The login of who is signed in.
    pub async fn login(&self) -> Option<String> {
        self.session().await["login"].as_str().map(str::to_owned)
    }

    /// What this session's forms send back.
    pub async fn csrf(&self) -> String {
        self.session().await["csrf"].as_str().expect("somebody is signed in").to_owned()
    }

    /// Signs out with a form of the service's own; answers the status.
    pub async fn sign_out(&self, everywhere: bool) -> u16 {
        let (csrf, everywhere) = (self.csrf().await, everywhere.to_string());
        let form = [("csrf", csrf.as_str()), ("everywhere", &everywhere)];
        self.post("/auth/logout").form(&form).send().await.unwrap().status().as_u16()
    }

    /// The consent page's address, as the browser is sent there.
    pub async fn to_github(&self, next: Option<&str>) -> Url {
        let request = self.get("/auth/github/login").query(&next.map(|next| [("next", next)]));
        location(&request.send().await.unwrap())
    }

    /// Consents there as `login`, or cancels; answers where the browser is sent back to.
    pub async fn consent(&self, page: Url, login: &str, decision: &str) -> Url {
        assert_eq!(self.client.get(page.clone()).send().await.unwrap().status(), 200);
        let form = [("login", login), ("decision", decision)];
        let back = location(&self.client.post(page).form(&form).send().await.unwrap());
        assert!(back.as_str().starts_with(SITE), "{back}");
        back
    }

    /// Signs in, and answers the path it ends on.
    pub async fn sign_in(&self, login: &str, next: Option<&str>) -> String {
        let back = self.consent(self.to_github(next).await, login, "authorize").await;
        let response = self.client.get(back).send().await.unwrap();
        assert_eq!(response.status(), 303, "{}", response.text().await.unwrap());
        response.headers()["location"].to_str().unwrap().to_owned()
    }

    /// Status and text of what the browser is shown at an address.
    pub async fn shown(&self, url: Url) -> (u16, String) {
        let response = self.client.get(url).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }
}

/// Where a response sends the browser.
pub fn location(response: &Response) -> Url {
    let to = response.headers().get("location").unwrap_or_else(|| panic!("{response:?}"));
    Url::parse(to.to_str().unwrap()).unwrap()
}

/// The cookie that a response gives under this name, with all that is said of it.
pub fn cookie(response: &Response, name: &str) -> Option<String> {
    let cookies = response.headers().get_all("set-cookie").iter();
    cookies.map(|cookie| cookie.to_str().unwrap().to_owned()).find(|cookie| cookie.starts_with(&format!("{name}=")))
}

/// Seconds that a session lives, as browsers are told.
pub fn lifetime() -> String {
    format!("Max-Age={}", SESSION_LIFETIME.as_secs())
}
