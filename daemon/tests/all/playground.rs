//! `make playground` as a new user tries it, in a real browser: a comment in the form, the proven culprit on the page,
//! and nothing left at the end. `BISECT_SCREENSHOTS=docs` writes the README's picture into that folder.

use crate::support::{Browser, Helper, eventually};
use github_lookalike::playground::{self, Daemon, Playground};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
};

struct Scene {
    playground: Playground,
    daemon: Daemon,
    address: String,
    folder: tempfile::TempDir,
    told: Arc<Mutex<Vec<String>>>,
}

async fn scene() -> Scene {
    let playground = playground::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), None).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&told);
    let tell = move |line: &str| kept.lock().unwrap().push(line.to_owned());
    let program = Path::new(env!("CARGO_BIN_EXE_bisectd"));
    let mut daemon = Daemon::start(program, &playground, folder.path(), tell).unwrap();
    let address = daemon.serves().await.unwrap_or_else(|error| panic!("{error}: {told:?}"));
    playground.send_webhooks_to(&format!("{address}/webhook"));
    Scene { playground, daemon, address, folder, told }
}

impl Scene {
    /// Ends both, and looks for what they may have left.
    async fn ends_clean(self, owner: &str) {
        let Self { playground, daemon, folder, told, .. } = self;
        let path = folder.path().to_owned();
        daemon.stop(std::future::pending()).await.unwrap();
        assert_eq!(processes(&path), Vec::<PathBuf>::new(), "processes");
        folder.close().unwrap();
        let label = format!("label=bisectd.owner={owner}");
        assert_eq!(docker(&["ps", "--all", "--quiet", "--filter", &label]), "", "containers");
        assert_eq!(docker(&["volume", "ls", "--quiet", "--filter", &label]), "", "volumes");
        assert_eq!(playground.world.violations(), Vec::<String>::new());
        playground.running.stop().await;
        let told = told.lock().unwrap();
        let usual = ["DATABASE_URL is not set", "starting the private PostgreSQL", "checking the database"];
        let expected = |line: &String| usual.iter().any(|start| line.starts_with(start));
        assert!(told.iter().all(expected), "the daemon warns of nothing else: {told:?}");
    }
}

/// Processes that have to do with this folder.
fn processes(folder: &Path) -> Vec<PathBuf> {
    let marker = folder.to_str().unwrap().as_bytes();
    let mentions =
        |file: PathBuf| std::fs::read(file).is_ok_and(|text| text.windows(marker.len()).any(|w| w == marker));
    let entries = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    entries.filter(|entry| mentions(entry.join("cmdline")) || mentions(entry.join("environ"))).collect()
}

/// The owner's label of what runs with a mirror of this folder.
fn owner(folder: &Path) -> Option<String> {
    let format = "{{.Label \"bisectd.owner\"}} {{.Mounts}}";
    let containers = docker(&["ps", "--no-trunc", "--filter", "label=bisectd.job", "--format", format]);
    let ours = containers.lines().find(|line| line.contains(folder.to_str().unwrap()))?;
    ours.split(' ').next().map(str::to_owned)
}

fn docker(args: &[&str]) -> String {
    String::from_utf8(Command::new("docker").args(args).output().unwrap().stdout).unwrap()
}

#[tokio::test]
async fn a_comment_on_the_page_becomes_a_proven_culprit_on_the_page() {
    let scene = scene().await;
    let culprit = scene.playground.culprit.clone().unwrap();
    let browser = Browser::open(1000, 1500).await;
    browser.go_to(&scene.playground.issue).await;
    assert!(browser.text().await.contains("Totals are wrong"), "{}", browser.text().await);

    browser.click(".hints button").await;
    assert_eq!(browser.value_of("textarea").await, scene.playground.comment);
    browser.click("button.primary").await;
    eventually("the comment is on the page", async || browser.text().await.contains("commented").then_some(())).await;
    let owner = eventually("its containers run", async || owner(scene.folder.path())).await;
    // Typed while the bot answers: no answer may take it away.
    browser.type_into("textarea", "Thanks, ").await;
    eventually("the culprit is on the page", async || {
        browser.text().await.contains("Culprit found and proven").then_some(())
    })
    .await;
    browser.type_into("textarea", "bot!").await;
    assert_eq!(browser.value_of("textarea").await, "Thanks, bot!");
    let text = browser.text().await;
    assert!(text.contains(&culprit[..12]) && text.contains("Totals without needless digits"), "{text}");
    assert!(text.contains("edited"), "one comment, edited in place: {text}");
    eventually("the comment has its eyes", async || {
        let eyes = browser.script("return document.querySelectorAll('.reaction[data-content=eyes]').length").await;
        (eyes == 1).then_some(())
    })
    .await;
    screenshots(&browser).await;
    links_lead_somewhere(&browser, &scene, &culprit).await;
    its_owners_see_it(&browser, &scene, &culprit).await;
    drop(browser);
    scene.ends_clean(&owner).await;
}

/// Whoever may write there signs in, and finds the repository and what was asked.
async fn its_owners_see_it(browser: &Browser, scene: &Scene, culprit: &str) {
    browser.go_to(&format!("{}/auth/github/login", scene.address)).await;
    let form = async || browser.script("return Boolean(document.querySelector('select[name=login]'))").await;
    eventually("the consent page", async || (form().await == true).then_some(())).await;
    browser.choose("select[name=login]", "ada").await;
    browser.click("button[value=authorize]").await;
    eventually("the dashboard shows the repository", async || {
        let text = browser.text().await;
        (text.contains("octo/shop") && text.contains(&culprit[..12])).then_some(())
    })
    .await;
}

/// The other process of the test below.
#[tokio::test]
#[ignore = "started by a_killed_playground_takes_its_daemon_with_it"]
async fn to_be_killed() {
    let Some(folder) = Helper::folder() else { return };
    let playground = playground::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), None).await.unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_bisectd"));
    let mut daemon = Daemon::start(program, &playground, &folder, |_| ()).unwrap();
    daemon.serves().await.unwrap();
    Helper::say("serving");
}

#[tokio::test]
async fn a_killed_playground_takes_its_daemon_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut helper = Helper::start("playground::to_be_killed", folder.path());
    helper.wait_for("serving");
    assert!(processes(folder.path()).len() > 2, "the helper, its daemon, PostgreSQL");
    helper.kill();
    eventually("all of it has ended", async || processes(folder.path()).is_empty().then_some(())).await;
}

/// What the README shows.
async fn screenshots(browser: &Browser) {
    let Some(folder) = std::env::var_os("BISECT_SCREENSHOTS") else { return };
    browser
        .script("document.querySelector('textarea').value = ''; document.activeElement.blur(); scrollTo(0, 0)")
        .await;
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    browser.screenshot(&docs.join("playground.png")).await;
}

async fn links_lead_somewhere(browser: &Browser, scene: &Scene, culprit: &str) {
    let links = browser.script("return [...document.querySelectorAll('.bot a')].map((a) => a.href)").await;
    let links: Vec<String> = serde_json::from_value(links).unwrap();
    let commit =
        links.iter().find(|link| link.ends_with(&format!("/commit/{culprit}"))).expect("a link to the culprit");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for link in &links {
        let status = client.get(link).send().await.unwrap().status();
        assert!(status.is_success(), "{link}: {status}");
    }
    browser.go_to(commit).await;
    let text = browser.text().await;
    assert!(text.contains("-    return round(total, 2)") && text.contains("+    return int(total)"), "{text}");
    browser.go_to(&scene.playground.running.url()).await;
    assert!(browser.text().await.contains("Totals are wrong"));
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}
