//! A new user's way, in a real browser, through the look-alike's own pages and with real jobs in containers: signs in,
//! installs the App, comments, watches the page of the job go to the culprit, cancels another one, signs out. Somebody
//! else, signed in too, sees nothing of it.

use super::looks::{look, picture};
use crate::support::{Browser, Hub, PATIENCE, Project, SITE, Service, eventually};
use github_lookalike::{NewRepository, Role};

/// Ada's private repository, on which the App is not yet.
const SHOP: &str = "acme/shop";

struct Scene {
    hub: Hub,
    service: Service,
    issue: i64,
    culprit: String,
    pull: i64,
}

impl Scene {
    async fn new() -> Self {
        let hub = Hub::new(Project::linear(9), &[]).await;
        hub.github.add_organization("acme");
        hub.github.add_user("grace");
        hub.github.add_repository(&NewRepository::new(SHOP).copied_from(hub.world.project.path()).private()).unwrap();
        hub.github.permission(SHOP, "ada", Some(Role::Admin)).unwrap();
        let service = hub.serve_with_signin("one").await;
        hub.github.set_setup_url(hub.app.id, &format!("{SITE}/setup"));
        let issue = hub.github.add_issue(SHOP, "ada", "Totals are wrong", "They were right once.").unwrap();
        let culprit = hub.world.project.sha("c5");
        let commits = [culprit.to_string()];
        let pull = hub.github.add_pull(SHOP, "ada", "Round totals", &commits, Some(&commits[0])).unwrap();
        Self { hub, service, issue, culprit: culprit.short(), pull }
    }

    async fn browser(&self) -> Browser {
        Browser::finding(SITE, &self.service.address, 1280, 900).await
    }

    fn issue_page(&self) -> String {
        format!("{}/{SHOP}/issues/{}", self.hub.running.url(), self.issue)
    }
}

/// From a page with a button for it, through GitHub's consent page.
async fn sign_in(browser: &Browser, login: &str) {
    browser.click("a[href^='/auth/github/login']").await;
    until(browser, "the consent page", "document.querySelector('select[name=login]')").await;
    browser.choose("select[name=login]", login).await;
    browser.click("button[value=authorize]").await;
    arrives(browser, SITE).await;
}

async fn until(browser: &Browser, what: &str, script: &str) {
    let asked = format!("return Boolean({script})");
    let waiting = async || browser.script(&asked).await.as_bool().filter(|is| *is);
    if tokio::time::timeout(PATIENCE * 9 / 10, eventually(what, waiting)).await.is_err() {
        panic!("waited in vain: {what}; the page says:\n{}", browser.text().await);
    }
}

/// Waits until a click has led where it leads.
async fn arrives(browser: &Browser, at: &str) {
    until(
        browser,
        &format!("it leads to {at}"),
        &format!("location.href.startsWith('{at}') && document.readyState === 'complete'"),
    )
    .await;
}

async fn status_is(browser: &Browser, status: &str) {
    let script = format!("document.querySelector('[data-job]')?.dataset.status === '{status}'");
    until(browser, &format!("the job is {status}"), &script).await;
}

#[tokio::test]
async fn a_new_user_goes_all_the_way_and_nobody_else_sees_it() {
    let scene = Scene::new().await;
    let ada = scene.browser().await;
    signs_in_and_installs(&scene, &ada).await;
    let job = asks_and_watches(&scene, &ada).await;
    let other = cancels_another(&scene, &ada).await;
    looks_around(&ada, job).await;
    nobody_else_sees(&scene, &[job, other]).await;
    signs_out_and_comes_back(&scene, &ada, job).await;
    drop(ada);
    for job in [job, other] {
        scene.hub.github.expect_comment(SHOP, scene.issue, &format!(":job:{job}:status:"));
    }
    scene.hub.end(scene.service).await.ends_clean().await;
}

async fn signs_in_and_installs(scene: &Scene, ada: &Browser) {
    ada.go_to(&format!("{SITE}/")).await;
    assert!(ada.text().await.contains("Which commit broke it?"));
    // Who does not consent is told what that means, and may try again.
    ada.click("a[href^='/auth/github/login']").await;
    until(ada, "the consent page", "document.querySelector('button[value=cancel]')").await;
    ada.click("button[value=cancel]").await;
    arrives(ada, &format!("{SITE}/auth/callback")).await;
    assert!(ada.text().await.contains("You did not allow it"), "{}", ada.text().await);
    look(ada, "sign-in-denied").await;
    ada.prefer("light", 1280, 900).await;
    sign_in(ada, "ada").await;
    arrives(ada, &format!("{SITE}/dashboard")).await;
    let text = ada.text().await;
    assert!(text.contains("ada") && text.contains("None yet"), "{text}");
    assert_eq!(ada.barriers().await, Vec::<String>::new(), "the empty dashboard");
    picture(ada, "dashboard-empty").await;

    ada.click("main a[href$='/installations/new']").await;
    ada.choose("select[name=account]", "acme").await;
    ada.choose("select[name=user]", "ada").await;
    ada.click("button.primary").await;
    arrives(ada, &format!("{SITE}/setup?installation_id=")).await;
    assert!(ada.text().await.contains("Bisect Bot is installed"));
    look(ada, "setup").await;
    ada.prefer("light", 1280, 900).await;
    scene.hub.settled_deliveries().await;
    eventually("the dashboard lists the repository", async || {
        ada.go_to(&format!("{SITE}/dashboard")).await;
        ada.text().await.contains(SHOP).then_some(())
    })
    .await;
}

/// Answers the job's number.
async fn asks_and_watches(scene: &Scene, ada: &Browser) -> i64 {
    ada.go_to(&scene.issue_page()).await;
    ada.type_into(
        "textarea",
        "/bisect --path n c0 main printf '\\033[31mtotal of %s\\033[0m\\n' \"$(cat n)\"; sleep 1; test \"$(cat n)\" -lt 5",
    )
    .await;
    ada.choose("form select[name=user]", "ada").await;
    ada.click("button.primary").await;
    until(ada, "the bot answers with a link to the job", "document.querySelector('.bot a[href*=\"/jobs/\"]')").await;
    ada.click(".bot a[href*='/jobs/']").await;
    arrives(ada, &format!("{SITE}/jobs/")).await;
    let url = ada.url().await;
    let job: i64 = url.rsplit('/').next().unwrap().parse().unwrap_or_else(|_| panic!("{url}"));
    assert_eq!(url, format!("{SITE}/jobs/{job}"));

    ada.script("window.kept = 'kept'").await;
    status_is(ada, "running").await;
    until(ada, "output comes, in its colour", "document.querySelector('[data-live-log] .f1')").await;
    picture(ada, "job-running").await;
    status_is(ada, "completed").await;
    until(ada, "the pull request is there", "document.querySelector('#result a[href*=\"/pull/\"]')").await;
    assert_eq!(ada.script("return window.kept").await, "kept", "the page was not loaded anew");
    let text = ada.text().await;
    for said in
        ["Culprit found and proven", &scene.culprit, "commit 5", "Round totals", "--path n", "Its parent", "completed"]
    {
        assert!(text.contains(said), "{said} is not on it: {text}");
    }
    assert!(text.contains(&format!("pull request {}", scene.pull)), "{text}");
    let label = ada.script("return document.querySelector('svg.strip title').textContent").await;
    assert!(label.as_str().unwrap().contains("the culprit"), "{label}");
    until(ada, "nothing more is listened for", "document.querySelector('[data-job]').dataset.settled === 'true'").await;
    look(ada, "job-culprit").await;
    ada.prefer("light", 1280, 900).await;
    job
}

/// Answers the job's number. Its row comes to the open dashboard by itself.
async fn cancels_another(scene: &Scene, ada: &Browser) -> i64 {
    ada.go_to(&format!("{SITE}/dashboard")).await;
    ada.script("window.kept = 'kept'").await;
    scene.hub.github.comment("ada", SHOP, scene.issue, "/bisect c0 main sleep 600").await.unwrap();
    until(ada, "the second job comes to the list", "document.querySelectorAll('#jobs tbody tr').length === 2").await;
    assert_eq!(ada.script("return window.kept").await, "kept", "the page was not loaded anew");
    ada.click("#jobs tbody a[href^='/jobs/']").await;
    status_is(ada, "running").await;
    let job: i64 =
        ada.script("return document.querySelector('[data-job]').dataset.job").await.as_str().unwrap().parse().unwrap();
    ada.click("form[action$='/cancel'] button").await;
    status_is(ada, "cancelled").await;
    let text = ada.text().await;
    assert!(text.contains("Bisection cancelled") && text.contains("Cancelled by ada"), "{text}");
    assert!(text.contains("Run again"), "{text}");
    look(ada, "job-cancelled").await;
    job
}

async fn looks_around(ada: &Browser, job: i64) {
    for (name, path) in [
        ("landing", "/"),
        ("dashboard", "/dashboard"),
        ("repository", "/repos/acme/shop"),
        ("docs", "/docs"),
        ("not-found", "/jobs/999"),
    ] {
        ada.go_to(&format!("{SITE}{path}")).await;
        let header = ada.script("return document.querySelector('header').innerText").await;
        assert!(header.as_str().unwrap().contains("Sign out"), "{path}: {header}");
        look(ada, name).await;
    }
    ada.prefer("light", 1280, 900).await;
    ada.go_to(&format!("{SITE}/jobs/{job}")).await;
    // Pages that are not there were asked for on purpose; nothing else went wrong, and nothing was against the policy.
    let complaints = ada.complaints().await;
    let own: Vec<_> = complaints.iter().filter(|it| !it.contains("the server responded with a status of 40")).collect();
    assert!(own.is_empty(), "{own:?}");
}

async fn nobody_else_sees(scene: &Scene, jobs: &[i64]) {
    let grace = scene.browser().await;
    grace.go_to(&format!("{SITE}/")).await;
    sign_in(&grace, "grace").await;
    grace.go_to(&format!("{SITE}/dashboard")).await;
    let text = grace.text().await;
    assert!(text.contains("grace") && text.contains("None yet") && text.contains("No bisection yet"), "{text}");
    let hidden = ["acme", "Totals", "Round totals", &scene.culprit];
    let mut paths = vec![format!("/repos/{SHOP}"), "/api/jobs".into(), "/api/repos".into(), "/api/usage".into()];
    for job in jobs {
        let below = ["", "?probe=1"].map(|rest| format!("/jobs/{job}{rest}"));
        let api = ["", "/log", "/log?format=json", "/log/events"].map(|rest| format!("/api/jobs/{job}{rest}"));
        paths.extend(below.into_iter().chain(api).chain([format!("/api/events?job={job}"), format!("/job/{job}")]));
    }
    for path in paths {
        let lists = path.starts_with("/api/") && !path.contains(|c: char| c.is_ascii_digit());
        let answer = grace
            .script(&format!(
                "const ask = new XMLHttpRequest(); ask.open('GET', '{path}', false); \
                 ask.setRequestHeader('Accept', 'text/html'); ask.send(); return [ask.status, ask.responseText]"
            ))
            .await;
        assert_eq!(answer[0], if lists { 200 } else { 404 }, "{path}: {answer}");
        assert!(!hidden.iter().any(|word| answer[1].as_str().unwrap().contains(word)), "{path}: {answer}");
    }
}

async fn signs_out_and_comes_back(scene: &Scene, ada: &Browser, job: i64) {
    let page = format!("{SITE}/jobs/{job}");
    ada.click("header form[action='/auth/logout'] button").await;
    until(ada, "she is signed out", "location.pathname === '/' && !document.querySelector('.user')").await;
    eventually("GitHub takes the token no more", async || scene.hub.github.user_tokens().len().lt(&3).then_some(()))
        .await;
    ada.go_to(&page).await;
    assert!(ada.text().await.contains("Not found"));
    sign_in(ada, "ada").await;
    // Signing in leads back to the page.
    arrives(ada, &page).await;
    assert!(ada.text().await.contains("Culprit found and proven"));
}
