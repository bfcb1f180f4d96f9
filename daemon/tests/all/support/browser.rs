//! A real Chromium, steered through its own driver by the W3C's WebDriver protocol (www.w3.org/TR/webdriver2): JSON
//! over HTTP. No crate: those there are for it change how `serde_json` orders keys in the whole build under test.

use super::poll::eventually;
use base64::Engine as _;
use serde_json::{Value, json};
use std::{
    io::{Read as _, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// The name under which the protocol hands out elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// One window, with an empty profile of its own. Dropped, browser and driver end.
pub struct Browser {
    driver: Child,
    session: String,
    http: reqwest::Client,
    _profile: TempDir,
}

impl Browser {
    /// A window of this size, in CSS pixels.
    pub async fn open(width: u32, height: u32) -> Self {
        Self::with(width, height, &[]).await
    }

    /// The same, which finds a host's name (`http://name`) at an address of this machine (`http://127.0.0.1:port`).
    pub async fn finding(name: &str, at: &str, width: u32, height: u32) -> Self {
        let plain = |url: &str| url.trim_start_matches("http://").to_owned();
        Self::with(width, height, &[&format!("--host-resolver-rules=MAP {}:80 {}", plain(name), plain(at))]).await
    }

    async fn with(width: u32, height: u32, more: &[&str]) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let log = profile.path().join("driver.log");
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").stdin(Stdio::null()).stdout(std::fs::File::create(&log).unwrap()).stderr(Stdio::null());
        // Its own files, too, go into the folder that is removed.
        command.env("HOME", profile.path()).env("TMPDIR", profile.path());
        let driver = command.spawn().unwrap_or_else(|error| {
            panic!("chromedriver cannot be started ({error}): docker/setup.sh --tests installs it and chromium")
        });
        let port = eventually("chromedriver says its port", async || {
            let said = std::fs::read_to_string(&log).unwrap();
            said.split_once("started successfully on port ")?.1.split('.').next()?.parse::<u16>().ok()
        })
        .await;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut browser = Self { driver, session: format!("http://127.0.0.1:{port}/session"), http, _profile: profile };
        let data = browser._profile.path().join("data");
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
            "--no-proxy-server",
            "--hide-scrollbars",
            &format!("--window-size={width},{height}"),
            &format!("--user-data-dir={}", data.display()),
        ];
        let arguments = [&arguments, more].concat();
        let wanted = json!({"browserName": "chrome", "goog:chromeOptions": {"args": arguments}});
        let made = browser.call("POST", "", json!({"capabilities": {"alwaysMatch": wanted}})).await;
        browser.session = format!("{}/{}", browser.session, made["sessionId"].as_str().unwrap());
        browser
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> Value {
        let request = self.http.request(method.parse().unwrap(), format!("{}{path}", self.session));
        let request = if method == "GET" { request } else { request.json(&body) };
        let response = request.send().await.unwrap();
        let status = response.status();
        let answer: Value = response.json().await.unwrap();
        assert!(status.is_success(), "{method} {path}: {}", answer["value"]["message"]);
        answer["value"].clone()
    }

    pub async fn go_to(&self, url: &str) {
        self.call("POST", "/url", json!({"url": url})).await;
    }

    /// What a function's body answers in the page.
    pub async fn script(&self, body: &str) -> Value {
        self.call("POST", "/execute/sync", json!({"script": body, "args": []})).await
    }

    /// What a function's body answers in the page, through the callback that is its last argument.
    async fn script_later(&self, body: &str) -> Value {
        self.call("POST", "/execute/async", json!({"script": body, "args": []})).await
    }

    /// Gives the browser a cookie for the site that it is at.
    pub async fn cookie(&self, name: &str, value: &str) {
        let cookie = json!({"name": name, "value": value, "path": "/", "httpOnly": true, "sameSite": "Lax"});
        self.call("POST", "/cookie", json!({"cookie": cookie})).await;
    }

    /// Where the window is.
    pub async fn url(&self) -> String {
        self.call("GET", "/url", Value::Null).await.as_str().unwrap().to_owned()
    }

    /// Chooses an option of a list.
    pub async fn choose(&self, selector: &str, value: &str) {
        let set =
            format!("const list = document.querySelector('{selector}'); list.value = '{value}'; return list.value");
        assert_eq!(self.script(&set).await, value, "{selector} has no such option");
    }

    /// Presses one key (its code point in WebDriver, 17.4.2), wherever the focus is.
    pub async fn press(&self, key: char) {
        let keys = [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})];
        let actions = json!({"actions": [{"type": "key", "id": "keyboard", "actions": keys}]});
        self.call("POST", "/actions", actions).await;
    }

    /// Barriers that axe-core finds in the page and calls serious or critical: each with its rule and where it is.
    pub async fn barriers(&self) -> Vec<String> {
        let axe = super::test_tool("axe-core/axe.min.js");
        let axe = std::fs::read_to_string(axe).unwrap();
        self.script(&format!("{axe}; return typeof axe.run")).await;
        let found = self
            .script_later(
                "const done = arguments[arguments.length - 1]; \
                 axe.run().then(({ violations }) => done(violations.filter((it) => ['serious', 'critical'].includes(it.impact)) \
                 .flatMap((it) => it.nodes.map((node) => `${it.id}: ${node.html.slice(0, 200)} ${node.failureSummary}`))), \
                 (error) => done([String(error)]))",
            )
            .await;
        serde_json::from_value(found).unwrap()
    }

    /// All text that the page shows.
    pub async fn text(&self) -> String {
        self.script("return document.body.innerText").await.as_str().unwrap().to_owned()
    }

    async fn element(&self, selector: &str) -> String {
        let found = self.call("POST", "/element", json!({"using": "css selector", "value": selector})).await;
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    pub async fn click(&self, selector: &str) {
        let element = self.element(selector).await;
        self.call("POST", &format!("/element/{element}/click"), json!({})).await;
    }

    /// Types as a person does, key by key.
    pub async fn type_into(&self, selector: &str, text: &str) {
        let element = self.element(selector).await;
        self.call("POST", &format!("/element/{element}/value"), json!({"text": text})).await;
    }

    /// The value of a field.
    pub async fn value_of(&self, selector: &str) -> String {
        let element = self.element(selector).await;
        let value = self.call("GET", &format!("/element/{element}/property/value"), Value::Null).await;
        value.as_str().unwrap().to_owned()
    }

    /// The window as a PNG.
    pub async fn screenshot(&self, file: &Path) {
        let picture = self.call("GET", "/screenshot", Value::Null).await;
        let bytes = base64::engine::general_purpose::STANDARD.decode(picture.as_str().unwrap()).unwrap();
        std::fs::write(file, bytes).unwrap();
    }

    /// The page from its beginning to its end, as a PNG.
    pub async fn picture(&self, file: &Path) {
        let size = self.script("const all = document.documentElement; return [innerWidth, all.scrollHeight]").await;
        let clip = json!({"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1});
        let params = json!({"format": "png", "captureBeyondViewport": true, "clip": clip});
        let command = json!({"cmd": "Page.captureScreenshot", "params": params});
        let picture = self.call("POST", "/goog/cdp/execute", command).await;
        let bytes = base64::engine::general_purpose::STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        std::fs::write(file, bytes).unwrap();
    }

    /// A light or a dark page, on a screen of exactly this size.
    pub async fn prefer(&self, scheme: &str, width: u32, height: u32) {
        let tell = async |cmd: &str, params: Value| {
            self.call("POST", "/goog/cdp/execute", json!({"cmd": cmd, "params": params})).await;
        };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        tell("Emulation.setEmulatedMedia", features).await;
        let screen = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        tell("Emulation.setDeviceMetricsOverride", screen).await;
    }

    /// What the page's scripts complained of.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.call("POST", "/se/log", json!({"type": "browser"})).await;
        log.as_array().unwrap().iter().map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }
}

impl Browser {
    /// The driver closes the browser only when it is told; killed, it would leave it behind.
    fn end_session(&self) -> std::io::Result<()> {
        let (host, path) = self.session["http://".len()..].split_once('/').expect("an address with a path");
        let mut stream = std::net::TcpStream::connect(host)?;
        write!(stream, "DELETE /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
        // It answers when the browser has ended, and keeps the connection.
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.read(&mut [0; 512]).map(drop)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Also after a test that failed. If the driver is gone, there is nothing left to tell it.
        let _told = self.end_session();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.driver.id()).unwrap());
        let _gone = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        drop(self.driver.wait());
    }
}
