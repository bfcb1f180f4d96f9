//! The page of a job in a real browser, from running to the culprit without being loaded anew; and every page as those
//! see it who are not signed in.

use super::{Site, looks::look};
use crate::support::{Browser, Hub, Project, eventually};

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
    assert!(seen.as_str().unwrap().contains("the culprit"), "{seen}");
    assert_eq!(browser.complaints().await, Vec::<String>::new(), "no error, and nothing against the policy");
    drop(browser);
    hub.end(service).await.ends_clean().await;
}

#[tokio::test]
async fn every_public_page_fits_every_screen_and_keeps_nobody_out() {
    let site = Site::new().await;
    let browser = Browser::open(1280, 900).await;
    for (name, path) in [
        ("public-landing", "/"),
        ("public-dashboard", "/dashboard"),
        ("public-repository", "/repos/acme/open"),
        ("public-job", "/jobs/3?probe=4"),
        ("public-docs", "/docs"),
        ("public-not-found", "/jobs/999"),
        ("public-sign-in-off", "/auth/github/login"),
    ] {
        browser.go_to(&format!("{}{path}", site.service.address)).await;
        look(&browser, name).await;
    }
    site.hub.stop(site.service).await;
}
