//! A git repository to bisect, made fast and always the same.

use bisect_shared::Sha;
use bisectd::runner::spec::{JobSpec, SandboxKind};
use std::{
    fmt::Write as _,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// A repository whose commits are tagged `c0`, `c1`, … and hold their number in the file `n`.
pub struct Project {
    folder: TempDir,
}

/// A commit of [`Project::of`]: its number is its place in the list.
#[derive(Default, Clone)]
pub struct Commit<'a> {
    pub parents: &'a [usize],
    pub files: &'a [(&'a str, &'a str)],
}

impl Project {
    /// What a job asks for: a bisection of all of it, without any option, in plain processes.
    pub fn request(&self, command: &[&str]) -> JobSpec {
        JobSpec {
            source: self.path().join(".git").to_str().unwrap().to_owned(),
            good: vec![self.sha("c0")],
            bad: self.sha("main"),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            setup: None,
            image: String::new(),
            env: Vec::new(),
            network: "none".into(),
            sandbox: SandboxKind::Process,
            timeout: Some(600.0),
            silence: None,
            job_timeout: 600.0,
            lanes: 1,
            first_parent: false,
            fixed: false,
            paths: Vec::new(),
            skip: Vec::new(),
            skip_ranges: Vec::new(),
            runs: None,
            confidence: None,
            auto: false,
            same_failure: false,
            failure_line: None,
            no_cache: false,
            trust_cache: false,
        }
    }

    /// `count` commits in a row.
    pub fn linear(count: usize) -> Self {
        let parents: Vec<[usize; 1]> = (0..count).map(|n| [n.saturating_sub(1)]).collect();
        let commits: Vec<Commit> =
            (0..count).map(|n| Commit { parents: if n == 0 { &[] } else { &parents[n] }, files: &[] }).collect();
        Self::of(&commits)
    }

    /// The commits with these parents. `main` is the last one.
    pub fn of(commits: &[Commit]) -> Self {
        let mut stream = String::new();
        for (n, commit) in commits.iter().enumerate() {
            let time = 1_700_000_000 + n * 60;
            let _ = write!(
                stream,
                "commit refs/tags/c{n}\nmark :{}\nauthor Ada <ada@example.com> {time} +0000\n\
                 committer Ada <ada@example.com> {time} +0000\ndata <<END\ncommit {n}\nEND\n",
                n + 1
            );
            for (place, parent) in commit.parents.iter().enumerate() {
                let _ = writeln!(stream, "{} :{}", if place == 0 { "from" } else { "merge" }, parent + 1);
            }
            let number = n.to_string();
            let own = [("n", number.as_str()), (".gitignore", "build/\n")];
            for (name, content) in own.iter().chain(commit.files) {
                let _ = writeln!(stream, "M 100644 inline {name}\ndata {}\n{content}", content.len());
            }
            stream.push('\n');
        }
        let _ = writeln!(stream, "reset refs/heads/main\nfrom :{}\n", commits.len());
        let project = Self { folder: tempfile::tempdir().unwrap() };
        project.git(&["init", "--quiet", "--initial-branch=main"]);
        let mut import = project.command(&["fast-import", "--quiet"]).stdin(Stdio::piped()).spawn().unwrap();
        import.stdin.take().unwrap().write_all(stream.as_bytes()).unwrap();
        assert!(import.wait().unwrap().success());
        project.git(&["checkout", "--quiet", "--force", "main"]);
        project
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn text(&self) -> String {
        self.path().to_str().unwrap().to_owned()
    }

    pub fn sha(&self, name: &str) -> Sha {
        self.git(&["rev-parse", "--verify", &format!("{name}^{{commit}}")]).trim().parse().unwrap()
    }

    /// The number of a commit.
    pub fn number(&self, sha: &str) -> usize {
        self.git(&["show", &format!("{sha}:n")]).trim().parse().unwrap()
    }

    /// Runs git in it, without anybody's configuration.
    #[track_caller]
    pub fn git(&self, args: &[&str]) -> String {
        let output = self.command(args).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn command(&self, args: &[&str]) -> Command {
        git_in(self.path(), args)
    }
}

/// git in a folder, as a person without any configuration.
pub fn git_in(folder: &Path, args: &[&str]) -> Command {
    let mut git = Command::new("git");
    git.args(args).current_dir(folder);
    git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    for name in ["AUTHOR", "COMMITTER"] {
        git.env(format!("GIT_{name}_NAME"), "Ada").env(format!("GIT_{name}_EMAIL"), "ada@example.com");
    }
    git
}
