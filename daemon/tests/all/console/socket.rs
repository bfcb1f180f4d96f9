//! The socket's file: who may use it, what becomes of one that is there.

use crate::support::{Console, Project, Service, World, eventually};
use std::{
    fs,
    os::unix::fs::{FileTypeExt, PermissionsExt, chown},
    path::Path,
    process::{Command, Stdio},
};

/// `dial-stdio` as the user `nobody`, in no group but `group`: exit status and standard error.
fn dial_as_nobody(program: &Path, socket: &Path, group: &str) -> (Option<i32>, String) {
    let ran = Command::new("setpriv")
        .args(["--reuid=nobody", &format!("--regid={group}"), "--clear-groups", "--"])
        .arg(program)
        .args(["dial-stdio", "--socket"])
        .arg(socket)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (ran.status.code(), String::from_utf8(ran.stderr).unwrap())
}

#[tokio::test]
async fn only_its_owner_and_group_may_use_it_and_it_goes_with_the_service() {
    let world = World::new(Project::linear(2)).await;
    let service = Service::start(world.serve("one")).await;
    let socket = world.path("one").join("admin.sock");
    let found = fs::metadata(&socket).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o7777, 0o660);
    assert_eq!(Console::of(&world, "one").get("/v1/hello").await.0, 200);
    if nix::unistd::geteuid().is_root() {
        // Somewhere nobody may start it from; and nothing but the socket's own mode keeps them out.
        let program = world.path("bisectd");
        fs::copy(env!("CARGO_BIN_EXE_bisectd"), &program).unwrap();
        fs::set_permissions(world.path("one"), PermissionsExt::from_mode(0o755)).unwrap();
        let (status, said) = dial_as_nobody(&program, &socket, "nogroup");
        assert_eq!(status, Some(77), "{said}");
        assert!(said.contains("may not be used by this user: it belongs to group root (owner root)"), "{said}");
        let nogroup = nix::unistd::Group::from_name("nogroup").unwrap().unwrap();
        chown(&socket, None, Some(nogroup.gid.as_raw())).unwrap();
        assert_eq!(dial_as_nobody(&program, &socket, "nogroup").0, Some(0), "in its group they may");
        // A folder that cannot be entered.
        fs::set_permissions(world.path("one"), PermissionsExt::from_mode(0o700)).unwrap();
        let (status, said) = dial_as_nobody(&program, &socket, "nogroup");
        assert!(status == Some(77) && said.contains("its folder"), "{said}");
    } else {
        eprintln!("skipped in part: only root can be another user");
    }
    service.stop().await;
    assert!(!socket.exists(), "removed at the end");
}

#[tokio::test]
async fn a_stale_one_is_replaced_and_a_live_one_refused() {
    let world = World::new(Project::linear(2)).await;
    let service = Service::start(world.serve("one")).await;
    let socket = world.path("one").join("admin.sock");
    let second = world.serve("other").env("ADMIN_SOCKET", &socket).run().await.expect(2);
    let said = &second.stderr;
    assert!(said.contains("another bisectd answers on") && said.contains("ADMIN_SOCKET="), "{said}");
    let console = Console::of(&world, "one");
    let first = Console::good(console.get("/v1/hello").await)["instance"].clone();

    service.kill().await;
    assert!(socket.exists(), "what kill -9 leaves");
    let again = Service::start(world.serve("one")).await;
    assert_ne!(Console::good(console.get("/v1/hello").await)["instance"], first);
    again.stop().await;
    assert!(!socket.exists());
}

#[tokio::test]
async fn what_is_no_socket_is_left_alone_and_a_place_that_cannot_be_is_named() {
    let world = World::new(Project::linear(2)).await;
    let at = world.path("notes");
    fs::write(&at, "mine").unwrap();
    let said = world.serve("one").env("ADMIN_SOCKET", &at).run().await.expect(2).stderr;
    assert!(said.contains("is there and is no socket"), "{said}");
    assert_eq!(fs::read_to_string(&at).unwrap(), "mine");
    for nowhere in [world.path("no/such/admin.sock"), world.path("long").join("x".repeat(120))] {
        let said = world.serve("one").env("ADMIN_SOCKET", &nowhere).run().await.expect(2).stderr;
        assert!(said.contains("ADMIN_SOCKET: ") && said.contains("cannot be made"), "{said}");
    }
    // One folder is made, as systemd would.
    let below = world.path("run/admin.sock");
    let service = Service::start(world.serve("one").env("ADMIN_SOCKET", &below)).await;
    let console = Console { socket: below, preamble: String::new() };
    assert_eq!(console.get("/v1/hello").await.0, 200);
    service.stop().await;
}

#[tokio::test]
async fn it_answers_until_the_process_ends() {
    let world = World::new(Project::linear(9)).await;
    let service = Service::start(world.serve("one")).await;
    let job = world.enqueue("sleep 1000").await;
    eventually("a probe runs", async || (!world.probes(job).await.is_empty()).then_some(())).await;
    // The database does not let the job go, so that a stop takes its whole grace.
    let mut raw = world.db.raw().await;
    sqlx::Executor::execute(&mut raw, "BEGIN; SELECT 1 FROM bisect_jobs FOR UPDATE").await.unwrap();
    service.signal(nix::sys::signal::Signal::SIGTERM);
    eventually("it stops", async || service.log().contains("stopping").then_some(())).await;
    assert_eq!(Console::of(&world, "one").get("/v1/jobs").await.0, 200);
    service.signal(nix::sys::signal::Signal::SIGTERM);
    service.end().await.expect(0);
}
