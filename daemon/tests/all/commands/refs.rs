//! What names mean, what the options become, and a job that really runs.

use crate::support::{Commit, Hub, Project, eventually};
use bisect_shared::ResultKind;
use bisectd::runner::spec::JobSpec;
use std::collections::HashMap;

#[tokio::test]
async fn a_name_that_means_nothing_or_two_things_is_named_in_the_reply() {
    let project = Project::linear(700);
    let listed = project.git(&["rev-list", "main"]);
    let mut short: HashMap<&str, u32> = HashMap::new();
    listed.lines().for_each(|sha| *short.entry(&sha[..4]).or_default() += 1);
    // The history is always the same, so there is always the same one.
    let twice = short.iter().find(|(_, count)| **count > 1).expect("two commits that begin alike").0.to_string();
    let hub = Hub::new(project, &[]).await;
    let service = hub.serve_idle("one").await;
    let issue = hub.issue();
    for (text, name) in [
        ("/bisect v9.9 main true", "v9.9"),
        ("/bisect c0 no/such/branch true", "no/such/branch"),
        ("/bisect --skip c2..gone c0 main true", "gone"),
        ("/bisect --skip lost..c4 c0 main true", "lost"),
        (&format!("/bisect {twice} main true"), twice.as_str()),
        (&format!("/bisect c0 {} true", "0".repeat(40)), &"0".repeat(40)),
    ] {
        let told = hub.answer("ada", issue, text).await;
        assert!(told.contains("There is no branch, tag or commit"), "{text}: {told}");
        assert!(told.contains(name) && told.contains("a short SHA must be unique"), "{text}: {told}");
    }
    let told = hub.answer("ada", issue, "/bisect c699 main true").await;
    assert!(told.contains("are the same commit"), "{told}");
    for skip in ["c0", "c5..main", "main", "c0..c699"] {
        let told = hub.answer("ada", issue, &format!("/bisect --skip {skip} c0 main true")).await;
        assert!(told.contains("is one of the two ends"), "{skip}: {told}");
    }
    let sha = hub.world.project.sha("c7");
    let job = hub.job("ada", issue, &format!("/bisect {} `main` make", &sha.to_string()[..10])).await;
    assert_eq!((job.good, job.bad), (sha, hub.world.project.sha("main")));
    hub.end(service).await;
}

#[tokio::test]
async fn every_option_reaches_the_job() {
    let hub = Hub::new(Project::linear(9), &[]).await;
    let service = hub.serve_idle("one").await;
    let issue = hub.issue();
    let sha = |name: &str| hub.world.project.sha(name);
    let options = "--image python:3.12 --setup \"make 'all' deps\" --timeout 1h30m --jobs 2 --first-parent --fixed \
                   --path src/ --path=docs --skip c2..c4 --skip c6";
    let job = hub.job("ada", issue, &format!("/bisect {options} c0 main make test | tee \"log $HOME\" && true")).await;
    let spec: JobSpec = serde_json::from_value(job.spec.clone()).unwrap();
    assert_eq!(spec.command, ["sh", "-c", "make test | tee \"log $HOME\" && true"]);
    assert_eq!((spec.image.as_str(), spec.setup.as_deref()), ("python:3.12", Some("make 'all' deps")));
    assert_eq!((spec.timeout, spec.lanes, spec.first_parent, spec.fixed), (Some(5400.0), 2, true, true));
    assert_eq!(spec.paths, ["src/", "docs"]);
    assert_eq!(spec.skip_ranges, [format!("{}..{}", sha("c2"), sha("c4")), sha("c6").to_string()]);
    assert_eq!((spec.good, spec.bad), (vec![sha("c0")], sha("main")));
    assert_eq!((job.lanes, job.timeout.unwrap().as_secs(), job.max_duration.unwrap().as_secs()), (2, 5400, 1800));
    // More lanes than the server has (4 in tests) are none.
    let job = hub.job("ada", issue, "/bisect --jobs 64 c0 main make").await;
    assert_eq!(job.lanes, 4);
    hub.end(service).await;
}

#[tokio::test]
async fn a_good_end_beside_the_bad_one_is_searched_from_their_merge_base() {
    // 0 ← 1, and 0 ← 2 ← 3 ← 4, the main branch.
    let parents: [&[usize]; 5] = [&[], &[0], &[0], &[2], &[3]];
    let hub = Hub::new(Project::of(&parents.map(|parents| Commit { parents, files: &[] })), &[]).await;
    let service = hub.serve("one").await;
    let issue = hub.issue();
    let job = hub.job("ada", issue, "/bisect c1 main test \"$(cat n)\" -lt 3").await;
    let ended = eventually("it ends", async || Some(hub.row(job.id).await).filter(|row| row.status.is_final())).await;
    let culprit = hub.world.project.sha("c3");
    assert_eq!((ended.result, ended.culprit), (Some(ResultKind::Culprit), Some(culprit)), "{:?}", ended.error);
    eventually("its comment says so", async || hub.status(issue, job.id).contains(&culprit.to_string()).then_some(()))
        .await;
    // Told in the same order as they were written: nothing is left, and a second answer needs no second job.
    let told = hub.answer("ada", issue, "/bisect status").await;
    assert!(told.contains("completed") && told.contains(&culprit.short()), "{told}");
    hub.world.nothing_is_left().await;
    hub.end(service).await;
}
