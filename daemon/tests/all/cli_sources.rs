//! Repositories as people have them: under an address, with a `main` that is not the main branch,
//! incomplete, in odd places; and what the caller's folder and environment must not change.

use crate::support::{Program, Project, World, eventually};
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File},
    process::Command,
};

/// Fails from commit 3 on.
const BROKEN_AT_3: [&str; 4] = ["--", "sh", "-c", "test $(cat n) -lt 3"];

async fn world() -> World {
    World::new(Project::linear(6)).await
}

fn bisect(world: &World, source: &str, good: &str, bad: &str) -> Program {
    world.program().args(["bisect", source, good, bad, "--sandbox", "process", "--json", "--quiet"])
}

fn address(world: &World) -> String {
    format!("file://{}", world.project.text())
}

#[tokio::test]
async fn the_head_of_an_address_is_that_of_its_own_main_branch() {
    let world = world().await;
    world.project.git(&["checkout", "--quiet", "-b", "trunk"]);
    world.project.git(&["branch", "--force", "main", "c1"]);
    let ran = bisect(&world, &address(&world), "c0", "HEAD").args(BROKEN_AT_3).run().await.expect(0);
    assert_eq!(ran.field("culprit"), world.project.sha("c3").to_string());
}

#[tokio::test]
async fn a_branch_may_take_the_place_of_one_that_is_gone() {
    let world = world().await;
    world.project.git(&["branch", "topic", "c4"]);
    bisect(&world, &address(&world), "c0", "topic").args(BROKEN_AT_3).run().await.expect(0);
    world.project.git(&["branch", "-D", "topic"]);
    world.project.git(&["branch", "topic/two", "c5"]);
    bisect(&world, &address(&world), "c0", "topic/two").args(BROKEN_AT_3).run().await.expect(0);
    let gone = bisect(&world, &address(&world), "c0", "topic").args(BROKEN_AT_3).run().await.expect(2);
    assert!(gone.stderr.contains("`topic`"), "{}", gone.stderr);
}

#[tokio::test]
async fn what_would_fail_later_is_refused_with_the_way_out() {
    let world = world().await;
    world.project.git(&["config", "uploadpack.allowFilter", "true"]);
    let (partial, newer) = (world.path("partial"), world.path("sha256"));
    let (partial, newer) = (partial.to_str().unwrap(), newer.to_str().unwrap());
    world.project.git(&["clone", "--quiet", "--filter=blob:none", &address(&world), partial]);
    world.project.git(&["init", "--quiet", "--object-format=sha256", newer]);
    let cases = [
        (partial, &["partial clone", "git fetch --refetch --no-filter", "remote.origin.promisor"][..]),
        (newer, &["sha256", "SHA-1"]),
        ("https://me:s3cret@127.0.0.1:1/a/b", &["must not be stored", "https://127.0.0.1:1/a/b", "ssh agent"]),
        ("https://s3cret@127.0.0.1:1/a/b", &["must not be stored"]),
        ("ext::sh -c 'touch s3cret'", &["cannot be fetched from"]),
    ];
    for (source, says) in cases {
        let ran = bisect(&world, source, "c0", "c5").args(BROKEN_AT_3).run().await.expect(2);
        assert!(says.iter().all(|said| ran.stderr.contains(said)), "{source}: {}", ran.stderr);
        assert!(!ran.stderr.contains("s3cret") && ran.stdout.is_empty(), "{ran:?}");
        assert!(!world.data_dir().exists() && world.jobs().await.is_empty(), "{source}: something was created");
    }
}

#[tokio::test]
async fn an_address_of_nothing_leaves_no_mirror_and_a_good_one_that_is_gone_for_now_does() {
    let world = world().await;
    let mirrors = || {
        let entries = fs::read_dir(world.data_dir().join("mirrors")).unwrap().flatten();
        let names = entries.map(|entry| entry.file_name().into_string().unwrap());
        names.filter(|name| name != "gitconfig").count()
    };
    let nowhere = format!("file://{}", world.path("nowhere").display());
    // Several at once, as from a script: each says the same.
    let tries = [(); 4].map(|()| bisect(&world, &nowhere, "c0", "c5").args(BROKEN_AT_3).run());
    let [a, b, c, d] = tries;
    let ran = tokio::join!(a, b, c, d);
    for ran in [ran.0, ran.1, ran.2, ran.3] {
        let ran = ran.expect(2);
        assert!(ran.stderr.contains("fetch from") && ran.stderr.contains("nowhere"), "{}", ran.stderr);
    }
    assert_eq!(mirrors(), 0, "an empty mirror was left");
    bisect(&world, &address(&world), "c0", "c5").args(BROKEN_AT_3).run().await.expect(0);
    assert_eq!(mirrors(), 2, "the mirror and its lock");
    let away = world.path("away");
    fs::rename(world.project.path(), &away).unwrap();
    bisect(&world, &address(&world), "c0", "c5").args(BROKEN_AT_3).run().await.expect(2);
    fs::rename(&away, world.project.path()).unwrap();
    assert_eq!(mirrors(), 2, "what was fetched once is kept");
}

#[tokio::test]
async fn where_and_from_what_it_is_started_changes_nothing() {
    let world = world().await;
    let folder = world.path("elsewhere");
    fs::create_dir(&folder).unwrap();
    // As from a hook or an alias of another repository, with DATA_DIR below the working directory.
    let index = world.path("index");
    let script = format!("git status >{} && test $(cat n) -lt 3", world.path("status").display());
    let program = bisect(&world, &world.project.text(), "c0", "c5").args(["--", "sh", "-c", &script]);
    let program = program.folder(&folder).env("DATA_DIR", "data").env("GIT_DIR", "/nonexistent");
    let program = program.env("GIT_WORK_TREE", "/nonexistent").env("GIT_INDEX_FILE", &index);
    let ran = program.run().await.expect(0);
    assert_eq!(ran.field("culprit"), world.project.sha("c3").to_string());
    assert!(folder.join("data").is_dir() && !index.exists());
    // A path counts from the root of the repository, also when started inside of it.
    let file = format!("{}/n", world.project.text());
    for (path, code) in [("n", 0), (&file, 2)] {
        let inside = bisect(&world, ".", "c0", "c5").args(["--path", path]).args(BROKEN_AT_3);
        inside.folder(world.project.path()).run().await.expect(code);
    }
}

#[tokio::test]
async fn a_linked_worktree_and_a_bare_clone_are_repositories_too() {
    let world = world().await;
    let (tree, bare) = (world.path("tree"), world.path("bare.git"));
    let (tree, bare) = (tree.to_str().unwrap(), bare.to_str().unwrap());
    world.project.git(&["worktree", "add", "--quiet", "--detach", tree, "c5"]);
    let cloned = Command::new("git").args(["clone", "--quiet", "--bare", &world.project.text(), bare]).status();
    assert!(cloned.unwrap().success());
    for (source, bad) in [(tree, "HEAD"), (bare, "main")] {
        let ran = bisect(&world, source, "c0", bad).args(BROKEN_AT_3).run().await.expect(0);
        assert_eq!(ran.field("culprit"), world.project.sha("c3").to_string());
    }
    world.ends_clean().await;
}

#[tokio::test]
async fn what_takes_long_before_there_is_a_job_is_told_to_those_who_want_to_know() {
    let world = world().await;
    let source = address(&world);
    let program = |quiet: &[&str]| {
        let bisect =
            world.program().args(["bisect", &source, "c0", "c5", "--sandbox", "process", "--json"]).args(quiet);
        bisect.without("DATABASE_URL").args(BROKEN_AT_3)
    };
    // Held by this test, each step takes as long as it takes to see it told.
    let mirror = format!("{}.lock", hex::encode(&Sha256::digest(source.as_bytes())[..16]));
    let held = |folder: &str, name: &str| {
        let folder = world.data_dir().join(folder);
        fs::create_dir_all(&folder).unwrap();
        let file = File::create(folder.join(name)).unwrap();
        file.lock().unwrap();
        file
    };
    let (reading, starting) = (held("mirrors", &mirror), held("postgres", "start.lock"));
    let (quiet, told) = (program(&["--quiet"]).start(), program(&[]).start());
    for (step, lock) in
        [(format!("reading {source} into its mirror"), reading), ("the first time: making it".to_owned(), starting)]
    {
        eventually(&step, async || told.stderr().contains(&step).then_some(())).await;
        drop(lock);
    }
    let (quiet, told) = (quiet.end().await.expect(0), told.end().await.expect(0));
    assert_eq!((quiet.stderr.as_str(), &quiet.field("culprit")), ("", &told.field("culprit")));
    assert!(!told.stderr.contains(['\r', '\u{1b}']), "no spinner without a terminal: {}", told.stderr);
    // Each step is told once.
    assert!(PLAIN_STEPS.iter().all(|step| told.stderr.matches(step).count() <= 1), "{}", told.stderr);
}

const PLAIN_STEPS: [&str; 3] = ["into its mirror", "private PostgreSQL", "reading the range"];
