//! Questions to one repository: what a name means, what a range holds, who wrote a commit.

use super::{Git, GitError, output_of};
use bisect_shared::Sha;
use std::{
    collections::{HashMap, HashSet},
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// How far apart commits are that stand for releases, where there is no tag.
const STRIDE: usize = 16;

/// A repository that is only read: the user's own, or a mirror.
#[derive(Debug, Clone)]
pub struct Repository {
    git: Git,
    git_dir: PathBuf,
}

/// What is shown of a commit.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CommitInfo {
    /// The commit.
    pub sha: Sha,
    /// Its author's name.
    pub author: String,
    /// Its author's address.
    pub email: String,
    /// The author's date, ISO 8601.
    pub date: String,
    /// The first line of its message.
    pub subject: String,
    /// The files it changes against its first parent, as `git diff --stat` lists them.
    pub files: Vec<String>,
}

impl Repository {
    /// Opens the repository that `path` lies in, as git itself would find it.
    ///
    /// # Errors
    /// When `path` is no repository.
    pub async fn discover(git: Git, path: &Path) -> Result<Self, GitError> {
        let shown = path.display();
        let path = path
            .canonicalize()
            .map_err(|error| GitError::Input(format!("{shown}: {error}; name the folder of a git repository")))?;
        // `--git-dir` would fix the answer, so this one call asks from inside the folder.
        let mut command = git.bare_command();
        command.args(["rev-parse", "--absolute-git-dir"]);
        command.current_dir(if path.is_dir() { path.as_path() } else { Path::new("/") });
        let output = output_of(&mut command).await?;
        if !output.status.success() || !path.is_dir() {
            return Err(GitError::Input(format!(
                "{shown} is not a git repository (nor inside one); name the folder of a git repository"
            )));
        }
        let printed = output.stdout.strip_suffix(b"\n").unwrap_or(&output.stdout);
        Ok(Self { git, git_dir: OsStr::from_bytes(printed).into() })
    }

    /// The repository whose git directory is `git_dir`.
    #[must_use]
    pub fn at(git: Git, git_dir: PathBuf) -> Self {
        Self { git, git_dir }
    }

    /// The git directory.
    #[must_use]
    pub fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// Refuses a clone that holds only a part of its history or of its files, and one whose ids
    /// are not SHA-1.
    ///
    /// # Errors
    /// When it is one; the message says how to complete it.
    pub async fn refuse_incomplete(&self) -> Result<(), GitError> {
        let shown = self.git_dir.display();
        let args = ["rev-parse", "--is-shallow-repository", "--show-object-format"];
        let answer = self.git.run(&self.git_dir, args).await?;
        if answer.lines().next() == Some("true") {
            return Err(GitError::Input(format!(
                "{shown} is a shallow clone: part of its history is missing; complete it with `git fetch --unshallow`"
            )));
        }
        if let Some(format) = answer.lines().nth(1).filter(|format| *format != "sha1") {
            return Err(GitError::Input(format!(
                "{shown} uses {format} commit ids; only repositories with SHA-1 ids can be searched"
            )));
        }
        // Exit 1: there is no such setting.
        let promisors = self.git.run(&self.git_dir, ["config", "--get-regexp", r"^remote\..*\.promisor$"]).await;
        let setting = promisors.unwrap_or_default();
        let name = setting.lines().find_map(|line| line.strip_suffix(" true"));
        if let Some(name) = name {
            return Err(GitError::Input(format!(
                "{shown} is a partial clone: files of old commits are missing; complete it with \
                 `git fetch --refetch --no-filter && git config --unset-all {name}`, or name its address instead"
            )));
        }
        Ok(())
    }

    /// The commit that `name` means. A name that means two things is refused.
    ///
    /// # Errors
    /// When it is unknown, ambiguous or not a commit; the message names it and the way out.
    pub async fn resolve(&self, name: &str) -> Result<Sha, GitError> {
        let wanted = format!("{name}^{{commit}}");
        let mut command = self.git.command(
            &self.git_dir,
            ["-c", "core.warnAmbiguousRefs=true", "rev-parse", "--verify", "--end-of-options", &wanted],
        );
        let output = output_of(&mut command).await?;
        let printed = String::from_utf8_lossy(&output.stderr);
        if printed.contains("ambiguous") && !printed.contains("unknown revision") {
            return Err(GitError::Input(format!(
                "`{name}` is ambiguous here: {}; write refs/tags/{name}, refs/heads/{name} or more digits",
                printed.lines().next().unwrap_or_default()
            )));
        }
        let answer = String::from_utf8_lossy(&output.stdout);
        answer.trim().parse().map_err(|_| {
            GitError::Input(format!(
                "`{name}` names no commit of this repository; `git tag` and `git branch -a` list the names it knows"
            ))
        })
    }

    /// The commits of a range `A..B`, or the one commit that `range` names.
    ///
    /// # Errors
    /// When a name in it is unknown.
    pub async fn range(&self, range: &str) -> Result<Vec<Sha>, GitError> {
        let Some((from, to)) = range.split_once("..") else {
            return Ok(vec![self.resolve(range).await?]);
        };
        let from = self.resolve(if from.is_empty() { "HEAD" } else { from }).await?;
        let to = self.resolve(if to.is_empty() { "HEAD" } else { to }).await?;
        let listed = self.git.run(&self.git_dir, ["rev-list", &format!("{from}..{to}")]).await?;
        Ok(listed.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// The commits under suspicion, as `git rev-list --parents` prints them, children first.
    ///
    /// # Errors
    /// When git fails.
    pub async fn candidates(
        &self,
        bad: Sha,
        good: &[Sha],
        first_parent: bool,
        paths: &[String],
    ) -> Result<String, GitError> {
        let mut args: Vec<String> = ["rev-list", "--topo-order", "--parents"].map(String::from).into();
        if first_parent {
            args.push("--first-parent".into());
        }
        args.push(bad.to_string());
        args.extend(good.iter().map(|sha| format!("^{sha}")));
        args.push("--".into());
        args.extend_from_slice(paths);
        self.git.run(&self.git_dir, args).await
    }

    /// Ancestors of `bad` on which its users may have stood, the newest first: the releases (tags that are numbered), else all
    /// tags, else every sixteenth commit along first parents.
    ///
    /// # Errors
    /// When git fails.
    pub async fn stations(&self, bad: Sha, first_parent: bool) -> Result<Vec<Sha>, GitError> {
        let merged = format!("--merged={bad}");
        let format = "--format=%(refname:lstrip=2) %(if)%(*objectname)%(then)%(*objectname)%(else)%(objectname)%(end)";
        let args = ["for-each-ref", &merged, "--sort=-creatordate", format, "refs/tags/"];
        let listed = self.git.run(&self.git_dir, args).await?;
        let along = ["rev-list", "--first-parent", &bad.to_string()].map(str::to_owned);
        let line = self.git.run(&self.git_dir, along).await?;
        let line: Vec<Sha> = line.lines().filter_map(|line| line.parse().ok()).collect();
        let on_the_line: HashSet<Sha> = if first_parent { line.iter().copied().collect() } else { HashSet::new() };
        let tags = listed.lines().filter_map(|row| {
            let (name, sha) = row.rsplit_once(' ')?;
            let sha = sha.parse().ok().filter(|sha| *sha != bad && (!first_parent || on_the_line.contains(sha)))?;
            Some((name, sha))
        });
        let tags: Vec<(&str, Sha)> = tags.collect();
        let releases: Vec<Sha> = tags.iter().filter(|(name, _)| is_release(name)).map(|(_, sha)| *sha).collect();
        let mut stations = match (releases.is_empty(), tags.is_empty()) {
            (false, _) => releases,
            (true, false) => tags.into_iter().map(|(_, sha)| sha).collect(),
            (true, true) => {
                let last = line.last().copied().filter(|last| *last != bad);
                line.into_iter().step_by(STRIDE).skip(1).chain(last).collect()
            }
        };
        let mut seen = HashSet::new();
        stations.retain(|station| seen.insert(*station));
        Ok(stations)
    }

    /// The names of the tags on a commit, releases first.
    ///
    /// # Errors
    /// When git fails.
    pub async fn tags_of(&self, commit: Sha) -> Result<Vec<String>, GitError> {
        let listed = self.git.run(&self.git_dir, ["tag", "--points-at", &commit.to_string()]).await?;
        let mut tags: Vec<String> = listed.lines().map(str::to_owned).collect();
        tags.sort_by_key(|tag| !is_release(tag));
        Ok(tags)
    }

    /// Whether `ancestor` is reachable from `descendant` (or is it).
    ///
    /// # Errors
    /// When git fails.
    pub async fn is_ancestor(&self, ancestor: Sha, descendant: Sha) -> Result<bool, GitError> {
        let mut command = self
            .git
            .command(&self.git_dir, ["merge-base", "--is-ancestor", &ancestor.to_string(), &descendant.to_string()]);
        let output = output_of(&mut command).await?;
        match output.status.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => super::text_of(&command, &output).map(|_| false),
        }
    }

    /// The merge bases that must be good before a search makes sense, as `git bisect` takes them:
    /// none where every good end is an ancestor of the bad one.
    ///
    /// # Errors
    /// When git fails.
    pub async fn merge_bases(&self, bad: Sha, good: &[Sha]) -> Result<Vec<Sha>, GitError> {
        let mut straight = true;
        for end in good {
            straight &= self.is_ancestor(*end, bad).await?;
        }
        if straight {
            return Ok(Vec::new());
        }
        let mut args = vec!["merge-base".to_owned(), "--all".to_owned(), bad.to_string()];
        args.extend(good.iter().map(Sha::to_string));
        match self.git.run(&self.git_dir, args).await {
            Ok(listed) => Ok(listed.lines().filter_map(|line| line.parse().ok()).collect()),
            // Exit 1 without a word: histories that share nothing.
            Err(GitError::Failed { reason, .. }) if reason.is_empty() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// What is shown of a commit.
    ///
    /// # Errors
    /// When git fails.
    pub async fn commit_info(&self, sha: Sha) -> Result<CommitInfo, GitError> {
        let id = sha.to_string();
        let format = "--format=%an%x00%ae%x00%aI%x00%s";
        let head = self.git.run(&self.git_dir, ["log", "-1", "--no-show-signature", format, &id, "--"]).await?;
        let mut fields = head.trim_end_matches('\n').split('\0').map(str::to_owned);
        let mut field = || fields.next().unwrap_or_default();
        let (author, email, date, subject) = (field(), field(), field(), field());
        let args = [
            "diff-tree",
            "-r",
            "-m",
            "--first-parent",
            "--root",
            "--no-commit-id",
            "--name-status",
            "--no-ext-diff",
            "-z",
            &id,
        ];
        let listed = self.git.run(&self.git_dir, args).await?;
        let mut parts = listed.split('\0').filter(|part| !part.is_empty());
        let mut files = Vec::new();
        while let (Some(status), Some(name)) = (parts.next(), parts.next()) {
            files.push(format!("{status} {name}"));
        }
        Ok(CommitInfo { sha, author, email, date, subject, files })
    }

    /// The first lines of many commits' messages.
    ///
    /// # Errors
    /// When git fails.
    pub async fn subjects(&self, commits: &[Sha]) -> Result<HashMap<Sha, String>, GitError> {
        if commits.is_empty() {
            return Ok(HashMap::new());
        }
        let mut args: Vec<String> =
            ["log", "--no-walk=unsorted", "--no-show-signature", "--format=%H %s"].map(String::from).into();
        args.extend(commits.iter().map(Sha::to_string));
        args.push("--".into());
        let listed = self.git.run(&self.git_dir, args).await?;
        let lines = listed.lines().filter_map(|line| line.split_once(' '));
        Ok(lines.filter_map(|(sha, subject)| Some((sha.parse().ok()?, subject.to_owned()))).collect())
    }
}

/// Whether a tag is named for a release: it holds a number as `1.2` or `1_2`, and no word that makes it an earlier one.
fn is_release(tag: &str) -> bool {
    let numbered =
        |window: &[u8]| window[0].is_ascii_digit() && matches!(window[1], b'.' | b'_') && window[2].is_ascii_digit();
    let name = tag.to_ascii_lowercase();
    let early = ["rc", "alpha", "beta", "dev", "pre", "nightly"].iter().any(|word| name.contains(word));
    !early && tag.as_bytes().windows(3).any(numbered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_numbered_and_no_candidates() {
        for release in ["v1.4.0", "1.0", "shop-2.10.1", "release_1_2"] {
            assert!(is_release(release), "{release}");
        }
        for other in ["latest", "v2", "v1.0-rc1", "2.0.0-beta.1", "v3.0.0-alpha", "nightly-2026.01.02"] {
            assert!(!is_release(other), "{other}");
        }
    }
}
