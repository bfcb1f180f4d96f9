//! A planted bisection in a real repository, and what git says to it.

use super::history::{Chance, History};
use super::planted::Planted;
use bisect_shared::Sha;
use bisectd::search::{Graph, Question};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// One planted bisection in a bare repository of its own.
pub struct Repository {
    pub seed: u64,
    pub planted: Planted,
    pub history: History,
    pub shas: Vec<Sha>,
    pub numbers: HashMap<Sha, usize>,
    folder: tempfile::TempDir,
}

/// What git says.
#[derive(Debug)]
pub enum Answer {
    Culprit(Sha),
    Suspects,
    FixedBefore,
    /// "was both good and bad", or "no testable commit": the path was wrong.
    Lost,
}

pub struct Git {
    pub answer: Answer,
    /// How often it ran the test.
    pub probes: usize,
}

impl Repository {
    pub fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let (history, planted) = loop {
            let length = chance.one_of(&[8, 30, 100, 400, 2000]);
            let length = 4 + chance.below(length);
            let history = History::generate(&mut chance, length);
            if let Some(planted) = Planted::plant(&mut chance, &history) {
                break (history, planted);
            }
        };
        let folder = tempfile::tempdir().unwrap();
        let (shas, numbers) = (Vec::new(), HashMap::new());
        let mut repository = Self { seed, planted, history, shas, numbers, folder };
        repository.import();
        repository
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn import(&mut self) {
        run(
            Path::new("."),
            &["init", "--quiet", "--bare", "--initial-branch=main", self.folder.path().to_str().unwrap()],
        );
        let marks = self.path("marks");
        let mut import = command(self.folder.path(), &["fast-import", "--quiet", "--force"])
            .arg(format!("--export-marks={}", marks.display()))
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let stream = self.history.fast_import();
        import.stdin.take().unwrap().write_all(stream.as_bytes()).unwrap();
        assert!(import.wait().unwrap().success());
        self.shas = vec![Sha::from_bytes([0; 20]); self.history.len()];
        for line in fs::read_to_string(marks).unwrap().lines() {
            let (mark, sha) = line.split_once(' ').unwrap();
            let commit = mark[1..].parse::<usize>().unwrap() - 1;
            self.shas[commit] = sha.parse().unwrap();
            self.numbers.insert(self.shas[commit], commit);
        }
    }

    fn names(&self, commits: impl IntoIterator<Item = usize>) -> Vec<String> {
        commits.into_iter().map(|commit| self.shas[commit].to_string()).collect()
    }

    /// The test's exit code.
    pub fn code(&self, commit: usize) -> u8 {
        match (self.planted.skipped.contains(&commit), self.planted.newer.contains(&commit)) {
            (true, _) => 125,
            (false, newer) => u8::from(newer != self.planted.fixed),
        }
    }

    /// Asks `git bisect run`, on a bare repository so that nothing is checked out.
    pub fn git(&self) -> Git {
        let (log, script) = (self.path("log"), self.path("test"));
        let of = |code| {
            let commits = (0..self.history.len()).filter(|commit| self.code(*commit) == code);
            self.names(commits).join(" ")
        };
        // With --fixed git's command is turned round: what it calls bad is the newer behaviour.
        let newer = u8::from(!self.planted.fixed);
        let text = format!(
            "#!/bin/sh\nread c <'{}'\necho $c >>'{}'\ncase '{}' in *$c*) exit 125;; esac\n\
             case '{}' in *$c*) exit 1;; esac\nexit 0\n",
            self.path("BISECT_HEAD").display(),
            log.display(),
            of(125),
            of(newer),
        );
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(&log, "").unwrap();
        let mut start = vec!["bisect".into(), "start".into(), "--no-checkout".into()];
        start.extend(self.planted.first_parent.then(|| "--first-parent".into()));
        start.extend(self.names([self.planted.bad]));
        start.extend(self.names(self.planted.good.iter().copied()));
        start.extend(self.paths().iter().map(|path| String::from(*path)));
        let start: Vec<&str> = start.iter().map(String::as_str).collect();
        let first = command(self.folder.path(), &start).output().unwrap();
        let mut answer = answer(&first);
        if self.planted.told && !self.planted.skipped.is_empty() && answer.is_none() {
            let skipped = self.names(self.planted.skipped.iter().copied());
            let skip = ["bisect", "skip"].into_iter().chain(skipped.iter().map(|name| &name[..]));
            let skip: Vec<&str> = skip.collect();
            answer = self::answer(&command(self.folder.path(), &skip).output().unwrap());
        }
        while answer.is_none() {
            let script = script.to_str().unwrap();
            let said = command(self.folder.path(), &["bisect", "run", script]).output().unwrap();
            answer = self::answer(&said);
            // git 2.47 takes a second merge base to test for the end of the run.
            let goes_on = String::from_utf8_lossy(&said.stdout).contains("a merge base must be tested");
            assert!(answer.is_some() || goes_on, "git says {first:?}, then {said:?} to {:?}", self.planted);
        }
        Git { answer: answer.unwrap(), probes: fs::read_to_string(&log).unwrap().lines().count() }
    }

    fn paths(&self) -> &'static [&'static str] {
        if self.planted.path { &["--", "f0"] } else { &[] }
    }

    pub fn question(&self) -> Question {
        let planted = &self.planted;
        let (bad, good) = (self.names([planted.bad]), self.names(planted.good.iter().copied()));
        let mut list = vec!["rev-list", "--topo-order", "--parents", &bad[0], "--not"];
        list.extend(good.iter().map(String::as_str));
        list.extend(planted.first_parent.then_some("--first-parent"));
        let read = |list: &[&str]| {
            let text = run(self.folder.path(), list);
            Graph::parse(text.as_slice(), self.shas[planted.bad], planted.first_parent).unwrap()
        };
        let real = planted.path.then(|| read(&list));
        list.extend(self.paths().iter().map(|path| &path[..]));
        let skipped = planted.skipped.iter().map(|commit| self.shas[*commit]);
        let below = self.history.ancestors(planted.bad);
        let aside = planted.good.iter().any(|good| !below.contains(good));
        let mut bases = vec!["merge-base", "--all", &bad[0]];
        bases.extend(good.iter().map(String::as_str));
        let bases = if aside { command(self.folder.path(), &bases).output().unwrap().stdout } else { vec![] };
        let graph = read(&list);
        Question {
            real,
            good: planted.good.iter().map(|good| self.shas[*good]).collect(),
            merge_bases: String::from_utf8(bases).unwrap().lines().map(|s| s.parse().unwrap()).collect(),
            skip: if planted.told { skipped.collect() } else { HashSet::new() },
            fixed: planted.fixed,
            first_parent: planted.first_parent,
            ..Question::new(graph, self.shas[0], self.shas[planted.bad])
        }
    }
}

fn answer(said: &Output) -> Option<Answer> {
    let text = [&said.stdout[..], &said.stderr[..]].concat();
    let text = String::from_utf8(text).unwrap();
    if text.contains("There are only 'skip'ped commits left to test") {
        return Some(Answer::Suspects);
    }
    if text.lines().any(|line| line.starts_with("The merge base") && line.ends_with("is bad.")) {
        return Some(Answer::FixedBefore);
    }
    if text.contains("was both good and bad") || text.contains("No testable commit found") {
        return Some(Answer::Lost);
    }
    let named = text.lines().find_map(|line| line.strip_suffix(" is the first bad commit"))?;
    Some(Answer::Culprit(named.parse().unwrap()))
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.current_dir(folder).args(arguments).env("GIT_CONFIG_GLOBAL", "/dev/null");
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("LC_ALL", "C");
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = command(folder, arguments).output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
    output.stdout
}
