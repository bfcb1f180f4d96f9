//! What earlier bisections found out: recalled under the same circumstances, never for ends and proofs, and given up as soon
//! as something contradicts it. And failures that do not count.

use crate::support::{Project, Ran, World};
use bisect_shared::Purpose;
use bisectd::db::probes::{ProbeRow, ProbeState};
use sqlx::Executor;
use std::collections::BTreeSet;

/// Fails from c11 on.
const SCRIPT: &str = "test $(cat n) -lt 11";

async fn bisect(world: &World, ends: [&str; 2], options: &[&str], script: &str) -> Ran {
    let options = [options, &["--json", "--jobs", "1", "--network", "none"]].concat();
    world.bisect_in_docker(ends[0], ends[1], &options).args(["--", "sh", "-c", script]).run().await
}

/// What the newest job ran, and how many answers it recalled.
async fn counts(world: &World) -> (BTreeSet<(usize, Purpose)>, usize) {
    let newest = world.jobs().await.into_iter().map(|job| job.id).max().unwrap();
    let (cached, ran): (Vec<ProbeRow>, Vec<ProbeRow>) =
        world.probes(newest).await.into_iter().filter(is_ended).partition(|row| row.cached);
    (ran.iter().map(|row| (world.project.number(&row.commit.to_string()), row.purpose)).collect(), cached.len())
}

fn is_ended(row: &ProbeRow) -> bool {
    matches!(row.state, ProbeState::Ended(_))
}

#[tokio::test]
async fn what_was_found_out_is_recalled_but_ends_and_proofs_run_anew() {
    let world = World::new(Project::linear(17)).await;
    let culprit = world.project.sha("c11").to_string();
    let found = async |ends, options: &[&str]| {
        let ran = bisect(&world, ends, options, SCRIPT).await.expect(0);
        assert_eq!(ran.field("culprit"), culprit, "{}", ran.stdout);
        counts(&world).await
    };
    let whole = ["c0", "main"];
    assert_eq!(found(whole, &[]).await.1, 0, "nothing was known");
    let (ran, recalled) = found(whole, &[]).await;
    let anew = [(0, Purpose::Search), (10, Purpose::Proof), (11, Purpose::Proof), (16, Purpose::Search)];
    assert_eq!(ran, anew.into(), "both ends, the culprit and its parent");
    assert!((2..=5).contains(&recalled), "no more than a search would run: {recalled}");
    // Another range of the same commits: what is an end now is run.
    let (ran, recalled) = found(["c8", "c12"], &[]).await;
    assert!(ran.contains(&(8, Purpose::Search)) && ran.contains(&(12, Purpose::Search)) && recalled >= 1, "{ran:?}");

    assert_eq!(found(whole, &["--trust-cache"]).await.0, [].into(), "nothing is run");
    assert_eq!(found(whole, &["--no-cache"]).await.1, 0);
    let told =
        world.bisect_in_docker("c0", "main", &["--network", "none"]).args(["--", "sh", "-c", SCRIPT]).run().await;
    assert!(told.stdout.contains("remembered from earlier bisections"), "{}", told.stdout);
    for other in [["--env", "A=1"], ["--setup", "true"], ["--timeout", "5m"]] {
        assert_eq!(found(whole, &other).await.1, 0, "under other circumstances: {other:?}");
    }
    world.ends_clean().await;
}

#[tokio::test]
async fn looking_for_a_good_end_runs_what_it_finds_and_forgets_nothing() {
    let world = World::new(Project::linear(17)).await;
    let found = async |good| {
        let ran = bisect(&world, [good, "main"], &[], SCRIPT).await.expect(0);
        assert_eq!(ran.field("culprit"), world.project.sha("c11").to_string(), "{}", ran.stdout);
        counts(&world).await
    };
    found("c0").await;
    let (ran, recalled) = found("auto").await;
    // Every commit has a tag, so all are stations: 15, 14, 12, 8.
    assert!([16, 15, 14, 12, 8].iter().all(|number| ran.contains(&(*number, Purpose::Search))), "{ran:?}");
    assert!(recalled >= 1, "between the release that passes and the one that fails");
    assert!(found("c0").await.1 >= 1, "it is still there");
    world.ends_clean().await;
}

#[tokio::test]
async fn what_is_remembered_and_wrong_misleads_nobody() {
    let world = World::new(Project::linear(17)).await;
    bisect(&world, ["c0", "main"], &[], SCRIPT).await.expect(0);
    // As if the world outside had changed since: what passed then fails now, and the reverse.
    let swap =
        "UPDATE verdicts SET verdict = CASE verdict WHEN 'good' THEN 'bad' ELSE 'good' END, exit_code = 1 - exit_code";
    world.db.raw().await.execute(swap).await.unwrap();
    let ran = bisect(&world, ["c0", "main"], &[], SCRIPT).await.expect(0);
    assert_eq!(ran.field("culprit"), world.project.sha("c11").to_string(), "{}", ran.stdout);
    assert_eq!(counts(&world).await.1, 0, "nothing of it counts");
    assert!(ran.field("probes").as_array().unwrap().iter().all(|probe| probe["cached"] == false), "{}", ran.stdout);
    let again = bisect(&world, ["c0", "main"], &[], SCRIPT).await.expect(0);
    assert_eq!(again.field("culprit"), world.project.sha("c11").to_string());
    world.ends_clean().await;
}

#[tokio::test]
async fn a_commit_that_fails_otherwise_is_named_and_with_same_failure_skipped() {
    let world = World::new(Project::linear(9)).await;
    // The failure that is hunted came with c6; c3, c4 and c5 do not build.
    let script = "n=$(cat n); case $n in 3|4|5) echo \"build.rs:$n: cannot build\"; exit 2;; esac; \
                  test $n -lt 6 || { echo \"total is $n, not 3\"; exit 1; }";
    let bisect = |options: &[&str]| world.bisect("c0", "main", options).args(["--", "sh", "-c", script]);
    let plain = bisect(&["--jobs", "1"]).run().await.expect(0);
    assert!(plain.stdout.contains("the culprit fails otherwise"), "{}", plain.stdout);
    assert!(plain.stdout.contains("--same-failure"), "{}", plain.stdout);
    for options in [&["--same-failure"][..], &["--failure-line", "^total is [0-9]+"]] {
        let ran = bisect(&[options, &["--json", "--jobs", "1"]].concat()).run().await.expect(1);
        assert_eq!(ran.field("result"), "suspects", "{}", ran.stdout);
        let names: Vec<String> =
            ["c6", "c5", "c4", "c3"].iter().map(|name| world.project.sha(name).to_string()).collect();
        assert_eq!(ran.field("suspects"), serde_json::json!(names), "{}", ran.stdout);
    }
    let never = bisect(&["--failure-line", "segmentation fault"]).run().await.expect(1);
    assert!(never.stdout.contains("prints no line that matches --failure-line"), "{}", never.stdout);
    let wrong = bisect(&["--failure-line", "a(b"]).run().await.expect(2);
    assert!(wrong.stderr.contains("unclosed group"), "{}", wrong.stderr);
    world.ends_clean().await;
}
