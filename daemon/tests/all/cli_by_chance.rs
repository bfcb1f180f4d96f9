//! A test that fails by chance: many runs, what is believed of them, and that a crash changes nothing of it.

use crate::support::{Project, World, eventually};
use bisect_shared::{Purpose, Verdict};
use bisectd::{
    db::probes::ProbeState,
    git::{Git, Repository},
    runner::{question, spec::JobSpec},
    search::{Conclusion, Run, Step, next},
};

/// Fails in nine of ten runs from c11 on, and never before it.
const SCRIPT: &str = "dice=$(od -An -N2 -tu2 /dev/urandom); test $(cat n) -lt 11 || test $dice -lt 6554";
/// So sure that a wrong answer is no reason for this test to fail now and then.
const SURE: [&str; 4] = ["--runs", "100", "--confidence", "0.9999"];

/// The runs of the only job, as they are recorded.
async fn recorded(world: &World) -> Vec<Run> {
    let job = world.job().await;
    let rows = world.probes(job.id).await.into_iter();
    let ended = rows.filter_map(|row| match row.state {
        ProbeState::Ended(ending) => Some(Run::new(row.commit, row.purpose, ending)),
        _ => None,
    });
    ended.collect()
}

#[tokio::test]
async fn in_containers_killed_in_the_middle_it_comes_to_what_its_recorded_runs_say() {
    let world = World::new(Project::linear(17)).await;
    let bisect = || {
        let options = [&SURE[..], &["--json", "--jobs", "2"]].concat();
        world.bisect_in_docker("c0", "main", &options).args(["--", "sh", "-c", SCRIPT])
    };
    let first = bisect().start();
    eventually("some runs are recorded", async || {
        if world.jobs().await.is_empty() {
            return None;
        }
        (recorded(&world).await.len() >= 6).then_some(())
    })
    .await;
    first.kill().await;
    let before = recorded(&world).await;
    let ran = bisect().run().await.expect(0);

    assert_eq!(ran.field("culprit"), world.project.sha("c11").to_string(), "{}", ran.stdout);
    assert!(ran.field("confidence").as_f64().unwrap() >= 0.9999);
    let runs = recorded(&world).await;
    assert_eq!(runs[..before.len()], before, "nothing was run again that was recorded");
    let fresh = |name: &str| {
        let sha = world.project.sha(name);
        runs.iter().any(|run| run.commit == sha && run.purpose == Purpose::Proof)
    };
    assert!(fresh("c11") && fresh("c10"), "the culprit and its parent have a run in a fresh workspace each");

    // What was answered is a function of the rows alone: no trace of who ran them.
    let spec: JobSpec = serde_json::from_value(world.job().await.spec).unwrap();
    let repository = Repository::discover(Git::reader(), world.project.path()).await.unwrap();
    let question = question::load(&repository, &spec).await.unwrap();
    let Step::Done(Conclusion::Culprit { belief: Some(belief), .. }) = next(&question, &runs, &[], 2) else {
        panic!("the recorded runs say nothing")
    };
    let odds = ran.field("odds");
    let likely = &odds["likely"][0];
    assert_eq!(likely["commit"], belief.likely[0].0.to_string());
    assert!((likely["probability"].as_f64().unwrap() - belief.likely[0].1).abs() < 1e-9);
    assert_eq!(odds["before"]["failures"], 0, "{odds}");
    let told = odds["before"]["runs"].as_u64().unwrap() + odds["after"]["runs"].as_u64().unwrap();
    assert_eq!(told, runs.len() as u64, "every run counts");
    world.ends_clean().await;
}

#[tokio::test]
async fn two_runs_that_contradict_one_another_are_followed_by_more() {
    let world = World::new(Project::linear(9)).await;
    // The first run of c4 misleads: then c5 looks like the culprit, until its parent is run once more.
    let once = world.path("once");
    let script = format!("n=$(cat n); test $n = 4 && mkdir {} 2>/dev/null && exit 0; test $n -lt 3", once.display());
    let bisect = |options: &[&str]| world.bisect("c0", "main", options).args(["--", "sh", "-c", &script]);
    let ran = bisect(&["--json", "--jobs", "1"]).run().await.expect(0);
    assert_eq!(ran.field("culprit"), world.project.sha("c3").to_string(), "{}", ran.stdout);
    let probes = ran.field("probes");
    let of = |name: &str| {
        let sha = world.project.sha(name).to_string();
        probes.as_array().unwrap().iter().find(|probe| probe["commit"] == sha.as_str()).unwrap().clone()
    };
    let misled = of("c4");
    let (runs, failures) = (misled["runs"].as_u64().unwrap(), misled["failures"].as_u64().unwrap());
    assert!(failures >= 1 && runs == failures + 1, "{misled}");
    assert_eq!(misled["verdict"], Verdict::Bad.name(), "the side of the culprit on which it is");
    assert!(ran.field("odds")["likely"].is_array());
    std::fs::remove_dir(&once).unwrap();
    let told = bisect(&["--jobs", "1"]).run().await.expect(0);
    for part in ["Culprit found, by many runs", "How probable each commit is", "its runs contradicted one another"] {
        assert!(told.stdout.contains(part), "{part}: {}", told.stdout);
    }
    world.ends_clean().await;
}

#[tokio::test]
async fn a_bad_end_that_never_fails_had_all_its_chances() {
    let world = World::new(Project::linear(3)).await;
    let ran = world.bisect("c0", "main", &["--runs", "4", "--jobs", "1"]).args(["--", "true"]).run().await.expect(1);
    assert!(ran.stdout.contains("in all of its 4 runs"), "{}", ran.stdout);
    assert!(ran.stdout.contains("--runs 8"), "{}", ran.stdout);
    let bad = world.project.sha("main");
    assert_eq!(recorded(&world).await.iter().filter(|run| run.commit == bad).count(), 4);
    for (options, word) in
        [(["--runs", "0"], "from 1 to 100"), (["--runs", "101"], "from 1 to 100"), (["--confidence", "1"], "0.9999")]
    {
        let refused = world.bisect("c0", "main", &options).args(["--", "true"]).run().await.expect(2);
        assert!(refused.stderr.contains(word), "{}", refused.stderr);
    }
    world.ends_clean().await;
}

#[tokio::test]
async fn without_a_culprit_a_failure_is_shown_and_not_a_run_that_passed() {
    let world = World::new(Project::linear(9)).await;
    let runs = world.path("runs");
    std::fs::create_dir(&runs).unwrap();
    // One run of six fails, whatever its commit: always the same ones.
    let script = format!(
        "cd {}; n=$(ls | wc -l); mkdir $n; sum=$(echo $n | cksum); test $((${{sum%% *}} % 6)) -gt 0",
        runs.display()
    );
    let bisect = world.bisect("c0", "main", &["--runs", "50", "--jobs", "1"]).args(["--", "sh", "-c", &script]);
    let ran = bisect.run().await.expect(1);
    for part in ["No culprit: the command fails by chance", "1 run of ", "The failure, on", "exit 1"] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    world.ends_clean().await;
}
