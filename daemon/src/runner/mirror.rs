//! Mirrors: one bare repository per source under `DATA_DIR/mirrors`, whose objects the lanes
//! borrow. Both ends of every job are pinned by refs, and nothing is collected while they are.

use super::{credentials::Credentials, spec::JobSpec};
use crate::{
    db::jobs::JobRow,
    git::{Git, GitError, Repository, Token, check_address, is_url, output_of, text_of, without_password},
};
use bisect_shared::{JobId, Sha};
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeSet,
    fs::File,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

const TAGS: &str = "+refs/tags/*:refs/tags/*";

/// The folder of all mirrors.
#[derive(Debug, Clone)]
pub struct Mirrors {
    folder: PathBuf,
    git: Git,
}

/// One mirror, ready to be read.
#[derive(Debug, Clone)]
pub struct Mirror {
    git: Git,
    path: PathBuf,
    source: String,
}

/// What tells one mirror from another: the folder's name.
///
/// Of an address or path, its digest. Of a repository on GitHub, GitHub's number: a repository that
/// is renamed or moves keeps its mirror, and another one that takes over the name does not get to
/// see the objects of the first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MirrorName(String);

impl MirrorName {
    /// Of an address or a path: its digest, since it may hold any character.
    #[must_use]
    pub fn of_source(source: &str) -> Self {
        Self(digest(source))
    }

    /// Of the repository with this number at one GitHub.
    #[must_use]
    pub fn hosted(url: &str, id: i64) -> Self {
        Self(format!("{}{id}", Self::prefix(url)))
    }

    fn prefix(url: &str) -> String {
        format!("github-{}-", &digest(url.trim_end_matches('/'))[..12])
    }
}

impl Mirrors {
    /// The mirrors in `data_dir`.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn open(data_dir: &Path) -> std::io::Result<Self> {
        let folder = data_dir.join("mirrors");
        Ok(Self { git: Git::fetcher(&folder)?, folder })
    }

    /// The mirror of `source` (a path of this machine or an address), created if it is not there.
    ///
    /// # Errors
    /// When it cannot be created, or the address may not be used.
    pub async fn mirror(&self, source: &str) -> Result<Mirror, GitError> {
        self.named(source, &MirrorName::of_source(source)).await
    }

    /// The mirror of a job's repository.
    ///
    /// # Errors
    /// As [`Mirrors::mirror`], and when the repository is not known any more.
    pub async fn of_job(
        &self,
        job: &JobRow,
        spec: &JobSpec,
        credentials: &dyn Credentials,
    ) -> Result<Mirror, GitError> {
        match credentials.repository(job).await? {
            Some(hosted) => self.named(&hosted.address, &hosted.mirror).await,
            None => self.mirror(&spec.source).await,
        }
    }

    /// GitHub's numbers of the repositories that have a mirror here, of one GitHub.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn hosted(&self, url: &str) -> std::io::Result<Vec<i64>> {
        let prefix = MirrorName::prefix(url);
        let mut ids = Vec::new();
        for entry in self.folder.read_dir()? {
            let name = entry?.file_name();
            let id =
                name.to_str().and_then(|name| name.strip_prefix(&prefix)?.strip_suffix(".git")?.parse::<i64>().ok());
            ids.extend(id);
        }
        Ok(ids)
    }

    /// Every mirror of this machine, to look into.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn all(&self) -> std::io::Result<Vec<Mirror>> {
        let mut mirrors = Vec::new();
        for entry in self.folder.read_dir()? {
            let path = entry?.path();
            let is_mirror = path.extension().is_some_and(|extension| extension == "git");
            let mirror = Mirror { git: self.git.clone(), path, source: String::new() };
            if is_mirror && mirror.is_made() {
                mirrors.push(mirror);
            }
        }
        Ok(mirrors)
    }

    /// Removes the mirror of a source that no job uses any more, and says whether there was one. A
    /// fetch into it is waited for.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub async fn remove(&self, name: &MirrorName) -> Result<bool, GitError> {
        let path = self.folder.join(format!("{}.git", name.0));
        if !path.exists() {
            return Ok(false);
        }
        let mirror = Mirror { git: self.git.clone(), path, source: String::new() };
        let lock = mirror.lock().await?;
        // Out of the way first: nobody may meet one that is half removed.
        let removed = mirror.path.with_extension("removed");
        let (from, to) = (mirror.path.clone(), removed.clone());
        let done = tokio::task::spawn_blocking(move || {
            if to.exists() {
                std::fs::remove_dir_all(&to)?;
            }
            std::fs::rename(&from, &to)?;
            std::fs::remove_dir_all(&to)
        });
        let done = done.await.map_err(std::io::Error::other).and_then(|done| done);
        done.map_err(|error: std::io::Error| mirror.unwritable(&error))?;
        drop(lock);
        Ok(true)
    }

    async fn named(&self, source: &str, name: &MirrorName) -> Result<Mirror, GitError> {
        if is_url(source) {
            check_address(source)?;
        }
        let path = self.folder.join(format!("{}.git", name.0));
        let mirror = Mirror { git: self.git.clone(), path, source: source.to_owned() };
        if !mirror.is_made() {
            let _lock = mirror.lock().await?;
            mirror.make().await?;
        }
        Ok(mirror)
    }
}

impl Mirror {
    /// The bare repository.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The same, to ask.
    #[must_use]
    pub fn repository(&self) -> Repository {
        Repository::at(self.git.clone(), self.path.clone())
    }

    /// Fetches the source's branches and tags.
    ///
    /// # Errors
    /// When the source cannot be read; the message names it.
    pub async fn fetch(&self) -> Result<(), GitError> {
        self.fetch_with(None).await
    }

    async fn fetch_with(&self, token: Option<&SecretString>) -> Result<(), GitError> {
        self.fetch_refs(&["+refs/heads/*:refs/heads/*".into(), TAGS.into()], true, token).await
    }

    /// Fetches with the job's token.
    async fn fetch_as(&self, job: &JobRow, credentials: &dyn Credentials) -> Result<(), GitError> {
        let token = credentials.of(job).await?;
        let fetched = self.fetch_with(token.as_ref()).await;
        if let (Err(_), Some(token)) = (&fetched, &token) {
            credentials.failed(job, token).await;
        }
        fetched
    }

    /// Makes `HEAD` mean what it means to the source: the tip of its main branch, whatever its name.
    ///
    /// # Errors
    /// When the source cannot be asked.
    pub async fn follow_head(&self) -> Result<(), GitError> {
        let mut command = self.git.head_command(&self.path, &self.source);
        let output = output_of(&mut command).await?;
        let listed = text_of(&command, &output)?;
        let head = listed.split_whitespace().next().and_then(|sha| sha.parse::<Sha>().ok());
        match head {
            Some(sha) => self.git.run(&self.path, ["update-ref", "--no-deref", "HEAD", &sha.to_string()]).await,
            None => self.git.run(&self.path, ["symbolic-ref", "HEAD", "refs/bisect/no-head"]).await,
        }
        .map(drop)
    }

    /// Makes sure that `commits` are here and stay here until [`Mirror::unpin`]. What is missing
    /// is fetched: the commits themselves from a repository of this machine, else all branches. With `newest_tags` the tags
    /// are fetched in any case. Only for that a token is asked for.
    ///
    /// # Errors
    /// When the source no longer has one of them, or must not be read.
    pub async fn pin(
        &self,
        job: &JobRow,
        commits: &[Sha],
        newest_tags: bool,
        credentials: &dyn Credentials,
    ) -> Result<(), GitError> {
        let missing = self.missing(commits).await?;
        if missing || newest_tags {
            if is_url(&self.source) {
                match self.fetch_as(job, credentials).await {
                    // The job can go on with the tags that are here.
                    Err(error) if !missing => tracing::warn!(error = %error, "the newest tags were not fetched"),
                    fetched => fetched?,
                }
            } else {
                if missing {
                    let job = job.id;
                    let wanted = commits.iter().map(|sha| format!("+{sha}:refs/bisect/{job}/{sha}"));
                    self.fetch_refs(&wanted.collect::<Vec<_>>(), false, None).await?;
                }
                // For `auto`, and for `git describe` in a test: one broken tag must not cost the search.
                if let Err(error) = self.fetch_refs(&[TAGS.into()], true, None).await {
                    tracing::warn!(error = %error, "tags were not fetched");
                }
            }
        }
        for sha in commits {
            let name = format!("refs/bisect/{}/{sha}", job.id);
            self.git.run(&self.path, ["update-ref", &name, &sha.to_string()]).await?;
        }
        Ok(())
    }

    /// Lets go of what [`Mirror::pin`] held for a job.
    ///
    /// # Errors
    /// When git fails.
    pub async fn unpin(&self, job: JobId) -> Result<(), GitError> {
        let prefix = format!("refs/bisect/{job}/");
        let listed = self.git.run(&self.path, ["for-each-ref", "--format=%(refname)", &prefix]).await?;
        for name in listed.lines() {
            self.git.run(&self.path, ["update-ref", "-d", name]).await?;
        }
        Ok(())
    }

    /// The jobs of which [`Mirror::pin`] holds commits.
    ///
    /// # Errors
    /// When git fails.
    pub async fn pinned(&self) -> Result<BTreeSet<JobId>, GitError> {
        let listed = self.git.run(&self.path, ["for-each-ref", "--format=%(refname:lstrip=2)", "refs/bisect/"]).await?;
        Ok(listed.lines().filter_map(|name| name.split('/').next()?.parse().ok().map(JobId)).collect())
    }

    async fn missing(&self, commits: &[Sha]) -> Result<bool, GitError> {
        for sha in commits {
            // `rev-list -1` rather than `cat-file -e`: the commit's own parents must be here too.
            let id = sha.to_string();
            if self.git.run(&self.path, ["rev-list", "-1", "--quiet", &id, "--"]).await.is_err() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn fetch_refs(&self, refspecs: &[String], prune: bool, token: Option<&SecretString>) -> Result<(), GitError> {
        let _lock = self.lock().await?;
        if !self.is_made() {
            // Another process, whose first fetch failed, has removed it just now.
            self.make().await?;
        }
        let memory = token.map(Token::new).transpose().map_err(|error| self.failed(error.to_string()))?;
        let mut command = self.git.fetch_command(&self.path, &self.source, refspecs, prune, memory.as_ref());
        let output = output_of(&mut command).await?;
        let fetched = text_of(&command, &output).map(|_| ()).map_err(|error| match error {
            GitError::Failed { reason, .. } => {
                GitError::Failed { command: format!("fetch from {}", without_password(&self.source)), reason }
            }
            other => other,
        });
        if fetched.is_err() {
            self.remove_if_empty();
        }
        fetched
    }

    fn is_made(&self) -> bool {
        self.path.join("HEAD").exists()
    }

    /// Makes an empty one; the caller holds the lock. One that is there stays as it is.
    async fn make(&self) -> Result<(), GitError> {
        // World-readable whatever the umask: lanes read it under uids of their own.
        let args = ["init", "--quiet", "--bare", "--shared=world", "--template=", "--initial-branch=main", "."];
        let mut command = self.git.command(&self.path, args);
        std::fs::create_dir_all(&self.path).map_err(|error| self.unwritable(&error))?;
        command.current_dir(&self.path);
        let output = output_of(&mut command).await?;
        text_of(&command, &output).map(drop)
    }

    /// What was made for an address that is none is not kept, nor its lock, which the caller holds.
    fn remove_if_empty(&self) {
        let holds_nothing = |folder: &Path| folder.read_dir().is_ok_and(|mut entries| entries.next().is_none());
        let objects = self.path.join("objects");
        let Ok(entries) = objects.read_dir() else { return };
        if !entries.flatten().all(|entry| holds_nothing(&entry.path())) {
            return;
        }
        for removed in [std::fs::remove_dir_all(&self.path), std::fs::remove_file(self.lock_path())] {
            if let Err(error) = removed {
                tracing::warn!(path = %self.path.display(), error = %error, "an empty mirror was left");
            }
        }
    }

    fn failed(&self, reason: String) -> GitError {
        GitError::Failed { command: format!("fetch from {}", without_password(&self.source)), reason }
    }

    /// One fetch at a time into one mirror, over all processes of this machine.
    async fn lock(&self) -> Result<File, GitError> {
        let path = self.lock_path();
        let locked = tokio::task::spawn_blocking(move || {
            loop {
                let file = File::create(&path)?;
                file.lock()?;
                // Removed while it was waited for, it locks out nobody: then the next one counts.
                let there = std::fs::metadata(&path).ok().map(|there| (there.dev(), there.ino()));
                if there == file.metadata().ok().map(|ours| (ours.dev(), ours.ino())) {
                    return Ok(file);
                }
            }
        });
        let file = locked.await.map_err(std::io::Error::other).and_then(|file| file);
        file.map_err(|error: std::io::Error| self.unwritable(&error))
    }

    fn lock_path(&self) -> PathBuf {
        self.path.with_extension("lock")
    }

    fn unwritable(&self, error: &std::io::Error) -> GitError {
        GitError::Input(format!("{}: {error}; DATA_DIR must be writable", self.path.display()))
    }
}

fn digest(source: &str) -> String {
    hex::encode(&Sha256::digest(source.as_bytes())[..16])
}
