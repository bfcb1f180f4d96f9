//! `bisectd setup`, from the page on this machine over GitHub's form to a configuration with which everything works.

use crate::support::{Program, Project, Running, World, eventually};
use github_lookalike::{Lookalike, World as GitHub};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

const BASE_URL: &str = "https://bisect.example.com";

struct Scene {
    github: GitHub,
    running: github_lookalike::Running,
    folder: tempfile::TempDir,
    browser: reqwest::Client,
}

impl Scene {
    async fn new() -> Self {
        let github = GitHub::new().unwrap();
        github.add_user("ada");
        github.add_organization("octo");
        let running = Lookalike::start(&github).await.unwrap();
        let browser = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { github, running, folder: tempfile::tempdir().unwrap(), browser }
    }

    fn program(&self, more: &[&str]) -> Program {
        Program::new(self.folder.path())
            .args(["setup", "--base-url", BASE_URL, "--no-browser"])
            .args(more)
            .env("GITHUB_URL", self.running.url())
            .env("GITHUB_API_URL", self.running.url())
    }

    /// The address of the page, once it is told.
    async fn page(&self, setup: &Running) -> String {
        eventually("the page's address is told", async || {
            let said = setup.stdout();
            Some(said.lines().next()?.strip_prefix("open this page in a browser: ")?.to_owned())
        })
        .await
    }

    /// What somebody does who agrees: the form, as a browser sends it.
    async fn agree(&self, page: &str) -> reqwest::Response {
        let text = self.browser.get(page).send().await.unwrap().text().await.unwrap();
        let value = |before: &str| {
            let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before} in {text}"));
            rest.split_once('"')
                .unwrap()
                .0
                .replace("&quot;", "\"")
                .replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&amp;", "&")
        };
        let (action, manifest) = (value("action=\""), value("name=\"manifest\" value=\""));
        self.browser.post(action).form(&[("manifest", manifest)]).send().await.unwrap()
    }
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn an_app_is_made_and_what_was_written_is_a_configuration_that_works() {
    let scene = Scene::new().await;
    fs::write(scene.folder.path().join(".env"), "MAX_CONCURRENT_JOBS=2\n").unwrap();
    let setup = scene.program(&["--organization", "octo", "--private", "--name", "Octo Bisect"]).start();
    let page = scene.page(&setup).await;
    let stranger = scene.browser.get(format!("{page}made?code=theirs&state=guessed")).send().await.unwrap();
    assert_eq!(stranger.status(), 400);
    let answer = scene.agree(&page).await;
    assert_eq!(answer.status(), 200);
    let ran = setup.end().await.expect(0);
    assert!(ran.stdout.contains("left to do") && ran.stdout.contains("migrate up"), "{}", ran.stdout);

    let [(app, made)] = &scene.github.made_apps()[..] else { panic!("one App is made") };
    assert_eq!((app.slug.as_str(), made.is_public()), ("octo-bisect", false));
    assert_eq!(app.webhook_url.as_deref(), Some("https://bisect.example.com/webhook"));
    assert_eq!(app.callback_url.as_deref(), Some("https://bisect.example.com/auth/callback"));
    assert_eq!(made.setup_url(), Some("https://bisect.example.com/setup"));
    let permissions: Vec<_> = app.permissions.iter().map(|(name, level)| format!("{name}:{level}")).collect();
    assert_eq!(permissions, ["contents:read", "emails:read", "issues:write", "metadata:read", "pull_requests:write"]);

    let (env, key) = (scene.folder.path().join(".env"), scene.folder.path().join("secrets/private-key.pem"));
    assert_eq!((mode(&env), mode(&key), mode(key.parent().unwrap())), (0o600, 0o600, 0o700));
    let text = fs::read_to_string(&env).unwrap();
    assert!(text.starts_with("MAX_CONCURRENT_JOBS=2\n"), "what stood there stays");
    for secret in [&app.webhook_secret, &app.client_secret] {
        assert!(
            text.contains(secret.as_str())
                && !ran.stdout.contains(secret.as_str())
                && !ran.stderr.contains(secret.as_str())
        );
    }

    // With the database it is whole: the daemon's own check finds the App by its key.
    let world = World::new(Project::linear(2)).await;
    let doctor = Program::new(scene.folder.path())
        .args(["doctor"])
        .env("DATABASE_URL", world.db.url())
        .env("DATA_DIR", world.data_dir())
        .env("RUNNER_NETWORK", "none")
        .env("GITHUB_URL", scene.running.url())
        .env("GITHUB_API_URL", scene.running.url())
        .run()
        .await
        .expect(0);
    assert!(doctor.stdout.contains("knows the App"), "{}", doctor.stdout);
    assert!(!doctor.stdout.contains("FAIL"), "{}", doctor.stdout);

    // A second App in the same folder is a mistake, unless it is meant; keys that open what is stored are kept.
    let again = scene.program(&["--name", "Another"]).run().await.expect(2);
    assert!(again.stderr.contains("--replace"), "{}", again.stderr);
    let line = |text: &str, name: &str| text.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    let setup = scene.program(&["--name", "Another", "--replace"]).start();
    let page = scene.page(&setup).await;
    assert_eq!(scene.agree(&page).await.status(), 200);
    setup.end().await.expect(0);
    let after = fs::read_to_string(&env).unwrap();
    assert_eq!(line(&after, "ENCRYPTION_KEY="), line(&text, "ENCRYPTION_KEY="));
    assert_ne!(line(&after, "GITHUB_APP_ID="), line(&text, "GITHUB_APP_ID="));
    assert_eq!(after.matches("GITHUB_APP_ID=").count(), 1);
    assert!(scene.github.finish().await.is_ok(), "GitHub understood everything");
}

#[tokio::test]
async fn a_name_that_is_taken_is_told_by_github_and_a_code_is_good_once() {
    let scene = Scene::new().await;
    let setup = scene.program(&["--name", "First"]).start();
    let page = scene.page(&setup).await;
    assert_eq!(scene.agree(&page).await.status(), 200);
    setup.end().await.expect(0);
    let other = tempfile::tempdir().unwrap();
    let setup = scene.program(&["--name", "First", "--folder", other.path().to_str().unwrap()]).start();
    let page = scene.page(&setup).await;
    let refused = scene.agree(&page).await;
    assert_eq!(refused.status(), 422);
    assert!(refused.text().await.unwrap().contains("already taken"));
    // Somebody's own code is of no use.
    let text = scene.browser.get(&page).send().await.unwrap().text().await.unwrap();
    let state = text.split_once("state=").unwrap().1.split_once('"').unwrap().0.to_owned();
    scene.browser.get(format!("{page}made?code=0123&state={state}")).send().await.unwrap();
    let ran = setup.end().await.expect(3);
    assert!(ran.stderr.contains("begin anew"), "{}", ran.stderr);
    assert!(!other.path().join(".env").exists());
}

#[tokio::test]
async fn wrong_arguments_are_refused_before_anything_is_made() {
    let scene = Scene::new().await;
    for (arguments, says) in [
        (&["--port", "99999"][..], "--port"),
        (&["--organization", "a/b"][..], "login"),
        (&["--name", "a name that is much too long for GitHub"][..], "34"),
        (&["--folder", "/proc/nowhere"][..], "--folder"),
    ] {
        let ran = scene.program(&[]).args(arguments).run().await.expect(2);
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
    }
    assert!(scene.github.made_apps().is_empty());
}
