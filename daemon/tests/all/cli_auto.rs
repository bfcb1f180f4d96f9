//! `auto` in the place of the good end: releases are tried until one passes, and the search goes on from there; also after a
//! crash in between.

use crate::support::{Hub, Project, World, eventually};
use bisect_shared::Purpose;

/// Forty commits with a release at every fourth; what is no release is no station.
fn project() -> Project {
    let project = Project::linear(40);
    for number in (0..40).step_by(4) {
        project.git(&["tag", &format!("v0.{number}"), &format!("c{number}")]);
    }
    project.git(&["tag", "v1.0-rc1", "c38"]);
    project.git(&["tag", "--annotate", "--message", "a name", "latest", "c39"]);
    project
}

/// The commits in the order in which they were tried for the search.
async fn searched(world: &World) -> Vec<usize> {
    let rows = world.probes(world.job().await.id).await.into_iter();
    let searched = rows.filter(|row| row.purpose == Purpose::Search);
    searched.map(|row| world.project.number(&row.commit.to_string())).collect()
}

#[tokio::test]
async fn releases_are_tried_until_one_passes_and_then_it_is_a_bisection() {
    let world = World::new(project()).await;
    let script = "test $(cat n) -lt 17";
    let ran = world.bisect("auto", "main", &["--jobs", "1"]).args(["--", "sh", "-c", script]).run().await.expect(0);
    let tried = searched(&world).await;
    assert_eq!(tried[..5], [39, 36, 32, 24, 8], "the newest release, then twice as far each time");
    let job = world.job().await;
    assert_eq!(job.good, world.project.sha("c8"));
    assert!(tried[5..].iter().all(|number| (9..24).contains(number)), "what failed on the way counts: {tried:?}");
    let note = "the good end v0.8 (";
    for part in ["Culprit found and proven", &world.project.sha("c17").short(), note, "stepping back from"] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    assert!(ran.stderr.contains("looking for a good end"), "{}", ran.stderr);
    world.ends_clean().await;
}

#[tokio::test]
async fn a_new_tag_is_seen_although_its_commit_was_here_before() {
    let world = World::new(project()).await;
    let bisect = || world.bisect("auto", "main", &["--jobs", "1", "--no-cache"]);
    bisect().args(["--", "sh", "-c", "test $(cat n) -lt 37"]).run().await.expect(0);
    world.project.git(&["tag", "v0.37", "c37"]);
    bisect().args(["--", "sh", "-c", "test $(cat n) -lt 38"]).run().await.expect(0);
    let second = &world.jobs().await[1];
    assert_eq!(second.good, world.project.sha("c37"), "the newest release passes");
    world.ends_clean().await;
}

#[tokio::test]
async fn killed_after_the_good_end_was_found_it_goes_on_from_there() {
    let world = World::new(project()).await;
    let gate = world.path("gate");
    let script = format!(
        "n=$(cat n); case $n in 39|36|32|24|8) ;; *) while ! test -e {}; do sleep 0.05; done;; esac; test $n -lt 17",
        gate.display()
    );
    let bisect = || world.bisect("auto", "main", &["--jobs", "1"]).args(["--", "sh", "-c", &script]);
    let first = bisect().start();
    eventually("the good end is known", async || {
        let jobs = world.jobs().await;
        jobs.first().filter(|job| job.good == world.project.sha("c8")).map(drop)
    })
    .await;
    first.kill().await;
    std::fs::write(&gate, "").unwrap();
    let ran = bisect().run().await.expect(0);
    assert!(ran.stdout.contains(&world.project.sha("c17").short()), "{}", ran.stdout);
    let tried = searched(&world).await;
    for station in [39, 36, 32, 24, 8] {
        assert_eq!(tried.iter().filter(|number| **number == station).count(), 1, "not tried again: {tried:?}");
    }
    world.ends_clean().await;
}

#[tokio::test]
async fn where_nothing_passes_or_nothing_is_older_it_says_so() {
    let world = World::new(project()).await;
    let ran = world.bisect("auto", "main", &["--json", "--jobs", "2"]).args(["--", "false"]).run().await.expect(1);
    assert_eq!(ran.field("result"), "good_fails", "{}", ran.stdout);
    let told = world.bisect("auto", "main", &["--jobs", "2"]).args(["--", "false"]).run().await.expect(1);
    assert!(told.stdout.contains("No release passes") && told.stdout.contains("name a commit"), "{}", told.stdout);
    let passes = world.bisect("auto", "main", &["--json"]).args(["--", "true"]).run().await.expect(1);
    assert_eq!(passes.field("result"), "not_reproducible");
    let root = world.bisect("auto", "c0", &[]).args(["--", "false"]).run().await.expect(2);
    assert!(root.stderr.contains("nothing is older"), "{}", root.stderr);
    let both = world.bisect("auto", "main", &["--good", "c1"]).args(["--", "false"]).run().await.expect(2);
    assert!(both.stderr.contains("leave one of them out"), "{}", both.stderr);
    world.ends_clean().await;

    // Without tags: every sixteenth commit.
    let project = Project::linear(40);
    let culprit = project.sha("c17").short();
    let tags = project.git(&["tag"]);
    project.git(&[&["tag", "--delete"], tags.lines().collect::<Vec<_>>().as_slice()].concat());
    let world = World::new(project).await;
    let ran =
        world.bisect("auto", "main", &["--jobs", "1"]).args(["--", "sh", "-c", "test $(cat n) -lt 17"]).run().await;
    assert!(ran.expect(0).stdout.contains(&culprit));
    assert_eq!(searched(&world).await[..3], [39, 23, 7]);
    world.ends_clean().await;
}

#[tokio::test]
async fn by_a_comment_too() {
    let hub = Hub::new(project(), &[]).await;
    let service = hub.serve("one").await;
    let issue = hub.issue();
    let job = hub.job("ada", issue, "/bisect --jobs 2 auto main test $(cat n) -lt 17").await;
    let told = eventually("the answer is there", async || {
        let text = hub.status(issue, job.id);
        text.contains("Culprit found").then_some(text)
    })
    .await;
    let culprit = hub.world.project.sha("c17").short();
    assert!(told.contains(&culprit) && told.contains("was found by stepping back"), "{told}");
    hub.end(service).await;
}
