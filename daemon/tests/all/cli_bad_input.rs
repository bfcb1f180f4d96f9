//! Whatever is wrong with a request or the configuration: exit status 2, a message that names the
//! thing and the way out, nothing on standard output, nothing created.

use crate::support::{Program, Project, Ran, World, empty_database};
use sqlx::Executor;
use std::{
    path::Path,
    process::{Command, Stdio},
};

const FAIL: [&str; 2] = ["--", "false"];

/// A refusal that says all of `says`, and left nothing.
async fn refused(world: &World, case: &str, program: Program, says: &[&str]) -> Ran {
    let ran = program.run().await;
    assert_eq!(ran.code, 2, "{case}: {ran:?}");
    assert_eq!(ran.stdout, "", "{case}");
    for said in says {
        assert!(ran.stderr.contains(said), "{case}: no `{said}` in: {}", ran.stderr);
    }
    assert!(!ran.stderr.contains("panicked"), "{case}: {}", ran.stderr);
    assert!(!world.data_dir().exists(), "{case}: DATA_DIR was created");
    assert!(world.jobs().await.is_empty(), "{case}: a job was queued");
    ran
}

#[tokio::test]
async fn a_request_that_leaves_nothing_to_search_is_refused() {
    let project = Project::linear(5);
    project.git(&["branch", "same", "c1"]);
    project.git(&["tag", "same", "c2"]);
    project.git(&["tag", "tree", "c2^{tree}"]);
    let world = World::new(project).await;
    let [c1, c4] = ["c1", "c4"].map(|name| world.project.sha(name).short());
    let (until_c4, from_c1) = (format!("--skip c2..{c4}^"), format!("--skip {c1}..c2"));
    type Case<'a> = (&'a str, &'a str, &'a str, &'a [&'a str], &'a [&'a str]);
    let cases: &[Case] = &[
        ("an unknown good end", "v9", "main", &[], &["`v9`", "git tag"]),
        ("an unknown bad end", "c0", "topic", &[], &["`topic`", "git branch"]),
        ("an unknown further good end", "c0", "c4", &["--good", "v9"], &["`v9`"]),
        ("an id of nothing", "c0", "0123456789012345678901234567890123456789", &[], &["0123456789"]),
        ("an option in the place of a ref", "c0", "c4", &["--good=--upload-pack=x"], &["`--upload-pack=x`"]),
        ("a tag that is no commit", "tree", "c4", &[], &["`tree`"]),
        (
            "a branch and a tag of one name",
            "same",
            "c4",
            &[],
            &["`same`", "ambiguous", "refs/tags/same", "refs/heads/same"],
        ),
        ("equal ends", "c1", "c1", &[], &["same commit", "older"]),
        ("equal ends by two names", "c4", "main", &[], &["same commit", "older"]),
        ("swapped ends", "c4", "c1", &[], &["nothing between", &c1, "older", "--fixed"]),
        ("a path that nothing touches", "c0", "c4", &["--path", "nowhere.py"], &["nowhere.py", "spelling"]),
        ("a skip of the bad end", "c0", "c4", &["--skip", "c4"], &["--skip c4", "newer end", &c4, "can be tested"]),
        ("a skip of the good end", "c1", "c4", &["--skip", "c1"], &["--skip c1", "older end", &c1]),
        ("a skip over the bad end", "c0", "main", &["--skip", "c2..main"], &["--skip c2..main", &c4, &until_c4]),
        ("a skip over the good end", "c1", "c4", &["--skip", "c0..c2"], &["--skip c0..c2", &c1, &from_c1]),
        ("a skip of a further good end", "c0", "c4", &["--good", "c1", "--skip", "c0..c2"], &["older end", &c1]),
        ("a skip of nothing", "c0", "c4", &["--skip", "c1..v9"], &["`v9`"]),
    ];
    for (case, good, bad, options, says) in cases {
        refused(&world, case, world.bisect(good, bad, options).args(FAIL), says).await;
    }
}

#[tokio::test]
async fn a_short_id_that_means_two_commits_is_refused() {
    // Among so many commits, always the same ones, some ids share their first digits.
    let world = World::new(Project::linear(700)).await;
    let listed = world.project.git(&["rev-list", "main"]);
    let mut ids: Vec<&str> = listed.lines().collect();
    ids.sort_unstable();
    let twice = ids.windows(2).find(|pair| pair[0][..4] == pair[1][..4]).expect("a shared beginning")[0];
    let says = [&twice[..4], "ambiguous", "more digits"];
    refused(&world, "short id", world.bisect("c0", &twice[..4], &[]).args(FAIL), &says).await;
}

#[tokio::test]
async fn a_place_that_is_no_whole_repository_is_refused() {
    let world = World::new(Project::linear(5)).await;
    let (empty, file, missing, shallow) =
        (world.path("empty"), world.path("file"), world.path("missing"), world.path("shallow"));
    std::fs::create_dir(&empty).unwrap();
    std::fs::write(&file, "").unwrap();
    let address = format!("file://{}", world.project.text());
    world.project.git(&["clone", "--quiet", "--depth=2", &address, shallow.to_str().unwrap()]);
    let of = |path: &Path, good: &str, bad: &str| {
        world.program().args(["bisect", path.to_str().unwrap(), good, bad, "--sandbox", "process"]).args(FAIL)
    };
    let name = |path: &Path| path.to_str().unwrap().to_owned();
    let way_out = "name the folder of a git repository";
    refused(&world, "a folder", of(&empty, "c0", "c4"), &[&name(&empty), "not a git repository", way_out]).await;
    refused(&world, "a file", of(&file, "c0", "c4"), &[&name(&file), "not a git repository", way_out]).await;
    refused(&world, "nothing", of(&missing, "c0", "c4"), &[&name(&missing), way_out]).await;
    let says = [name(&shallow), "shallow".into(), "git fetch --unshallow".into()];
    refused(&world, "shallow", of(&shallow, "HEAD~1", "HEAD"), &says.each_ref().map(String::as_str)).await;
}

#[tokio::test]
async fn a_command_line_that_cannot_be_meant_is_refused() {
    let world = World::new(Project::linear(3)).await;
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("no command", &[], &["COMMAND", "Usage"]),
        ("nothing after the dashes", &["--"], &["COMMAND", "Usage"]),
        ("an empty command", &["--", ""], &["command is empty", "pytest"]),
        ("no time", &["--timeout", "never", "--", "false"], &["--timeout", "never"]),
        ("no time at all", &["--timeout", "0", "--", "false"], &["--timeout", "90s"]),
        ("no lanes", &["--jobs", "0", "--", "false"], &["--jobs", "1..=64"]),
        ("a variable without a value", &["--env", "NAME", "--", "false"], &["NAME=VALUE"]),
        ("an unknown network", &["--network", "lan", "--", "false"], &["lan", "egress"]),
        ("an unknown sandbox", &["--sandbox", "chroot", "--", "false"], &["chroot", "docker"]),
        ("an unknown option", &["--frobnicate", "--", "false"], &["--frobnicate"]),
    ];
    for (case, args, says) in cases {
        let program = world.program().args(["bisect", &world.project.text(), "c0", "c2"]).args(*args);
        refused(&world, case, program, says).await;
    }
    refused(&world, "no ends", world.program().args(["bisect", "."]), &["<GOOD>", "<BAD>"]).await;
    refused(&world, "an unknown sub-command", world.program().args(["bisekt"]), &["bisekt", "bisect"]).await;
}

#[tokio::test]
async fn a_wrong_or_unknown_configuration_is_refused() {
    let world = World::new(Project::linear(3)).await;
    let bisect = || world.bisect("c0", "c2", &[]).args(FAIL);
    let cases: &[(&str, &str, &[&str])] = &[
        ("HEARTBEAT_SECONDS", "soon", &["HEARTBEAT_SECONDS", "soon", "for example"]),
        ("STALE_AFTER_SECONDS", "-1", &["STALE_AFTER_SECONDS", "-1"]),
        ("BISECT_TIMEOUT_SECONDS", "0", &["BISECT_TIMEOUT_SECONDS"]),
        ("MAX_CONCURRENT_PROBES", "0", &["MAX_CONCURRENT_PROBES", "at least 1"]),
        ("MAX_ATTEMPTS", "1.5", &["MAX_ATTEMPTS", "whole number"]),
        ("RUNNER_NETWORK", "lan", &["RUNNER_NETWORK", "lan", "egress"]),
        ("DATABASE_URL", "mysql://u:s3cret@h/db", &["DATABASE_URL", "postgres://"]),
        ("DATABASE_URL", "postgres://u:s3cret@h:port/db", &["DATABASE_URL", "example"]),
    ];
    for (name, value, says) in cases {
        let ran = refused(&world, name, bisect().env(name, value), says).await;
        assert!(!ran.stderr.contains("s3cret"), "{}", ran.stderr);
    }
    // Files are read from the folder where the program is started.
    let folder = world.path("configured");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("Rocket.toml"), "[default.bisect]\nheartbeat_second = 5\n").unwrap();
    let says = ["heartbeat_second", "Rocket.toml", "heartbeat_seconds"];
    refused(&world, "an unknown key", bisect().folder(&folder), &says).await;
    std::fs::write(folder.join("Rocket.toml"), "[default.bisect\n").unwrap();
    refused(&world, "no TOML", bisect().folder(&folder), &["Rocket.toml"]).await;
    std::fs::remove_file(folder.join("Rocket.toml")).unwrap();
    std::fs::write(folder.join(".env"), "SESSION_SECRET=\"s3cret\nMAX_ATTEMPTS=2\n").unwrap();
    let ran = refused(&world, "no .env", bisect().folder(&folder), &[".env"]).await;
    assert!(!ran.stderr.contains("s3cret"), "{}", ran.stderr);
    for (name, meant) in [("MAX_CONCURENT_PROBES", "`MAX_CONCURRENT_PROBES`"), ("BISECT_COLOUR", ".env.example")] {
        std::fs::write(folder.join(".env"), format!("{name}=s3cret\n")).unwrap();
        let ran = refused(&world, name, bisect().folder(&folder), &[".env", name, meant, "--env-file"]).await;
        assert!(!ran.stderr.contains("s3cret"), "{}", ran.stderr);
    }
    let absent = world.path("absent.env");
    let program = world
        .program()
        .args(["--env-file", absent.to_str().unwrap(), "bisect", &world.project.text(), "c0", "c2"])
        .args(["--sandbox", "process", "--", "false"]);
    refused(&world, "no --env-file", program, &["absent.env"]).await;
}

#[tokio::test]
async fn a_configuration_may_be_shared_with_other_programs() {
    let world = World::new(Project::linear(3)).await;
    let folder = world.path("shared");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join(".env"), "GITHUB_TOKEN=x\nPOSTGRES_PASSWORD=y\nDOCKER_HOST=z\nMAX_ATTEMPTS=2\n")
        .unwrap();
    let bisect = || world.bisect("c0", "c2", &[]).args(["--", "sh", "-c", "test $(cat n) -lt 1"]).folder(&folder);
    let calm = bisect().env("RUNNER_OS", "Linux").env("BISECT_COLOUR", "1").run().await.expect(0);
    assert!(!calm.stderr.contains("WARN"), "{}", calm.stderr);
    // In the environment it may be another program's after all: it is told, and that is all.
    let warned = bisect().env("MAX_CONCURENT_PROBES", "s3cret").run().await.expect(0);
    let line = warned.stderr.lines().find(|line| line.contains("MAX_CONCURENT_PROBES")).unwrap_or_default();
    assert!(line.contains("MAX_CONCURRENT_PROBES") && line.contains("no effect"), "{}", warned.stderr);
    assert!(!warned.stderr.contains("s3cret"));
}

#[tokio::test]
async fn a_data_dir_that_cannot_be_written_is_refused() {
    let world = World::new(Project::linear(3)).await;
    let file = world.path("file");
    std::fs::write(&file, "").unwrap();
    let below = file.join("data");
    let bisect = || world.bisect("c0", "c2", &[]).args(FAIL).env("DATA_DIR", &below);
    let says = [below.to_str().unwrap(), "DATA_DIR", "cannot be written", "another folder"];
    refused(&world, "with a database", bisect(), &says).await;
    refused(&world, "with a private database", bisect().without("DATABASE_URL"), &says[..2]).await;
}

#[tokio::test]
async fn a_database_that_cannot_be_used_is_refused() {
    let world = World::new(Project::linear(3)).await;
    let bisect = |url: &str| world.bisect("c0", "c2", &[]).args(FAIL).env("DATABASE_URL", url);
    let ran = refused(
        &world,
        "nobody listens",
        bisect("postgres://bisect:s3cret@127.0.0.1:1/bisect"),
        &["127.0.0.1:1/bisect", "DATABASE_URL", "cannot be reached"],
    );
    assert!(!ran.await.stderr.contains("s3cret"));
    let elsewhere = world.db.url().replacen("test_", "nowhere_test_", 1);
    refused(&world, "no such database", bisect(&elsewhere), &["nowhere_test_", "DATABASE_URL", "cannot be reached"])
        .await;
    let empty = empty_database().await;
    refused(&world, "an empty schema", bisect(&empty.url()), &["no schema", "bisectd migrate up"]).await;
    let tables: (i64,) = sqlx::query_as("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        .fetch_one(&mut empty.raw().await)
        .await
        .unwrap();
    assert_eq!(tables.0, 0, "nothing was created in it");
}

#[tokio::test]
async fn a_schema_of_another_version_is_refused() {
    let world = World::new(Project::linear(3)).await;
    let bisect = || world.bisect("c0", "c2", &[]).args(FAIL);
    world.program().args(["migrate", "down"]).run().await.expect(0);
    assert!(!world.data_dir().exists(), "`migrate` needs no DATA_DIR");
    refused(&world, "older", bisect(), &["older than this program", "bisectd migrate up"]).await;
    world.program().args(["migrate", "up"]).run().await.expect(0);
    let half =
        "UPDATE _sqlx_migrations SET success = false WHERE version = (SELECT max(version) FROM _sqlx_migrations)";
    world.db.raw().await.execute(half).await.unwrap();
    refused(&world, "half migrated", bisect(), &["half migrated", "did not finish", "bisectd migrate status"]).await;
    let newer = "UPDATE _sqlx_migrations SET success = true; INSERT INTO _sqlx_migrations \
                 (version, description, success, checksum, execution_time) VALUES (29990101000000, 'later', true, '', 0)";
    world.db.raw().await.execute(newer).await.unwrap();
    refused(&world, "newer", bisect(), &["newer than this program", "29990101000000"]).await;
}

#[tokio::test]
async fn docker_that_is_away_and_images_that_cannot_be_used_are_refused() {
    let world = World::new(Project::linear(3)).await;
    let bisect = |options: &[&str]| world.bisect_in_docker("c0", "c2", options).args(FAIL);
    let dead = format!("unix://{}", world.path("docker.sock").display());
    refused(&world, "no Docker", bisect(&[]).env("DOCKER_HOST", &dead), &[&dead, "DOCKER_HOST", "start it"]).await;
    refused(&world, "no address", bisect(&[]).env("DOCKER_HOST", "nonsense"), &["DOCKER_HOST"]).await;
    let absent = "bisect-test.invalid/absent:1";
    refused(&world, "no image", bisect(&["--image", absent]), &[absent, "docker pull"]).await;
    refused(&world, "no name", bisect(&["--image", "No Image"]), &["No Image"]).await;
    refused(&world, "no runner image", bisect(&[]).env("DOCKER_RUNNER_IMAGE", absent), &[absent, "make setup"]).await;
    let empty = EmptyImage::new();
    refused(&world, "no shell", bisect(&["--image", &empty.0]), &[&empty.0, "sh", "shell"]).await;
    world.nothing_is_left().await;
}

/// An image with nothing in it.
struct EmptyImage(String);

impl EmptyImage {
    fn new() -> Self {
        let name = format!("bisect-test-empty:{}", std::process::id());
        let mut import = Command::new("docker");
        import.args(["import", "-", &name]);
        let mut import = import.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        // Two blocks of zeros are the end of an archive, and the whole of this one.
        std::io::Write::write_all(&mut import.stdin.take().unwrap(), &[0; 1024]).unwrap();
        assert!(import.wait().unwrap().success(), "docker import (these tests need Docker: `make setup`)");
        Self(name)
    }
}

impl Drop for EmptyImage {
    fn drop(&mut self) {
        drop(Command::new("docker").args(["rmi", "--force", &self.0]).stdout(Stdio::null()).status());
    }
}
