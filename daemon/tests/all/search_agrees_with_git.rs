//! The search against `git bisect run`, on generated histories in real repositories.
//!
//! `BISECT_HISTORIES` says how many (300), `BISECT_SEED` which is the first (0).

use crate::search_history::{Chance, History, Planted};
use crate::search_played::play;
use bisect_shared::{Ending, Purpose, Sha};
use bisectd::search::{Conclusion, Graph, Question, Run, Step, next};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

#[test]
fn the_search_agrees_with_git() {
    let number =
        |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (count, first) = (
        number("BISECT_HISTORIES", 300),
        number("BISECT_SEED", 0_u64),
    );
    let seed = AtomicU64::new(first);
    let [ours, gits, named, suspects, fixed_before] = [(); 5].map(|()| AtomicUsize::new(0));
    let work = || {
        while let Some(seed) =
            Some(seed.fetch_add(1, Ordering::Relaxed)).filter(|s| *s < first + count)
        {
            let _shown = ShownOnPanic(seed);
            let Some(case) = Case::new(seed) else {
                continue;
            };
            let git = case.git();
            gits.fetch_add(git.probes, Ordering::Relaxed);
            ours.fetch_add(case.check(&git.answer), Ordering::Relaxed);
            match git.answer {
                Answer::Culprit(_) => &named,
                Answer::FixedBefore => &fixed_before,
                Answer::Suspects | Answer::Lost => &suspects,
            }
            .fetch_add(1, Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            worker.join().expect("the seed is above");
        }
    });
    let ratio = ours.load(Ordering::Relaxed) as f64 / gits.load(Ordering::Relaxed) as f64;
    println!(
        "git names {named:?}, leaves suspects {suspects:?}, fixed before {fixed_before:?}; \
         probes: ours {ours:?}, git's {gits:?}, ratio {ratio:.4}"
    );
    assert!(
        count < 100 || ratio <= 1.02,
        "{ratio:.4} times git's probes"
    );
}

struct ShownOnPanic(u64);

impl Drop for ShownOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with BISECT_SEED={} BISECT_HISTORIES=1", self.0);
        }
    }
}

/// One planted bisection in a repository of its own.
struct Case {
    seed: u64,
    planted: Planted,
    history: History,
    shas: Vec<Sha>,
    numbers: HashMap<Sha, usize>,
    folder: tempfile::TempDir,
}

/// What git says.
#[derive(Debug)]
enum Answer {
    Culprit(Sha),
    Suspects,
    FixedBefore,
    /// "was both good and bad", or "no testable commit": the path was wrong.
    Lost,
}

struct Git {
    answer: Answer,
    probes: usize,
}

impl Case {
    fn new(seed: u64) -> Option<Self> {
        let mut chance = Chance(seed);
        let length = chance.one_of(&[8, 30, 100, 400, 2000]);
        let length = 4 + chance.below(length);
        let history = History::generate(&mut chance, length);
        let planted = Planted::plant(&mut chance, &history)?;
        let folder = tempfile::tempdir().unwrap();
        let mut case = Self {
            seed,
            planted,
            history,
            shas: vec![],
            numbers: HashMap::new(),
            folder,
        };
        case.import();
        Some(case)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn import(&mut self) {
        run(
            Path::new("."),
            &[
                "init",
                "--quiet",
                "--bare",
                "--initial-branch=main",
                self.folder.path().to_str().unwrap(),
            ],
        );
        let marks = self.path("marks");
        let mut import = command(self.folder.path(), &["fast-import", "--quiet", "--force"])
            .arg(format!("--export-marks={}", marks.display()))
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let stream = self.history.fast_import();
        import
            .stdin
            .take()
            .unwrap()
            .write_all(stream.as_bytes())
            .unwrap();
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
        commits
            .into_iter()
            .map(|commit| self.shas[commit].to_string())
            .collect()
    }

    /// The test's exit code.
    fn code(&self, commit: usize) -> u8 {
        match (
            self.planted.skipped.contains(&commit),
            self.planted.newer.contains(&commit),
        ) {
            (true, _) => 125,
            (false, newer) => u8::from(newer != self.planted.fixed),
        }
    }

    /// Asks `git bisect run`, on a bare repository so that nothing is checked out.
    fn git(&self) -> Git {
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
        while answer.is_none() {
            let script = script.to_str().unwrap();
            let said = command(self.folder.path(), &["bisect", "run", script])
                .output()
                .unwrap();
            answer = self::answer(&said);
            // git 2.47 takes a second merge base to test for the end of the run.
            let goes_on =
                String::from_utf8_lossy(&said.stdout).contains("a merge base must be tested");
            assert!(
                answer.is_some() || goes_on,
                "git says {first:?}, then {said:?} to {:?}",
                self.planted
            );
        }
        Git {
            answer: answer.unwrap(),
            probes: fs::read_to_string(&log).unwrap().lines().count(),
        }
    }

    fn paths(&self) -> &'static [&'static str] {
        if self.planted.path {
            &["--", "f0"]
        } else {
            &[]
        }
    }

    fn question(&self) -> Question {
        let planted = &self.planted;
        let (bad, good) = (
            self.names([planted.bad]),
            self.names(planted.good.iter().copied()),
        );
        let mut list = vec!["rev-list", "--topo-order", "--parents", &bad[0], "--not"];
        list.extend(good.iter().map(String::as_str));
        list.extend(planted.first_parent.then_some("--first-parent"));
        let read = |list: &[&str]| {
            let text = run(self.folder.path(), list);
            Graph::parse(
                text.as_slice(),
                self.shas[planted.bad],
                planted.first_parent,
            )
            .unwrap()
        };
        let real = planted.path.then(|| read(&list));
        list.extend(self.paths().iter().map(|path| &path[..]));
        let below = self.history.ancestors(planted.bad);
        let aside = planted.good.iter().any(|good| !below.contains(good));
        let mut bases = vec!["merge-base", "--all", &bad[0]];
        bases.extend(good.iter().map(String::as_str));
        let bases = if aside {
            command(self.folder.path(), &bases).output().unwrap().stdout
        } else {
            vec![]
        };
        Question {
            graph: read(&list),
            real,
            good: planted.good.iter().map(|good| self.shas[*good]).collect(),
            bad: self.shas[planted.bad],
            merge_bases: String::from_utf8(bases)
                .unwrap()
                .lines()
                .map(|s| s.parse().unwrap())
                .collect(),
            skip: HashSet::new(),
            fixed: planted.fixed,
            first_parent: planted.first_parent,
        }
    }

    /// Checks our answers on one lane and on several against git's; how many probes one lane needed,
    /// ends and proof apart.
    fn check(&self, git: &Answer) -> usize {
        let question = self.question();
        let ending = |commit: Sha| Ending::Exited(self.code(self.numbers[&commit]));
        let alone = play(&question, 1, &ending, &mut |_| 1.0);
        self.compare(git, &alone.conclusion);
        for lanes in 2..=8 {
            let mut chance = Chance(self.seed ^ lanes as u64);
            let played = play(&question, lanes, &ending, &mut |_| chance.fraction());
            assert_eq!(
                played.conclusion, alone.conclusion,
                "{lanes} lanes, {:?}",
                self.planted
            );
            any_order(&question, &played.runs, lanes);
        }
        let probes = alone
            .runs
            .iter()
            .filter(|run| run.purpose == Purpose::Search);
        probes
            .filter(|run| run.commit != question.bad && !question.good.contains(&run.commit))
            .count()
    }

    fn compare(&self, git: &Answer, ours: &Conclusion) {
        let culprit = self.planted_culprit();
        let says = || {
            format!(
                "git says {git:?}, we say {ours:?}, planted {culprit}: {:?}",
                self.planted
            )
        };
        match (git, ours) {
            (Answer::FixedBefore, Conclusion::FixedBefore { .. }) => {}
            (Answer::Culprit(git), Conclusion::Culprit { culprit: ours, .. }) if git == ours => {
                assert!(self.planted.fixed_before || *ours == culprit, "{}", says());
            }
            (Answer::Suspects | Answer::Lost, Conclusion::Culprit { culprit: ours, .. })
                if *ours == culprit => {}
            // git goes by the path alone; the proof finds that the culprit touches it not.
            (Answer::Suspects, Conclusion::Suspects { suspects, .. }) => {
                // A skipped commit is no proof, so nothing can tell that the paths were wrong.
                assert!(
                    suspects.contains(&culprit) || self.is_astray(),
                    "{}",
                    says()
                );
            }
            (Answer::Culprit(_) | Answer::Lost, Conclusion::Suspects { suspects, .. })
                if self.is_astray() =>
            {
                assert!(suspects.contains(&culprit), "{}", says());
            }
            _ => panic!("{}", says()),
        }
    }

    /// The first commit with the newer behaviour among those that the search goes by.
    fn planted_culprit(&self) -> Sha {
        let planted = &self.planted;
        let by_first = || {
            let line = self.history.first_parents(planted.bad);
            line.into_iter()
                .take_while(|commit| planted.newer.contains(commit))
                .last()
        };
        let commit = if planted.first_parent {
            by_first().unwrap()
        } else {
            planted.culprit
        };
        self.shas[commit]
    }

    /// The culprit touches no path, so that the question was wrong.
    fn is_astray(&self) -> bool {
        self.planted.path && !self.history.touches[self.planted.culprit].contains(&0)
    }
}

/// The same runs in any order, and any part of them, give the same step.
fn any_order(question: &Question, runs: &[Run], lanes: usize) {
    let mut chance = Chance(runs.len() as u64);
    let part = &runs[..chance.below(runs.len() + 1)];
    let mut shuffled = part.to_vec();
    for place in (1..shuffled.len()).rev() {
        shuffled.swap(place, chance.below(place + 1));
    }
    let step: Step = next(question, part, &[], lanes);
    assert_eq!(step, next(question, &shuffled, &[], lanes));
}

fn answer(said: &Output) -> Option<Answer> {
    let text = [&said.stdout[..], &said.stderr[..]].concat();
    let text = String::from_utf8(text).unwrap();
    if text.contains("There are only 'skip'ped commits left to test") {
        return Some(Answer::Suspects);
    }
    if text
        .lines()
        .any(|line| line.starts_with("The merge base") && line.ends_with("is bad."))
    {
        return Some(Answer::FixedBefore);
    }
    if text.contains("was both good and bad") || text.contains("No testable commit found") {
        return Some(Answer::Lost);
    }
    let named = text
        .lines()
        .find_map(|line| line.strip_suffix(" is the first bad commit"))?;
    Some(Answer::Culprit(named.parse().unwrap()))
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command
        .current_dir(folder)
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null");
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("LC_ALL", "C");
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = command(folder, arguments).output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
    output.stdout
}
