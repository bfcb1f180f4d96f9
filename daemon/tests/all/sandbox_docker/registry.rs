//! Images that this machine lacks: fetched from a real registry, if the operator lets it be used.

use super::world::{World, commit, docker, probe};
use crate::support::eventually;
use bisect_shared::Ending;
use bisectd::sandbox::{ProbeSpec, Sandbox, SandboxError, docker::DockerConfig};
use std::{
    fs,
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

/// Debian's docker-registry on a port of its own, with nothing in it.
struct Registry {
    process: Child,
    host: String,
    _folder: TempDir,
}

impl Registry {
    async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let host = format!("127.0.0.1:{port}");
        let config = folder.path().join("config.yml");
        let root = folder.path().display();
        let text = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {root}/images}}}}\nhttp: {{addr: {host}}}\n"
        );
        fs::write(&config, text).unwrap();
        let mut serve = Command::new("docker-registry");
        serve.arg("serve").arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = serve.spawn().expect("docker-registry is not installed; `docker/setup.sh --tests` does that");
        eventually("the registry answers", async || TcpStream::connect(&host).ok()).await;
        Self { process, host, _folder: folder }
    }

    /// An image that is there, and on this machine no more.
    fn holds(&self, name: &str) -> String {
        let name = format!("{}/{name}", self.host);
        docker(&["tag", "debian:bookworm-slim", &name]);
        docker(&["push", "--quiet", &name]);
        docker(&["rmi", &name]);
        name
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn unusable(checked: Result<Option<String>, SandboxError>) -> String {
    match checked {
        Err(SandboxError::Unusable(message)) => message,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_image_that_is_not_here_is_fetched_from_the_registries_that_may_be_used() {
    let registry = Registry::start().await;
    let world = World::with(DockerConfig { registries: vec![registry.host.clone()], ..DockerConfig::default() });
    let with = |image: &str| ProbeSpec { image: image.to_owned(), ..world.spec(&["sh", "-c", "echo here"]) };

    // Without a version: only the one called `latest`, however many there are.
    let (latest, other) = (registry.holds("octo/image"), registry.holds("octo/image:other"));
    let mut lane = world.lane(with(&latest)).await;
    let probed = probe(&mut *lane, commit("calm")).await;
    assert_eq!((probed.ending(), probed.text().trim()), (Ending::Exited(0), "here"));
    world.end(lane).await;
    let here = docker(&["images", "--format", "{{.Repository}}:{{.Tag}}", &format!("{}/octo/image", registry.host)]);
    assert_eq!(here, [format!("{latest}:latest")]);
    docker(&["rmi", &latest]);

    let message = unusable(world.sandbox.check(&with(&format!("{}/octo/absent:1", registry.host))).await);
    assert!(message.contains("octo/absent:1") && message.contains("spelling"), "{message}");
    let strict = World::new();
    let message = unusable(strict.sandbox.check(&with(&other)).await);
    assert!(message.contains(&format!("`docker pull {other}` fetches it")), "{message}");

    drop(registry);
    let message = unusable(world.sandbox.check(&with(&other)).await);
    assert!(message.contains("cannot be asked") && message.contains(&format!("`docker pull {other}`")), "{message}");
    world.left_nothing_soon().await;
}
