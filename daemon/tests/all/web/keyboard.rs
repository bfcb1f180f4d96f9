//! The site by its keys alone: where the focus goes, and that it is seen.

use super::Site;
use crate::support::{Browser, eventually};

const TAB: char = '\u{E004}';
const ENTER: char = '\u{E007}';

/// What has the focus: its text or name, and whether somebody sees that it has it.
async fn focused(browser: &Browser) -> (String, bool) {
    let told = browser
        .script(
            "const it = document.activeElement; const style = getComputedStyle(it); const box = it.getBoundingClientRect(); \
             const inside = box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0; \
             const outlined = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2; \
             return [it.innerText || it.getAttribute('aria-label') || it.labels?.[0]?.innerText || it.tagName, inside && outlined]",
        )
        .await;
    (told[0].as_str().unwrap().trim().to_owned(), told[1].as_bool().unwrap())
}

/// Everything that the Tab key comes to, in its order.
async fn path(browser: &Browser) -> Vec<String> {
    let mut path = Vec::new();
    loop {
        browser.press(TAB).await;
        let (name, seen) = focused(browser).await;
        if name == "BODY" || browser.script("return document.activeElement === document.body").await == true {
            return path;
        }
        assert!(seen, "nobody sees that {name:?} has the focus, after {path:?}");
        assert!(path.len() < 100, "the focus does not come out again: {path:?}");
        path.push(name);
    }
}

#[tokio::test]
async fn every_control_is_reached_by_tab_in_the_order_of_the_page() {
    let site = Site::new().await;
    let ada = site.session(1).await;
    site.sql(
        "INSERT INTO bisect_jobs (id, installation_id, repository_id, good_sha, bad_sha, command, event_seq, available_at) \
         VALUES (20, 500, 1, repeat('a', 40), repeat('b', 40), '{true}', 1, now() + interval '1 day')",
    )
    .await;
    let browser = Browser::open(1280, 900).await;
    browser.go_to(&format!("{}/docs", site.service.address)).await;
    browser.cookie("bisect_session", ada.cookie.split_once('=').unwrap().1).await;

    browser.go_to(&format!("{}/dashboard", site.service.address)).await;
    let at_dashboard = path(&browser).await;
    let begin = ["Skip to content", "Bisect Bot", "Dashboard", "Docs", "Sign out"];
    assert_eq!(at_dashboard[..5], begin, "{at_dashboard:?}");
    let job = at_dashboard.iter().position(|name| name == "20").expect("the job's link");
    let how = at_dashboard.iter().position(|name| name == "All options").expect("a link of the last card");
    assert!(job < how, "{at_dashboard:?}");

    // Past the menu in one step.
    browser.go_to(&format!("{}/jobs/20", site.service.address)).await;
    browser.press(TAB).await;
    assert_eq!(focused(&browser).await, ("Skip to content".into(), true));
    browser.press(ENTER).await;
    eventually("the focus is in the page", async || {
        (browser.script("return document.activeElement.id").await == "main").then_some(())
    })
    .await;
    // From there to the button that cancels, and it does.
    for name in ["acme/secret", "Cancel"] {
        browser.press(TAB).await;
        assert_eq!(focused(&browser).await, (name.into(), true));
    }
    browser.press(ENTER).await;
    eventually("it is cancelled", async || browser.text().await.contains("Bisection cancelled").then_some(())).await;
    site.hub.stop(site.service).await;
}
