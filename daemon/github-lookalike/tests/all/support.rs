//! A world with one App on one account, and a client that speaks for it.

use github_lookalike::{Lookalike, NewApp, NewRepository, Role, Running, World};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

pub struct Scene {
    pub world: World,
    pub app: NewApp,
    pub installation: i64,
    pub issue: i64,
    pub shas: Vec<String>,
    pub running: Running,
    pub http: Client,
}

/// `octo/calc` with three commits, the issue 1, ada who may write, and the App installed on all of octo.
pub async fn scene() -> Scene {
    let world = World::new().unwrap();
    let app = world.add_app("bisect-bot", "octo").unwrap();
    let source = tempfile::tempdir().unwrap();
    let shas = history(source.path());
    world.add_repository(&NewRepository::new("octo/calc").copied_from(source.path())).unwrap();
    world.permission("octo/calc", "ada", Some(Role::Maintain)).unwrap();
    let installation = world.install(app.id, "octo", None).unwrap();
    let issue = world.add_issue("octo/calc", "ada", "add() is wrong", "Since v1.").unwrap();
    world.add_pull("octo/calc", "ada", "Faster", &shas[1..2], Some(&shas[1])).unwrap();
    let running = Lookalike::start(&world).await.unwrap();
    let http = Client::builder().user_agent("tests").no_proxy().redirect(reqwest::redirect::Policy::none());
    Scene { world, app, installation, issue, shas, running, http: http.build().unwrap() }
}

fn history(folder: &Path) -> Vec<String> {
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.current_dir(folder).args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]).args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(&["init", "-q", "-b", "main"]);
    (1..=3)
        .map(|n| {
            std::fs::create_dir_all(folder.join(".github")).unwrap();
            std::fs::write(folder.join(".github/bisect.yml"), "image: python:3\n").unwrap();
            std::fs::write(folder.join("calc.py"), format!("# {n}\n")).unwrap();
            git(&["add", "."]);
            git(&["commit", "-qm", &format!("change {n}")]);
            git(&["tag", &format!("v{n}")]);
            git(&["rev-parse", "HEAD"])
        })
        .collect()
}

impl Scene {
    pub fn jwt(&self, iat: i64, exp: i64) -> String {
        let now = chrono::Utc::now().timestamp();
        let claims = json!({"iss": self.app.id.to_string(), "iat": now + iat, "exp": now + exp});
        let key = EncodingKey::from_rsa_pem(self.app.private_key.as_bytes()).unwrap();
        jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key).unwrap()
    }

    pub async fn token(&self, narrowing: Value) -> String {
        let path = format!("/app/installations/{}/access_tokens", self.installation);
        let answer = self.call(Method::POST, &path, &self.jwt(-30, 540), Some(narrowing)).await;
        assert_eq!(answer.status(), StatusCode::CREATED);
        answer.json::<Value>().await.unwrap()["token"].as_str().unwrap().to_owned()
    }

    pub async fn call(&self, method: Method, path: &str, token: &str, body: Option<Value>) -> Response {
        self.try_call(method, path, token, body).await.unwrap()
    }

    pub async fn try_call(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<Value>,
    ) -> reqwest::Result<Response> {
        let mut request = self.http.request(method, format!("{}{path}", self.running.url()));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await
    }

    pub async fn status(&self, method: Method, path: &str, token: &str, body: Option<Value>) -> u16 {
        self.call(method, path, token, body).await.status().as_u16()
    }
}
