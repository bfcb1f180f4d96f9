//! Mirrors: one bare repository per source under `DATA_DIR/mirrors`, whose objects the lanes
//! borrow. Both ends of every job are pinned by refs, and nothing is collected while they are.

use crate::git::{Git, GitError, Repository, is_url, text_of};
use bisect_shared::{JobId, Sha};
use sha2::{Digest, Sha256};
use std::{
    fs::File,
    path::{Path, PathBuf},
};

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
    /// When it cannot be created.
    pub async fn mirror(&self, source: &str) -> Result<Mirror, GitError> {
        let path = self.folder.join(format!("{}.git", key(source)));
        let mirror = Mirror { git: self.git.clone(), path, source: source.to_owned() };
        if !mirror.path.join("HEAD").exists() {
            let _lock = mirror.lock().await?;
            // World-readable whatever the umask: lanes read it under uids of their own.
            let args = ["init", "--quiet", "--bare", "--shared=world", "--template=", "--initial-branch=main", "."];
            let mut command = self.git.command(&mirror.path, args);
            std::fs::create_dir_all(&mirror.path).map_err(|error| mirror.unwritable(&error))?;
            command.current_dir(&mirror.path);
            let output = command.output().await.map_err(GitError::Missing)?;
            text_of(&command, &output)?;
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
        self.fetch_refs(&["+refs/heads/*:refs/heads/*".into(), "+refs/tags/*:refs/tags/*".into()]).await
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
                let tags = "+refs/tags/*:refs/tags/*".to_owned();
                self.fetch_refs(&wanted.chain([tags]).collect::<Vec<_>>()).await?;
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

    async fn fetch_refs(&self, refspecs: &[String]) -> Result<(), GitError> {
        let _lock = self.lock().await?;
        let mut command = self.git.fetch_command(&self.path, &self.source, refspecs);
        let output = command.output().await.map_err(GitError::Missing)?;
        text_of(&command, &output).map(|_| ()).map_err(|error| match error {
            GitError::Failed { reason, .. } => {
                GitError::Failed { command: format!("fetch from {}", without_password(&self.source)), reason }
            }
            other => other,
        })
    }

    /// One fetch at a time into one mirror, over all processes of this machine.
    async fn lock(&self) -> Result<File, GitError> {
        let path = self.path.with_extension("lock");
        let locked = tokio::task::spawn_blocking(move || {
            let file = File::create(path)?;
            file.lock()?;
            Ok(file)
        });
        let file = locked.await.map_err(std::io::Error::other).and_then(|file| file);
        file.map_err(|error: std::io::Error| self.unwritable(&error))
    }

    fn unwritable(&self, error: &std::io::Error) -> GitError {
        GitError::Input(format!("{}: {error}; DATA_DIR must be writable", self.path.display()))
    }
}

/// The folder name of a source: its digest, since an address may hold any character.
fn key(source: &str) -> String {
    hex::encode(&Sha256::digest(source.as_bytes())[..16])
}

/// An address as it may be shown: without what stands before the `@` of its host.
#[must_use]
pub fn without_password(source: &str) -> String {
    match source.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            format!("{scheme}://{host}/{path}")
        }
        None => source.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_an_address_is_not_shown() {
        assert_eq!(without_password("https://u:s3cret@host/a/b"), "https://host/a/b");
        assert_eq!(without_password("/srv/repo"), "/srv/repo");
    }
}
