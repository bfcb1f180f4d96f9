//! How many probes unbuildable commits cost: a row of 1,000 commits of which 500 do not build, in fifty intervals.
//!
//! `skips [SEEDS] [GIT]`; 500 and 0 without. Prints JSON: for each kind of history and for one and three lanes the probes beside those of
//! the same history when all of it builds, ends and proof included in both; and how many of an interval that is not at the culprit were run. The first GIT seeds of each kind are also done by the real
//! `git bisect run` on a real repository. Fails where the answer is wrong: no other commit than the culprit, and of suspects exactly those
//! that no run can tell apart.

use anyhow::{Context, bail, ensure};
use bisect_shared::{Ending, Sha};
use bisectd::search::{Conclusion, Graph, InFlight, Question, Run, Step, next};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use std::{
    collections::HashSet,
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

const COMMITS: usize = 1000;
const INTERVALS: usize = 50;
const UNBUILDABLE: usize = 500;
const LANES: [usize; 2] = [1, 3];

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u64| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (seeds, git) = (number(500), number(0));
    let repository = (git > 0).then(Repository::new).transpose()?;
    let question = question()?;
    let mut rows = Vec::new();
    for kind in [Kind::Even, Kind::Spread, Kind::Clustered] {
        for told_apart in [true, false] {
            let histories: Vec<History> = (0..seeds).map(|seed| History::new(seed, kind, told_apart)).collect();
            let mut row = json!({ "kind": format!("{kind:?}"), "culprit_builds": told_apart });
            let left: Vec<usize> = histories.iter().map(|history| history.suspects().len()).collect();
            row["suspects"] = numbers(left.clone());
            for lanes in LANES {
                let (mut probes, mut clean, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
                let mut elsewhere: Vec<(usize, usize)> = Vec::new();
                for history in &histories {
                    let runs = history.search(&question, lanes)?;
                    elsewhere.extend(history.elsewhere(&runs));
                    let with = runs.len();
                    let clean_history = History { builds: vec![true; COMMITS + 1], ..*history };
                    let without = clean_history.search(&question, lanes)?.len();
                    ratios.push(with as f64 / without as f64);
                    probes.push(with);
                    clean.push(without);
                }
                let beyond_log = |(length, run): &&(usize, usize)| *run as f64 > (*length as f64).log2() + 1.0;
                let beyond = probes.iter().zip(&left).map(|(probes, left)| probes - (left - 1));
                row[format!("lanes_{lanes}")] = json!({
                    "clean": numbers(clean.clone()), "beyond_suspects": numbers(beyond.collect()), "probes": numbers(probes.clone()),
                    "ratio_of_means": mean(&probes) / mean(&clean), "ratio_most": ratios.iter().copied().fold(0.0, f64::max),
                    "intervals_elsewhere": json!({
                        "run": elsewhere.len(), "probes": numbers(elsewhere.iter().map(|(_, run)| *run).collect()),
                        "more_than_log2_and_1": elsewhere.iter().filter(beyond_log).count(),
                    }),
                    "within_3": ratios.iter().filter(|ratio| **ratio <= 3.0).count() as f64 / seeds as f64,
                });
            }
            if let Some(repository) = &repository {
                row["git"] = repository.measure(&histories[..seeds.min(git) as usize])?;
            }
            rows.push(row);
        }
    }
    println!("{}", serde_json::to_string_pretty(&json!({ "seeds": seeds, "git": git, "rows": rows }))?);
    Ok(())
}

fn mean(of: &[usize]) -> f64 {
    of.iter().sum::<usize>() as f64 / of.len() as f64
}

fn numbers(mut of: Vec<usize>) -> Value {
    of.sort_unstable();
    json!({ "mean": mean(&of), "p90": of[of.len() * 9 / 10], "most": of.last() })
}

/// Where the commits are that do not build.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// Ten that build, ten that do not, and so on.
    Even,
    /// Intervals of any lengths and gaps of any lengths.
    Spread,
    /// Hardly more than one commit that builds between two intervals, and the culprit among them.
    Clustered,
}

/// What the commits do, by number: 0 is the good end, [`COMMITS`] the bad one.
struct History {
    builds: Vec<bool>,
    culprit: usize,
}

impl History {
    /// The culprit builds, and so does its parent; or what is left in the end is an interval and the commit after it.
    fn new(seed: u64, kind: Kind, told_apart: bool) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let lengths = match kind {
            Kind::Even => vec![UNBUILDABLE / INTERVALS; INTERVALS],
            Kind::Spread | Kind::Clustered => parts(&mut random, UNBUILDABLE, INTERVALS),
        };
        let building = COMMITS - UNBUILDABLE;
        let gaps = match kind {
            // Of the first ten that build some are at the end, where the last interval must not be.
            Kind::Even => (0..=INTERVALS)
                .map(|gap| if gap % INTERVALS == 0 { building / INTERVALS / 2 } else { building / INTERVALS })
                .collect(),
            Kind::Spread => parts(&mut random, building, INTERVALS + 1),
            Kind::Clustered => {
                let mut gaps: Vec<usize> = (1..INTERVALS).map(|_| random.random_range(1..=3)).collect();
                let ends = building - gaps.iter().sum::<usize>();
                let first = random.random_range(1..ends);
                gaps.insert(0, first);
                gaps.push(ends - first);
                gaps
            }
        };
        // The good end is one more that builds.
        let mut builds = vec![true];
        for (at, gap) in gaps.iter().enumerate() {
            builds.extend(std::iter::repeat_n(true, *gap));
            builds.extend(std::iter::repeat_n(false, lengths.get(at).copied().unwrap_or(0)));
        }
        let within = if kind == Kind::Clustered { gaps[0]..=COMMITS - gaps[INTERVALS] + 1 } else { 1..=COMMITS };
        let mut history = Self { builds, culprit: 0 };
        while history.culprit == 0 || (history.suspects().len() == 1) != told_apart {
            history.culprit = random.random_range(within.clone());
        }
        history
    }

    fn ending(&self, commit: usize) -> Ending {
        Ending::Exited(if !self.builds[commit] { 125 } else { u8::from(commit >= self.culprit) })
    }

    /// The culprit and what cannot be told from it.
    fn suspects(&self) -> HashSet<usize> {
        let builds = |commit: &usize| self.builds[*commit];
        let last = (self.culprit..).find(builds).unwrap_or(COMMITS);
        let before = (0..self.culprit).rev().find(builds).unwrap_or(0);
        (before + 1..=last).collect()
    }

    /// Of each interval that is not at the culprit and of which any were run: how long it is, and how many of it were run.
    fn elsewhere(&self, runs: &[Run]) -> Vec<(usize, usize)> {
        let suspects = self.suspects();
        let run: HashSet<usize> = runs.iter().map(|run| number(run.commit)).collect();
        let mut at = 0;
        let intervals = self.builds.chunk_by(|one, other| one == other).map(|interval| {
            at += interval.len();
            (interval[0], at - interval.len()..at)
        });
        let others = intervals.filter(|(builds, interval)| !builds && !suspects.contains(&interval.start));
        let counted =
            others.map(|(_, interval)| (interval.len(), interval.filter(|commit| run.contains(commit)).count()));
        counted.filter(|(_, run)| *run > 0).collect()
    }

    /// The runs that it takes; all of a round answer together.
    fn search(&self, question: &Question, lanes: usize) -> anyhow::Result<Vec<Run>> {
        let mut runs: Vec<Run> = Vec::new();
        loop {
            match next(question, &runs, &[], lanes) {
                Step::Found(good) => bail!("{good} was looked for"),
                Step::Go { start, .. } => runs.extend(
                    start
                        .iter()
                        .map(|InFlight { commit, purpose }| Run::new(*commit, *purpose, self.ending(number(*commit)))),
                ),
                Step::Done(conclusion) => {
                    let found: HashSet<usize> = match &conclusion {
                        Conclusion::Culprit { culprit, .. } => HashSet::from([number(*culprit)]),
                        Conclusion::Suspects { suspects, .. } => {
                            suspects.iter().map(|commit| number(*commit)).collect()
                        }
                        _ => HashSet::new(),
                    };
                    ensure!(found == self.suspects(), "{conclusion:?} for {} of {:?}", self.culprit, self.suspects());
                    return Ok(runs);
                }
            }
        }
    }
}

/// A number as a sum of so many parts; all such sums are as likely.
fn parts(random: &mut impl Rng, sum: usize, parts: usize) -> Vec<usize> {
    let mut ends = vec![sum];
    while ends.len() < parts {
        let end = random.random_range(1..sum);
        if !ends.contains(&end) {
            ends.push(end);
        }
    }
    ends.sort_unstable();
    let starts = std::iter::once(0).chain(ends.clone());
    ends.iter().zip(starts).map(|(end, start)| end - start).collect()
}

fn name(number: usize) -> String {
    format!("{number:040x}")
}

fn number(commit: Sha) -> usize {
    usize::from_str_radix(&commit.to_string(), 16).unwrap_or(usize::MAX)
}

fn question() -> anyhow::Result<Question> {
    let list: String = (1..=COMMITS).rev().map(|number| format!("{} {}\n", name(number), name(number - 1))).collect();
    let bad = name(COMMITS).parse()?;
    Ok(Question::new(Graph::parse(list.as_bytes(), bad, false)?, name(0).parse()?, bad))
}

/// The same row of commits in git: each has its number in the file `number`.
struct Repository {
    folder: tempfile::TempDir,
}

impl Repository {
    fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let repository = Self { folder };
        repository.git(&["init", "--quiet", "--initial-branch=main"])?;
        let mut import = Command::new("git")
            .arg("-C")
            .arg(repository.path())
            .args(["fast-import", "--quiet"])
            .stdin(Stdio::piped())
            .spawn()?;
        let mut stream = import.stdin.take().context("git has no input")?;
        for number in 0..=COMMITS {
            let content = number.to_string();
            write!(
                stream,
                "commit refs/heads/main\ncommitter A <a@example.org> {} +0000\ndata 0\nM 644 inline number\ndata {}\n{content}\n",
                1_700_000_000 + number,
                content.len()
            )?;
        }
        drop(stream);
        ensure!(import.wait()?.success(), "git fast-import failed");
        repository.git(&["reset", "--quiet", "--hard", "main"])?;
        Ok(repository)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn git(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let told = Command::new("git").arg("-C").arg(self.path()).args(arguments).output()?;
        // `git bisect run` ends with 2 where only skipped commits are left.
        ensure!(
            matches!(told.status.code(), Some(0 | 2)),
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&told.stderr)
        );
        Ok(String::from_utf8_lossy(&told.stdout).into_owned())
    }

    fn measure(&self, histories: &[History]) -> anyhow::Result<Value> {
        let (mut probes, mut clean) = (Vec::new(), Vec::new());
        for history in histories {
            probes.push(self.bisect(history)?);
            clean.push(self.bisect(&History { builds: vec![true; COMMITS + 1], ..*history })?);
        }
        Ok(
            json!({ "seeds": histories.len(), "ratio_of_means": mean(&probes) / mean(&clean), "probes": numbers(probes), "clean": numbers(clean) }),
        )
    }

    /// How often `git bisect run` runs the test.
    fn bisect(&self, history: &History) -> anyhow::Result<usize> {
        let code = |commit| history.ending(commit).exit_code().unwrap_or_default().to_string() + "\n";
        fs::write(self.path().join(".git/codes"), (0..=COMMITS).map(code).collect::<String>())?;
        let ran = self.path().join(".git/ran");
        fs::write(&ran, "")?;
        self.git(&["bisect", "start", "main", &format!("main~{COMMITS}")])?;
        let test = r#"n=$(cat number); echo $n >> .git/ran; exit $(sed -n "$((n + 1))p" .git/codes)"#;
        let told = self.git(&["bisect", "run", "sh", "-c", test])?;
        self.git(&["bisect", "reset"])?;
        let unsure = told.contains("could be any of:");
        ensure!(unsure == (history.suspects().len() > 1), "git says: {told}");
        Ok(fs::read_to_string(ran)?.lines().count())
    }
}
