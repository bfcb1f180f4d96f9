//! `bisectd dial-stdio`, as a process.

use crate::support::{Console, Program, Project, Service, World, eventually};
use nix::sys::signal::Signal;
use std::{fs, path::Path, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, join},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

const HELLO: &str = "GET /v1/hello HTTP/1.1\r\nHost: bisectd\r\nConnection: close\r\n\r\n";
const PATIENCE: Duration = Duration::from_secs(60);

/// A started one with its pipes.
fn dial(socket: &Path, options: &[&str]) -> (Child, ChildStdin, ChildStdout) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bisectd"));
    command.arg("dial-stdio").args(options).arg("--socket").arg(socket);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    (child, input, output)
}

/// What is answered to these bytes, after which nothing more is asked.
async fn answered(socket: &Path, options: &[&str], asked: &str) -> String {
    let (mut child, mut input, mut output) = dial(socket, options);
    input.write_all(asked.as_bytes()).await.unwrap();
    drop(input);
    let mut answer = String::new();
    timeout(PATIENCE, output.read_to_string(&mut answer)).await.expect("it ends").unwrap();
    assert_eq!(timeout(PATIENCE, child.wait()).await.unwrap().unwrap().code(), Some(0));
    answer
}

#[tokio::test]
async fn it_joins_both_ways_and_ends_with_either() {
    let world = World::new(Project::linear(2)).await;
    let service = Service::start(world.serve("one")).await;
    let socket = world.path("one").join("admin.sock");
    let answer = answered(&socket, &[], HELLO).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("bisect-admin-api: 1"), "{answer}");

    // HTTP/2 with streams and requests side by side, as the console does.
    let (mut child, input, output) = dial(&socket, &["--as", "ada"]);
    let mut http = crate::support::Http::two(join(output, input)).await;
    let events = http.ask(hyper::Method::GET, "/v1/events", "").await.unwrap();
    let mut events = crate::support::Lines::of(events);
    let hello = events.until("the first word", |event| match event {
        bisect_shared::admin::Event::Hello(hello) => Some(hello.clone()),
        _ => None,
    });
    assert_eq!(hello.await.operator, "ada");
    assert_eq!(http.get("/v1/jobs").await.0, 200);
    service.stop().await;
    events.until("its end", |event| (*event == bisect_shared::admin::Event::Stopping).then_some(())).await;
    // Its input is still open.
    assert_eq!(timeout(PATIENCE, child.wait()).await.expect("it ends with the daemon").unwrap().code(), Some(0));
}

#[tokio::test]
async fn the_name_is_said_first_and_once() {
    let world = World::new(Project::linear(2)).await;
    let service = Service::start(world.serve("one")).await;
    let socket = world.path("one").join("admin.sock");
    let named = answered(&socket, &["--as", "ada"], HELLO).await;
    assert!(named.contains("\"operator\":\"ada\""), "{named}");
    // Whoever sits behind a forced command cannot say another one.
    let second = answered(&socket, &["--as", "ada"], &format!("BISECT-OPERATOR eve\n{HELLO}")).await;
    assert!(!second.contains("200 OK") && !second.contains("eve"), "{second}");
    let later = format!("{}BISECT-OPERATOR eve\n{HELLO}", HELLO.replace("Connection: close\r\n", ""));
    let later = answered(&socket, &["--as", "ada"], &later).await;
    assert_eq!(later.matches("200 OK").count(), 1, "{later}");
    assert!(!later.contains("eve"), "{later}");
    for bad in ["BISECT-OPERATOR a b\n", "BISECT-OPERATOR \n"] {
        assert_eq!(answered(&socket, &[], &format!("{bad}{HELLO}")).await, "", "closed without a word");
    }
    eventually("it is logged", async || service.log().contains("a name that cannot be one").then_some(())).await;
    let said = Program::new(&world.path("")).args(["dial-stdio", "--as", "a b"]).run().await.expect(2);
    assert!(said.stderr.contains("--as `a b`") && said.stdout.is_empty(), "{}", said.stderr);
    service.stop().await;
}

#[tokio::test]
async fn each_trouble_has_its_own_status_and_words() {
    let world = World::new(Project::linear(2)).await;
    // A configuration of which nothing but the place is right.
    let program = || {
        let program = Program::new(&world.path("")).args(["dial-stdio"]).env("DATA_DIR", world.path("data"));
        program.env("DATABASE_URL", "mysql://no").env("HEARTBEAT_SECONDS", "soon")
    };
    let trouble = async |program: Program, status: i32, words: &str| {
        let ran = program.run().await.expect(status);
        assert!(ran.stdout.is_empty() && ran.stderr.contains(words), "{}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    };
    trouble(program(), 66, "there is no socket at").await;
    fs::create_dir(world.path("data")).unwrap();
    fs::write(world.path("data/admin.sock"), "").unwrap();
    trouble(program(), 65, "is not a socket").await;
    let service = Service::start(world.serve("one")).await;
    let socket = world.path("one").join("admin.sock");
    program().env("ADMIN_SOCKET", &socket).run().await.expect(0);
    service.kill().await;
    trouble(program().env("ADMIN_SOCKET", &socket), 69, "the daemon is not running").await;
}

#[tokio::test]
async fn a_signal_ends_it() {
    let world = World::new(Project::linear(2)).await;
    let service = Service::start(world.serve("one")).await;
    let (mut child, _input, _output) = dial(&world.path("one").join("admin.sock"), &[]);
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
    nix::sys::signal::kill(pid, Signal::SIGTERM).unwrap();
    timeout(PATIENCE, child.wait()).await.expect("it ends").unwrap();
    assert_eq!(Console::of(&world, "one").get("/v1/hello").await.0, 200);
    service.stop().await;
}
