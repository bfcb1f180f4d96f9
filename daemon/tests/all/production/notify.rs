//! What systemd hears of a service: ready once it is healthy, how it is, that it lives, that it stops.

use crate::support::{DatabaseLink, DockerLink, Project, Service, World, eventually};
use nix::sys::signal::Signal;
use std::{
    os::unix::net::UnixDatagram,
    sync::{Arc, Mutex},
};

/// A service manager that only listens.
struct Manager {
    heard: Arc<Mutex<Vec<String>>>,
}

impl Manager {
    fn listen(socket: &std::path::Path) -> Self {
        let socket = UnixDatagram::bind(socket).unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heard);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length) = socket.recv(&mut buffer) {
                let message = String::from_utf8(buffer[..length].to_vec()).unwrap();
                kept.lock().unwrap().push(message);
            }
        });
        Self { heard }
    }

    /// The messages with this line, by their place among all.
    fn with(&self, line: &str) -> Vec<usize> {
        let heard = self.heard.lock().unwrap();
        (0..heard.len()).filter(|n| heard[*n].lines().any(|said| said == line)).collect()
    }

    async fn hears(&self, line: &str) -> usize {
        eventually(&format!("{line} is told: {:?}", self.heard), async || self.with(line).last().copied()).await
    }
}

#[tokio::test]
async fn the_service_manager_hears_when_it_is_ready_how_it_is_and_that_it_lives() {
    let world = World::new(Project::linear(2)).await;
    let folder = tempfile::tempdir().unwrap();
    let mut docker = DockerLink::new(&folder.path().join("docker.sock"));
    docker.cut();
    let manager = Manager::listen(&folder.path().join("notify"));
    let program = world
        .serve("one")
        .env("DOCKER_HOST", docker.host())
        .env("NOTIFY_SOCKET", folder.path().join("notify"))
        .env("WATCHDOG_USEC", "800000");
    let service = Service::start(program).await;
    // Webhooks can be taken, and Docker may come later: it is fit to serve.
    let ready = manager.hears("READY=1").await;
    manager.hears("STATUS=degraded; Docker does not answer; 0 jobs run").await;
    docker.mend();
    manager.hears("STATUS=healthy; 0 jobs run").await;
    assert_eq!(manager.with("READY=1"), [ready], "it is said once");
    let fed = manager.with("WATCHDOG=1").len();
    eventually("the watchdog is fed again and again", async || {
        (manager.with("WATCHDOG=1").len() >= fed + 5).then_some(())
    })
    .await;
    service.signal(Signal::SIGTERM);
    manager.hears("STOPPING=1").await;
    service.end().await.expect(0);
    assert_eq!(manager.with("STOPPING=1").len(), 1);
}

#[tokio::test]
async fn a_database_that_is_away_is_no_reason_to_be_ended() {
    let world = World::new(Project::linear(2)).await;
    let folder = tempfile::tempdir().unwrap();
    let mut link = DatabaseLink::new(&world.db, &folder.path().join("database"));
    let manager = Manager::listen(&folder.path().join("notify"));
    let program = world
        .serve("one")
        .env("DATABASE_URL", link.url())
        .env("NOTIFY_SOCKET", folder.path().join("notify"))
        .env("WATCHDOG_USEC", "800000");
    let service = Service::start(program).await;
    manager.hears("READY=1").await;
    link.cut();
    let away = eventually("it is told that the database is away", async || {
        let heard = manager.heard.lock().unwrap();
        heard.iter().rposition(|message| message.contains("the database does not answer"))
    })
    .await;
    eventually("the watchdog is fed meanwhile", async || {
        (manager.with("WATCHDOG=1").iter().filter(|n| **n >= away).count() >= 3).then_some(())
    })
    .await;
    link.mend();
    manager.hears("STATUS=healthy; 0 jobs run").await;
    service.stop().await;
}
