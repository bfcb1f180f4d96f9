//! Images: whether one is there, what it really is, and whether commands can run in it.

use super::{
    container,
    engine::{self, Engine},
    labels::Labels,
    pull::pull,
};
use crate::sandbox::{ProbeSpec, SandboxError};
use std::{
    collections::{BTreeSet, HashSet},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::io::AsyncWriteExt;

/// The label in which docker/setup.sh keeps the SHA-256 of what it builds the runner image from.
const RECIPE: &str = "bisect.context-sha256";

/// An image as the engine holds it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    /// Its digest, by which containers are made: a name may move in the middle of a job.
    pub(super) id: String,
    /// What it is for a job that goes on elsewhere: the digest, but for a runner image that docker/setup.sh built
    /// what it was built from. Every machine builds its own, and the digests of one recipe differ.
    pub(super) identity: String,
    /// The `PATH` of its configuration.
    pub(super) path: Option<String>,
    /// What it declares as `VOLUME`, but for `/tmp`, which is a mount of its own anyway.
    pub(super) volumes: Vec<String>,
    /// Whether it is the runner image, whose home is ready-made.
    pub(super) is_runner: bool,
}

/// What was found out about images; a digest never changes its content.
#[derive(Debug, Clone, Default)]
pub(super) struct Images {
    usable: Arc<Mutex<HashSet<String>>>,
}

impl Images {
    /// Finds the image of a job, and the runner image that every lane needs as well. What the name meant for the
    /// job before goes before what it means now.
    pub(super) async fn find(&self, engine: &Engine, spec: &ProbeSpec) -> Result<Image, SandboxError> {
        let kept = match &spec.image_id {
            Some(identity) => kept(engine, spec, identity).await?,
            None => None,
        };
        match kept {
            Some(image) => Ok(image),
            None => named(engine, &spec.image).await,
        }
    }

    /// The image of a job that has begun: no other one takes its place.
    pub(super) async fn keep(&self, engine: &Engine, spec: &ProbeSpec) -> Result<Image, SandboxError> {
        let Some(identity) = &spec.image_id else { return self.find(engine, spec).await };
        let gone = || {
            let name = &spec.image;
            SandboxError::Unusable(format!(
                "the image `{name}` ({identity}) was removed from this machine while the job ran; what the name means now \
                 may be another image, so run the job again"
            ))
        };
        kept(engine, spec, identity).await?.ok_or_else(gone)
    }

    /// As [`Images::find`], and runs a shell in it once. The runner image is known to have one.
    pub(super) async fn check(&self, engine: &Engine, spec: &ProbeSpec) -> Result<Image, SandboxError> {
        let image = self.find(engine, spec).await?;
        let usable = || self.usable.lock().unwrap_or_else(PoisonError::into_inner);
        if !image.is_runner && !usable().contains(&image.id) {
            run_a_shell(engine, spec, &image).await?;
            usable().insert(image.id.clone());
        }
        Ok(image)
    }
}

/// The image that a job was begun in, if it is still here.
async fn kept(engine: &Engine, spec: &ProbeSpec, identity: &str) -> Result<Option<Image>, SandboxError> {
    if let Some(image) = look_for(engine, identity).await? {
        return told_apart(engine, image).await.map(Some);
    }
    // Of what it was built from the engine knows nothing, but under its name.
    let Some(image) = look_for(engine, &spec.image).await? else { return Ok(None) };
    let image = told_apart(engine, image).await?;
    Ok((image.identity == identity).then_some(image))
}

async fn named(engine: &Engine, name: &str) -> Result<Image, SandboxError> {
    told_apart(engine, inspect(engine, name).await?).await
}

/// The runner image by whatever name. Only that one is known by what it was built from: anybody can write a label.
async fn told_apart(engine: &Engine, image: Image) -> Result<Image, SandboxError> {
    let is_runner = image.id == inspect(engine, &engine.config.runner_image).await?.id;
    let identity = if is_runner { image.identity } else { image.id.clone() };
    Ok(Image { is_runner, identity, ..image })
}

async fn inspect(engine: &Engine, name: &str) -> Result<Image, SandboxError> {
    if let Some(image) = look_for(engine, name).await? {
        return Ok(image);
    }
    let is_ours = name == engine.config.runner_image;
    if !is_ours
        && pull(engine, name).await?
        && let Some(image) = look_for(engine, name).await?
    {
        return Ok(image);
    }
    let way_out =
        if is_ours { "`make setup` builds it".to_owned() } else { format!("`docker pull {name}` fetches it") };
    Err(SandboxError::Unusable(format!("there is no image `{name}` on this machine; {way_out}")))
}

/// The image of this name or digest, if there is one.
async fn look_for(engine: &Engine, name: &str) -> Result<Option<Image>, SandboxError> {
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
    let Some(found) = engine.call("looking for the image", absent).await? else { return Ok(None) };
    let config = found.config.unwrap_or_default();
    let variables = config.env.unwrap_or_default();
    let id = found.id.unwrap_or_default();
    let recipe = config.labels.unwrap_or_default().remove(RECIPE);
    Ok(Some(Image {
        identity: recipe.map_or_else(|| id.clone(), |sha256| format!("built-from:{sha256}")),
        id,
        path: variables.iter().find_map(|variable| variable.strip_prefix("PATH=").map(str::to_owned)),
        volumes: volumes(name, config.volumes.unwrap_or_default())?,
        is_runner: false,
    }))
}

/// What an image declares as `VOLUME`, as plain paths.
fn volumes(name: &str, declared: impl IntoIterator<Item = String>) -> Result<Vec<String>, SandboxError> {
    let mut volumes = BTreeSet::new();
    for path in declared {
        let mut plain: Vec<&str> = Vec::new();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(plain.pop()),
                part => plain.push(part),
            }
        }
        // Ours, and the kernel's: what lies there is none of the image's business.
        if matches!(plain.first(), None | Some(&("bisect" | "proc" | "sys" | "dev"))) {
            return Err(SandboxError::Unusable(format!(
                "the image `{name}` declares the VOLUME `{path}`, where tests have something else; choose another image, \
                 or build this one without it"
            )));
        }
        volumes.insert(format!("/{}", plain.join("/")));
    }
    volumes.remove("/tmp");
    Ok(volumes.into_iter().collect())
}

async fn run_a_shell(engine: &Engine, spec: &ProbeSpec, image: &Image) -> Result<(), SandboxError> {
    let labels = Labels::new(&engine.config.owner, spec);
    let body = container::check(&engine.config, image, &labels, "read -r word && echo \"$word\"");
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
