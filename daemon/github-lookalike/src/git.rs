//! Runs the machine's git on the world's bare repositories. Blocking: the routes call it from a blocking thread.

use anyhow::{Context, bail};
use std::path::Path;
use std::process::{Command, Stdio};

/// A git that sees no configuration but the repository's own, in a fixed world.
pub(crate) fn command(directory: &Path) -> Command {
    let mut git = Command::new("git");
    git.current_dir(directory).stdin(Stdio::null());
    for (name, value) in environment() {
        git.env(name, value);
    }
    git
}

/// What every git of the look-alike runs with.
pub(crate) fn environment() -> [(&'static str, &'static str); 4] {
    [
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("LC_ALL", "C.UTF-8"),
    ]
}

/// Runs git and answers its standard output; `Err` with its own complaint when it fails.
pub(crate) fn run(directory: &Path, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    let output = command(directory).args(arguments).output().context("git could not be started; is it installed?")?;
    if !output.status.success() {
        bail!("git {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}

/// As [`run`], as text without the last line end.
pub(crate) fn text(directory: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    Ok(String::from_utf8_lossy(&run(directory, arguments)?).trim_end().to_owned())
}

/// Makes a bare repository, empty or as a copy of `source`, that may be fetched as GitHub's may.
pub(crate) fn create(git_dir: &Path, source: Option<&Path>, default_branch: Option<&str>) -> anyhow::Result<String> {
    let parent = git_dir.parent().context("a repository needs a folder around it")?;
    let target = git_dir.to_str().context("the temporary folder's name is not UTF-8")?;
    match source {
        Some(source) => {
            let source = source.to_str().context("the repository's path is not UTF-8")?;
            run(parent, &["clone", "--quiet", "--bare", "--no-hardlinks", "--", source, target])?;
            if let Some(branch) = default_branch {
                run(git_dir, &["symbolic-ref", "HEAD", &format!("refs/heads/{branch}")])?;
            }
        }
        None => {
            let branch = format!("--initial-branch={}", default_branch.unwrap_or("main"));
            run(parent, &["init", "--quiet", "--bare", &branch, "--", target])?;
        }
    }
    for setting in ["uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"] {
        run(git_dir, &["config", setting, "true"])?;
    }
    run(git_dir, &["config", "http.receivepack", "false"])?;
    text(git_dir, &["symbolic-ref", "--short", "HEAD"])
}

/// The commit that a branch, a tag or a SHA (full or short) means. GitHub's API takes names, not git's expressions.
pub(crate) fn resolve(git_dir: &Path, name: &str) -> Option<String> {
    let strange = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    if name.is_empty() || name.starts_with('-') || name.contains("..") || name.contains("@{") || name.contains(strange)
    {
        return None;
    }
    let name = name.strip_prefix("refs/").unwrap_or(name);
    let hex = (4..=40).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_hexdigit());
    let mut candidates = vec![format!("refs/heads/{name}"), format!("refs/tags/{name}"), format!("refs/{name}")];
    if name == "HEAD" {
        candidates.insert(0, name.to_owned());
    }
    if hex {
        candidates.push(name.to_owned());
    }
    candidates.iter().find_map(|candidate| {
        let commit = format!("{candidate}^{{commit}}");
        text(git_dir, &["rev-parse", "--verify", "--quiet", "--end-of-options", &commit]).ok()
    })
}

/// A commit as its object says.
pub(crate) struct CommitFacts {
    pub sha: String,
    pub tree: String,
    pub parents: Vec<String>,
    pub author: Person,
    pub committer: Person,
    pub message: String,
}

/// Name, address and time of a commit's line.
pub(crate) struct Person {
    pub name: String,
    pub email: String,
    pub date: String,
}

/// Reads a commit.
pub(crate) fn commit(git_dir: &Path, sha: &str) -> anyhow::Result<CommitFacts> {
    let format = "--format=%H%x00%T%x00%P%x00%an%x00%ae%x00%ad%x00%cn%x00%ce%x00%cd%x00%B";
    let shown = text(git_dir, &["show", "-s", "--date=format-local:%Y-%m-%dT%H:%M:%SZ", format, sha])?;
    let parts: Vec<&str> = shown.splitn(10, '\0').collect();
    let [sha, tree, parents, an, ae, ad, cn, ce, cd, message] = parts.as_slice() else {
        bail!("git show answered something else for {sha}");
    };
    let person = |name: &str, email: &str, date: &str| Person {
        name: name.to_owned(),
        email: email.to_owned(),
        date: date.to_owned(),
    };
    Ok(CommitFacts {
        sha: (*sha).to_owned(),
        tree: (*tree).to_owned(),
        parents: parents.split_whitespace().map(str::to_owned).collect(),
        author: person(an, ae, ad),
        committer: person(cn, ce, cd),
        message: message.trim_end().to_owned(),
    })
}

/// A file that differs: status letter, blob, path, lines added, lines removed.
pub(crate) struct Change {
    pub status: char,
    pub blob: String,
    pub path: String,
    pub added: u64,
    pub removed: u64,
}

/// What differs between two trees, or between a commit and its first parent.
pub(crate) fn changes(git_dir: &Path, range: &[&str]) -> anyhow::Result<Vec<Change>> {
    let mut arguments = vec!["diff-tree", "-r", "--root", "--no-commit-id", "--no-renames", "--no-abbrev", "-z"];
    arguments.extend(["--raw", "--numstat"]);
    arguments.extend(range);
    let output = String::from_utf8_lossy(&run(git_dir, &arguments)?).into_owned();
    let mut changes: Vec<Change> = Vec::new();
    let mut fields = output.split('\0');
    while let Some(field) = fields.next() {
        if let Some(raw) = field.strip_prefix(':') {
            let columns: Vec<&str> = raw.split(' ').collect();
            let [_, _, old, new, status] = columns.as_slice() else { bail!("git diff-tree: {raw}") };
            let path = fields.next().unwrap_or_default().to_owned();
            let status = status.chars().next().unwrap_or('M');
            let blob = if status == 'D' { old } else { new };
            changes.push(Change { status, blob: (*blob).to_owned(), path, added: 0, removed: 0 });
        } else if let [added, removed, path] = field.splitn(3, '\t').collect::<Vec<_>>()[..]
            && let Some(change) = changes.iter_mut().find(|change| change.path == path)
        {
            change.added = added.parse().unwrap_or(0);
            change.removed = removed.parse().unwrap_or(0);
        }
    }
    Ok(changes)
}
