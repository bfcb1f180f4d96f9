//! The page of a job in a real browser, from running to the culprit without being loaded anew; and pictures of every page.
//! `BISECT_SCREENSHOTS=docs/images` writes them into that folder.

use super::Site;
use crate::support::{Browser, Hub, Project, eventually};
use std::path::Path;

#[tokio::test]
async fn the_page_of_a_job_goes_from_running_to_the_culprit_by_itself() {
    let hub = Hub::new(Project::linear(9), &[]).await;
    let service = hub.serve("one").await;
    let issue = hub.issue();
    let command =
        "/bisect c0 main printf '\\033[31mprobing %s\\033[0m\\n' \"$(cat n)\"; sleep 2; test \"$(cat n)\" -lt 5";
    let job = hub.job("ada", issue, command).await;
    let browser = Browser::open(1280, 900).await;
    browser.go_to(&format!("{}/jobs/{}", service.address, job.id)).await;
    browser.script("window.kept = 'kept'; document.querySelector('#history summary').focus()").await;
    eventually("its state is running", async || {
        let state = browser.script("return document.querySelector('[data-job]').dataset.status").await;
        (state == "running").then_some(())
    })
    .await;
    eventually("output with its colour", async || {
        browser
            .script("return [...document.querySelectorAll('.log .f1')].some((e) => e.textContent.includes('probing'))")
            .await
            .as_bool()
            .filter(|is| *is)
    })
    .await;
    picture(&browser, "job-running").await;
    browser.script("document.querySelector('#history summary').focus()").await;
    eventually("the culprit is on the page", async || {
        browser.text().await.contains("Culprit found and proven").then_some(())
    })
    .await;
    assert_eq!(browser.script("return window.kept").await, "kept", "the page was not loaded anew");
    let focus = browser.script("return document.activeElement.textContent").await;
    assert_eq!(focus, "History", "what had the focus has it still");
    let text = browser.text().await;
    let culprit = hub.world.project.sha("c5").short();
    assert!(text.contains(&culprit) && text.contains("The culprit") && text.contains("commit 5"), "{text}");
    eventually("the title says it", async || {
        browser.script("return document.title").await.as_str().filter(|title| title.contains("Culprit")).map(drop)
    })
    .await;
    let seen = browser.script("return document.querySelector('svg.strip title').textContent").await;
    assert!(seen.as_str().unwrap().contains("1 under suspicion"), "{seen}");
    picture(&browser, "job").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new(), "no error, and nothing against the policy");
    drop(browser);
    hub.end(service).await.ends_clean().await;
}

async fn picture(browser: &Browser, name: &str) {
    let Some(folder) = std::env::var_os("BISECT_SCREENSHOTS") else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    std::fs::create_dir_all(&folder).unwrap();
    browser.script("document.activeElement.blur(); scrollTo(0, 0)").await;
    browser.screenshot(&folder.join(format!("{name}.png"))).await;
}

#[tokio::test]
async fn every_page_fits_a_phone() {
    let site = Site::new().await;
    for (width, height) in [(390, 844), (1280, 900)] {
        let browser = Browser::open(width, height).await;
        for scheme in ["light", "dark"] {
            browser.prefer(scheme, width, height).await;
            let pages = [
                ("landing", "/"),
                ("dashboard", "/dashboard"),
                ("repository", "/repos/acme/open"),
                ("job-ended", "/jobs/3?probe=4"),
                ("docs", "/docs"),
                ("setup", "/setup"),
                ("not-found", "/jobs/999"),
            ];
            for (name, path) in pages {
                browser.go_to(&format!("{}{path}", site.service.address)).await;
                let over = browser.script("return document.documentElement.scrollWidth - innerWidth").await;
                assert!(over.as_i64().unwrap() <= 0, "{path} is {over} px wider than {width}");
                picture(&browser, &format!("{name}-{scheme}-{width}")).await;
            }
        }
    }
    site.hub.stop(site.service).await;
}
