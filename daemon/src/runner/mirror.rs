//! Mirrors: one bare repository per source under `DATA_DIR/mirrors`, whose objects the lanes
//! borrow. Both ends of every job are pinned by refs, and nothing is collected while they are.

use crate::git::{Git, GitError, Repository, check_address, is_url, output_of, text_of, without_password};
use bisect_shared::{JobId, Sha};
use sha2::{Digest, Sha256};
use std::{
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
        if is_url(source) {
            check_address(source)?;
        }
        let path = self.folder.join(format!("{}.git", key(source)));
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
        self.fetch_refs(&["+refs/heads/*:refs/heads/*".into(), TAGS.into()], true).await
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
    /// is fetched: the commits themselves from a repository of this machine, else all branches.
    ///
    /// # Errors
    /// When the source no longer has one of them.
    pub async fn pin(&self, job: JobId, commits: &[Sha]) -> Result<(), GitError> {
        if self.missing(commits).await? {
            if is_url(&self.source) {
                self.fetch().await?;
            } else {
                let wanted = commits.iter().map(|sha| format!("+{sha}:refs/bisect/{job}/{sha}"));
                self.fetch_refs(&wanted.collect::<Vec<_>>(), false).await?;
                // Only for `git describe` in a test: one broken tag must not cost the search.
                if let Err(error) = self.fetch_refs(&[TAGS.into()], true).await {
                    tracing::warn!(error = %error, "tags were not fetched");
                }
            }
        }
        for sha in commits {
            let name = format!("refs/bisect/{job}/{sha}");
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

    async fn fetch_refs(&self, refspecs: &[String], prune: bool) -> Result<(), GitError> {
        let _lock = self.lock().await?;
        if !self.is_made() {
            // Another process, whose first fetch failed, has removed it just now.
            self.make().await?;
        }
        let mut command = self.git.fetch_command(&self.path, &self.source, refspecs, prune);
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

/// The folder name of a source: its digest, since an address may hold any character.
fn key(source: &str) -> String {
    hex::encode(&Sha256::digest(source.as_bytes())[..16])
}
