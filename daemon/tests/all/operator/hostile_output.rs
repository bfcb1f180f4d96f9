//! A program that speaks to the terminal, and not to its reader.

use super::terminal::Terminal;
use crate::support::{Project, Service, World, eventually};

/// Window title, clipboard, cursor and screen (7 and 8 bits), the other character set, a device's report, scrolling region,
/// bidirectional override, and a line of 10 MB.
const HOSTILE: &str = "printf '\\033]0;PWNED-TITLE\\007\\033]52;c;UFdORUQ=\\007\\033[2J\\033[1;1HPWNED-AT-THE-TOP\\n'; \
    printf '\\2332J\\2331;1H\\233?1049lPWNED-8-BIT\\n\\235''0;PWNED-TITLE\\234\\n'; \
    printf '\\033(0\\016lqqk\\017\\033[c\\033[6n\\033[1;3r\\033[?1000l\\033c\\n'; \
    printf 'safe \\342\\200\\256detrevni\\342\\200\\254 text\\n'; \
    head -c 10000000 /dev/zero | tr '\\0' x; printf '\\nTHE-LAST-LINE\\n'; test $(cat n) -lt 2";

#[tokio::test(flavor = "multi_thread")]
async fn hostile_output_changes_nothing_outside_its_pane() {
    let world = World::new(Project::linear(3)).await;
    let (one, two) = (Service::start(world.serve("one")).await, Service::start(world.serve("two")).await);
    let Some(console) = Terminal::open(&world, "one", "two").await else { return };
    let titles = "#{pane_title}#{alternate_on}#{mouse_any_flag}#{scroll_region_upper}";
    let before = console.told(titles);
    let job = world.enqueue(HOSTILE).await;
    console.shows("▌").await;
    console.command(&format!("job {job}")).await;
    console.types("l");
    let shown = console.shows("THE-LAST-LINE").await;
    console.types("g");
    let top = console.shows("PWNED-AT-THE-TOP").await;
    for screen in [&shown, &top] {
        let (first, last) = (screen.lines().next().unwrap(), screen.lines().last().unwrap());
        assert!(first.contains("1 Jobs  2 Servers"), "{screen}");
        assert!(last.contains("? help"), "{screen}");
        assert!(!screen.contains('\u{202e}') && !screen.contains("┌──┐"), "{screen}");
    }
    assert!(!top.lines().next().unwrap().contains("PWNED"), "{top}");
    assert_eq!(console.told(titles), before, "title, screen, mouse and scrolling are as they were");
    assert_eq!(console.clipboard(), "", "nothing was put into the clipboard");
    // What was asked of the terminal was not answered, as keys.
    assert!(top.contains("● live"), "{top}");
    console.types("?");
    console.shows("› Help").await;
    console.key("Escape");
    // One's own copy goes there.
    console.types("gy");
    let copied = async || (!console.clipboard().is_empty()).then_some(());
    eventually("a line is copied", copied).await;
    console.types("G");
    console.shows("complete").await;
    console.quit().await;
    one.stop().await;
    two.stop().await;
    world.ends_clean().await;
}
