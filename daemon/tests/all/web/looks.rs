//! How a page looks: pictures of it (`BISECT_SCREENSHOTS=docs/images` writes them into that folder), and what holds for
//! each in every size and colour: nothing sticks out, and nobody is kept out.

use crate::support::Browser;
use std::path::Path;

/// A phone and a desk, in CSS pixels.
const SCREENS: [(u32, u32); 2] = [(390, 844), (1280, 900)];

/// Looks at a page on every screen, light and dark.
pub async fn look(browser: &Browser, name: &str) {
    for (width, height) in SCREENS {
        for scheme in ["light", "dark"] {
            browser.prefer(scheme, width, height).await;
            let over = browser.script("return document.documentElement.scrollWidth - innerWidth").await;
            assert!(over.as_i64().unwrap() <= 0, "{name} is {over} px wider than {width}");
            assert_eq!(browser.barriers().await, Vec::<String>::new(), "{name}, {scheme}, {width} px");
            picture(browser, &format!("{name}-{scheme}-{width}")).await;
        }
    }
}

/// The whole page, down to its end.
pub async fn picture(browser: &Browser, name: &str) {
    let Some(folder) = std::env::var_os("BISECT_SCREENSHOTS") else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    std::fs::create_dir_all(&folder).unwrap();
    browser.script("document.activeElement.blur(); scrollTo(0, 0)").await;
    browser.picture(&folder.join(format!("{name}.png"))).await;
}
