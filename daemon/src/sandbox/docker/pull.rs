//! Fetches an image that somebody named and this machine lacks, from the registries that its operator lets it use.

use super::engine::{self, Engine};
use crate::sandbox::SandboxError;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures::StreamExt;
use std::time::Duration;

/// How long one image may take.
const PATIENCE: Duration = Duration::from_mins(15);

/// The registry of a name that has none.
const DOCKER_HUB: &str = "docker.io";

/// Fetches `name`, if its registry is one of [`super::DockerConfig::registries`]; answers whether it did.
///
/// # Errors
/// [`SandboxError::Unusable`] when the registry has no such image, does not give it to everybody, or cannot be reached from
/// here at all; [`SandboxError::Engine`] when it may answer later.
pub(super) async fn pull(engine: &Engine, name: &str) -> Result<bool, SandboxError> {
    if is_digest(name) || !engine.config.registries.iter().any(|known| known == registry(name)) {
        return Ok(false);
    }
    tracing::info!(image = name, "an image is fetched");
    let doing = format!("fetching the image `{name}`");
    let mut options = CreateImageOptionsBuilder::new().from_image(name);
    if !has_version(name) {
        // Without one Docker fetches every version there is.
        options = options.tag("latest");
    }
    let fetching = async {
        let mut progress = engine.docker.create_image(Some(options.build()), None, None);
        while let Some(step) = progress.next().await {
            step.map_err(|error| refused(&doing, name, &error.to_string()))?;
        }
        Ok(true)
    };
    tokio::time::timeout(PATIENCE, fetching)
        .await
        .unwrap_or_else(|_| Err(engine::failed(&doing, format!("it took longer than {} min", PATIENCE.as_secs() / 60))))
}

/// Docker has no code for these: it hands on the words of the registry.
fn refused(doing: &str, name: &str, said: &str) -> SandboxError {
    const ABSENT: [&str; 5] =
        ["not found", "manifest unknown", "access denied", "unauthorized", "no matching manifest"];
    // Not by a timeout, which may pass: this machine has no way there.
    const NO_WAY: [&str; 3] = ["no such host", "connection refused", "network is unreachable"];
    let (lower, registry) = (said.to_lowercase(), registry(name));
    let says = |any: &[&str]| any.iter().any(|words| lower.contains(words));
    if says(&NO_WAY) {
        return SandboxError::Unusable(format!(
            "there is no image `{name}` on this machine, and {registry} cannot be asked for it ({said}); `docker pull {name}` \
             fetches it once it can"
        ));
    }
    if says(&ABSENT) {
        return SandboxError::Unusable(format!(
            "there is no image `{name}` that {registry} gives to everybody ({said}); look at its spelling"
        ));
    }
    engine::failed(doing, format!("{said}; `docker pull {name}` on this machine says more"))
}

/// Whether the name is that of content, which no registry can be asked for.
fn is_digest(name: &str) -> bool {
    name.starts_with("sha256:")
}

/// Whether a tag or a digest is named.
fn has_version(name: &str) -> bool {
    name.contains('@') || name.rsplit('/').next().is_some_and(|last| last.contains(':'))
}

/// The host of a name's registry, as Docker reads it: what stands before the first slash, if it cannot be the name of a
/// user (<https://pkg.go.dev/github.com/distribution/reference>).
fn registry(name: &str) -> &str {
    match name.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => DOCKER_HUB,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_read_as_docker_reads_it() {
        for (name, host) in [
            ("python:3.12-slim", "docker.io"),
            ("library/python", "docker.io"),
            ("docker.io/library/python:3", "docker.io"),
            ("ghcr.io/octo/image@sha256:00", "ghcr.io"),
            ("localhost/image", "localhost"),
            ("127.0.0.1:5000/image", "127.0.0.1:5000"),
            ("registry:5000/image:1", "registry:5000"),
        ] {
            assert_eq!(registry(name), host, "{name}");
        }
    }

    #[test]
    fn a_port_is_no_version() {
        assert!(["python:3", "a.b:1/c:2", "python@sha256:00"].into_iter().all(has_version));
        assert!(!["python", "a.b:1/c"].into_iter().any(has_version));
    }
}
