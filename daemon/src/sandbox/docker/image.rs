//! Images: whether one is there, what it really is, and whether commands can run in it.

use super::{
    container,
    engine::{self, Engine},
    labels::Labels,
};
use crate::sandbox::{ProbeSpec, SandboxError};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::io::AsyncWriteExt;

/// An image as the engine holds it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    /// Its digest, by which containers are made: a name may move in the middle of a job.
    pub(super) id: String,
    /// The `PATH` of its configuration.
    pub(super) path: Option<String>,
    /// Whether it is the runner image, whose home is ready-made.
    pub(super) is_runner: bool,
}

/// What was found out about images; a digest never changes its content.
#[derive(Debug, Clone, Default)]
pub(super) struct Images {
    usable: Arc<Mutex<HashSet<String>>>,
}

impl Images {
    /// Finds an image by name, and the runner image that every lane needs as well.
    pub(super) async fn find(&self, engine: &Engine, name: &str) -> Result<Image, SandboxError> {
        let runner_name = &engine.config.runner_image;
        let mut image = inspect(engine, name).await?;
        image.is_runner = name == runner_name || image.id == inspect(engine, runner_name).await?.id;
        Ok(image)
    }

    /// As [`Images::find`], and runs a shell in it once. The runner image is known to have one.
    pub(super) async fn check(&self, engine: &Engine, spec: &ProbeSpec) -> Result<Image, SandboxError> {
        let image = self.find(engine, &spec.image).await?;
        let usable = || self.usable.lock().unwrap_or_else(PoisonError::into_inner);
        if !image.is_runner && !usable().contains(&image.id) {
            run_a_shell(engine, spec, &image).await?;
            usable().insert(image.id.clone());
        }
        Ok(image)
    }
}

async fn inspect(engine: &Engine, name: &str) -> Result<Image, SandboxError> {
    // Docker's answer to anything else is one about URLs.
    let is_name = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
    if name.is_empty() || !name.chars().all(is_name) {
        return Err(SandboxError::Unusable(format!("`{name}` is not the name of an image")));
    }
    let absent = async {
        match engine.docker.inspect_image(name).await {
            Err(error) if engine::status(&error) == Some(404) => Ok(None),
            other => other.map(Some),
        }
    };
    let Some(found) = engine.call("looking for the image", absent).await? else {
        let way_out = if name == engine.config.runner_image {
            "`make setup` builds it".to_owned()
        } else {
            format!("`docker pull {name}` fetches it")
        };
        return Err(SandboxError::Unusable(format!("there is no image `{name}` on this machine; {way_out}")));
    };
    let variables = found.config.and_then(|config| config.env).unwrap_or_default();
    Ok(Image {
        id: found.id.unwrap_or_default(),
        path: variables.iter().find_map(|variable| variable.strip_prefix("PATH=").map(str::to_owned)),
        is_runner: false,
    })
}

async fn run_a_shell(engine: &Engine, spec: &ProbeSpec, image: &Image) -> Result<(), SandboxError> {
    let labels = Labels::new(&engine.config.owner, spec);
    let mut body = container::powerless(&image.id, &labels, "read -r word && echo \"$word\"", []);
    if let Some(host) = &mut body.host_config {
        host.runtime.clone_from(&engine.config.runtime);
    }
    let doing = "running a shell in the image";
    let no_shell = |reason: &str| {
        let name = &spec.image;
        SandboxError::Unusable(format!(
            "the image `{name}` cannot run `sh`, which every test needs: {}; choose one that has a shell",
            reason.trim()
        ))
    };
    let launched = engine.launch(doing, labels.name("check"), body).await;
    let mut shell = match launched {
        Err(SandboxError::Engine { reason, .. }) if names_the_program(&reason) => {
            return Err(no_shell(&reason));
        }
        other => other?,
    };
    let talk = async {
        shell.input.write_all(b"usable\n").await?;
        shell.input.flush().await?;
        Ok::<_, std::io::Error>(engine::read_all(&mut shell.output).await)
    };
    let answer = tokio::time::timeout(engine.config.call_timeout, talk)
        .await
        .map_err(|_| engine::failed(doing, "it did not answer in time"))?
        .map_err(|error| engine::failed(doing, error))?;
    if answer == "usable\n" { Ok(()) } else { Err(no_shell(&answer)) }
}

/// Whether a container's start failed for the program, and not for the engine.
fn names_the_program(reason: &str) -> bool {
    ["executable file not found", "no such file or directory", "exec format error", "permission denied"]
        .iter()
        .any(|text| reason.contains(text))
}
