//! The texts of a report, whole: each as a person or a program gets it.

use super::*;
use terminal::Paint;

const GOOD: &str = "348b614957bdabef43c6252b07b9f1c77a0127b4";
const PARENT: &str = "2ee11a90e33ca261d1cab9877a1e57528b3bbcbf";
const CULPRIT: &str = "fa1d84b47bad6d8f5f655070d261a1d0b9d605c6";
const BAD: &str = "c213372bfd29e09ff64ef2c46c58e1d5c694c56d";

fn sha(text: &str) -> Sha {
    text.parse().unwrap()
}

fn request() -> Request {
    Request {
        image: None,
        env: Vec::new(),
        source: "/home/ann/packaging/.git".into(),
        good: vec![sha(GOOD)],
        bad: sha(BAD),
        command: ["python3", "-B", "-c", "from packaging.version import LegacyVersion"].map(str::to_owned).into(),
        setup: None,
        first_parent: false,
        fixed: false,
        paths: Vec::new(),
        skip: Vec::new(),
    }
}

fn probe(commit: &str, verdict: Verdict, code: u8, subject: &str) -> ProbeLine {
    ProbeLine {
        commit: sha(commit),
        verdict: Some(verdict),
        runs: 1,
        failures: u32::from(verdict == Verdict::Bad),
        ending: Ending::Exited(code),
        seconds: 0.123_456,
        cached: false,
        otherwise: false,
        subject: subject.into(),
    }
}

fn commit(id: &str, subject: &str, files: &[&str]) -> Commit {
    Commit {
        sha: sha(id),
        author: "Ann Example <ann@example.org>".into(),
        date: "2022-12-07T23:18:13+01:00".into(),
        subject: subject.into(),
        files: files.iter().map(|file| (*file).to_owned()).collect(),
    }
}

/// A search that came to nothing yet: both ends ran.
pub(super) fn report(result: ResultKind, explanation: &str) -> Report {
    Report {
        result,
        culprit: None,
        suspects: Vec::new(),
        confidence: 0.0,
        probes: vec![probe(GOOD, Verdict::Good, 0, "packaging 20.0"), probe(BAD, Verdict::Bad, 1, "packaging 26.3")],
        candidates: 24,
        seconds: 75.4321,
        replay: "git bisect start\n".into(),
        request: request(),
        explanation: explanation.into(),
        advice: None,
        commits: Vec::new(),
        proof: Vec::new(),
        failure: None,
        notes: Vec::new(),
        odds: None,
    }
}

/// A culprit of a test that fails by chance, too.
pub(super) fn likely() -> Report {
    let likely =
        [(CULPRIT, 0.962, "Remove LegacyVersion"), (PARENT, 0.021, "packaging 21.3"), (BAD, 0.012, "packaging 26.3")];
    Report {
        explanation: "The command fails by chance, too: in 14 of 20 runs from this commit on, in 1 of 24 runs before it. That it \
                      is this commit has a probability of 96 %."
            .into(),
        confidence: 0.962,
        odds: Some(Odds {
            likely: likely
                .map(|(commit, probability, subject)| Likely { commit: sha(commit), probability, subject: subject.into() })
                .to_vec(),
            none: 0.004,
            before: Rate { failures: 1, runs: 24 },
            after: Rate { failures: 14, runs: 20 },
            range: vec![0.0, 0.0, 0.021, 0.962, 0.001, 0.012],
            one_more: Some(OneMore { commit: sha(PARENT), if_fails: 0.4, if_passes: 0.98 }),
        }),
        ..culprit()
    }
}

/// Not enough runs were allowed to name one of them.
pub(super) fn unsure() -> Report {
    let Report { mut odds, .. } = likely();
    if let Some(odds) = &mut odds {
        odds.likely[0].probability = 0.61;
        odds.likely[1].probability = 0.372;
    }
    Report {
        explanation:
            "The command fails by chance, too, and after 60 runs no commit has a probability of 95 %. The likeliest, \
                      fa1d84b47bad, has 61 %. It is one of these 2 with 95 %."
                .into(),
        advice: Some("give it more runs (--runs 40), or make the command fail more surely".into()),
        confidence: 0.61,
        odds,
        ..suspects()
    }
}

/// It failed by chance on both sides.
pub(super) fn no_culprit() -> Report {
    let Report { mut odds, .. } = likely();
    if let Some(odds) = &mut odds {
        odds.likely.truncate(1);
        (odds.likely[0].probability, odds.none, odds.range) = (0.04, 0.71, vec![0.05; 6]);
    }
    Report {
        advice: Some(
            "it was so at the good end already: look for what the command depends on besides the commit".into(),
        ),
        odds,
        ..report(
            ResultKind::Flaky,
            "The command fails in about 1 run of 8, by chance, on both sides of the range: in 3 of 25 runs of the good end \
             fa1d84b47bad, in 5 of 40 runs of the commits after it. No commit of the range changed that.",
        )
    }
}

pub(super) fn culprit() -> Report {
    let files = ["M CHANGELOG.rst", "D a", "D b", "D c", "D d", "D e", "D f", "M packaging/version.py", "A x", "A y"];
    let proof = |commit, is_culprit, code, verdict| ProofLine {
        commit: sha(commit),
        is_culprit,
        ending: Some(Ending::Exited(code)),
        verdict: Some(verdict),
    };
    let mut report = report(
        ResultKind::Culprit,
        &format!("The command fails on it and passes on its parent {}.", sha(PARENT).short()),
    );
    report.probes.push(ProbeLine { runs: 2, ..probe(CULPRIT, Verdict::Bad, 1, "Remove LegacyVersion") });
    report.probes.push(ProbeLine { runs: 2, ..probe(PARENT, Verdict::Good, 0, "packaging 21.3") });
    report.culprit = Some(sha(CULPRIT));
    report.confidence = 0.9;
    report.commits = vec![commit(CULPRIT, "Remove LegacyVersion\u{1b}[2J", &files)];
    report.proof = vec![proof(CULPRIT, true, 1, Verdict::Bad), proof(PARENT, false, 0, Verdict::Good)];
    report.failure = Some(Failure {
        commit: sha(CULPRIT),
        ending: Ending::Exited(1),
        tail: super::text::tail(
            b"Traceback (most recent call last):\n  File \"<string>\", line 1, in <module>\n\
            \x1b[1;31mImportError\x1b[0m: \x1b[35mLegacyVersion\x1b[2J\n",
        ),
    });
    report.notes = vec!["its parent 27ea2e424b48 could not be run for the proof".into()];
    report
}

pub(super) fn fix() -> Report {
    let mut report = culprit();
    report.request.fixed = true;
    report.explanation = format!("The command passes on it and fails on its parent {}.", sha(PARENT).short());
    report.notes.clear();
    for line in &mut report.proof {
        line.verdict = Some(if line.is_culprit { Verdict::Good } else { Verdict::Bad });
        line.ending = Some(Ending::Exited(u8::from(!line.is_culprit)));
    }
    report.failure = Some(Failure { commit: sha(BAD), ending: Ending::Exited(0), tail: "all is well".into() });
    report
}

pub(super) fn suspects() -> Report {
    let mut report = report(
        ResultKind::Suspects,
        "It is one of these 4 commits. All but the last failing one could not be tested, so they cannot be told apart.",
    );
    report.suspects = vec![sha(BAD), sha(CULPRIT), sha(PARENT), sha(GOOD)];
    report.confidence = 0.25;
    report.commits =
        vec![commit(BAD, "Release 26.3", &["M setup.py"]), commit(CULPRIT, "Remove LegacyVersion", &["M setup.py"])];
    report.advice = Some("make them testable (--setup, another --image), or look at their changes".into());
    report.failure = Some(Failure { commit: sha(BAD), ending: Ending::Exited(1), tail: "E   assert 1 == 2".into() });
    report
}

pub(super) fn not_reproducible() -> Report {
    let mut report = report(
        ResultKind::NotReproducible,
        "The command passes on the bad end c213372bfd29: the failure does not show itself here.",
    );
    report.probes = vec![probe(BAD, Verdict::Good, 0, "packaging 26.3")];
    report.request.setup = Some("pip install -q -e '.[test]'".into());
    report.request.command =
        ["pytest", "-q", "-x", "tests/test_version.py", "-k", "legacy and not slow"].map(str::to_owned).into();
    report.advice = Some(
        "check that the command fails there by hand in the same image; it may need --setup, --env, --network egress or another --image".into(),
    );
    report.failure = Some(Failure { commit: sha(BAD), ending: Ending::Exited(0), tail: "12 passed in 0.07s".into() });
    report
}

pub(super) fn flaky() -> Report {
    let mut report = report(
        ResultKind::Flaky,
        "fa1d84b47bad answered both ways: exit 1, then exit 0. The command does not depend on the commit alone.",
    );
    report.advice = Some(
        "make the command surer (fix the seed, retry inside it, wait for what it needs), then run it again".into(),
    );
    report.failure = Some(Failure { commit: sha(CULPRIT), ending: Ending::Exited(0), tail: String::new() });
    report
}

pub(super) fn aborted() -> Report {
    let mut report = report(
        ResultKind::Aborted,
        "On c213372bfd29 the command ended with exit 137 (signal 9), which stops a bisection (128 and above, or killed by a signal).",
    );
    report.probes = vec![ProbeLine { verdict: None, ..probe(BAD, Verdict::Bad, 137, "packaging 26.3") }];
    report.advice = Some("if that is the failure you hunt, wrap it: -- sh -c 'your command || exit 1'".into());
    report.failure = Some(Failure { commit: sha(BAD), ending: Ending::Exited(137), tail: "Killed".into() });
    report
}

pub(super) fn infrastructure() -> Report {
    let mut report = report(
        ResultKind::Infrastructure,
        "Docker does not answer on /var/run/docker.sock. This says nothing about any commit.",
    );
    report.probes.clear();
    (report.candidates, report.seconds) = (1, 0.04);
    report.advice = Some(
        "look at what the message names (`make setup` installs and starts what is missing), then run it again".into(),
    );
    report
}

/// The text without colours, and with them; ESC is written as ␛.
fn both(report: &Report) -> (String, String) {
    let [plain, coloured] = [false, true].map(|colours| terminal::render(report, Paint { colours }));
    assert!(!plain.contains('\u{1b}'), "{plain}");
    assert!(coloured.lines().all(|line| line.trim_end() == line), "blanks at the end of a line: {coloured:?}");
    assert_eq!(text::filter(coloured.as_bytes(), false), plain, "colours add nothing else");
    (plain, coloured.replace('\u{1b}', "␛"))
}

macro_rules! golden {
    ($($name:ident)*) => {$(
        mod $name {
            #[test]
            fn reads_well() {
                let (plain, coloured) = super::both(&super::$name());
                insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
                    insta::assert_snapshot!(concat!(stringify!($name), "_plain"), plain);
                    insta::assert_snapshot!(concat!(stringify!($name), "_coloured"), coloured);
                });
            }
        }
    )*};
}

golden! { culprit fix suspects not_reproducible flaky aborted infrastructure likely unsure no_culprit }

#[test]
fn the_json_object_has_the_names_of_the_contract() {
    let object = serde_json::to_string_pretty(&json::render(&culprit())).unwrap();
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("culprit_json", object);
    });
    let names = ["candidates", "confidence", "culprit", "probes", "replay", "result", "seconds", "suspects"];
    for report in [fix(), suspects(), not_reproducible(), flaky(), aborted(), infrastructure()] {
        let object = json::render(&report);
        let mut found: Vec<&String> = object.as_object().unwrap().keys().collect();
        found.sort();
        assert_eq!(found, names);
    }
    for report in [likely(), unsure(), no_culprit()] {
        let object = json::render(&report);
        assert!(names.iter().all(|name| object.get(name).is_some()), "{object}");
        assert_eq!(object["odds"]["none"], report.odds.unwrap().none);
        assert_eq!(object["probes"][1]["failures"], 1);
    }
}

fn verdicts() -> Vec<(Sha, Verdict, String)> {
    vec![
        (sha(GOOD), Verdict::Good, "packaging 20.0".into()),
        (sha(BAD), Verdict::Bad, "packaging 26.3".into()),
        (sha(PARENT), Verdict::Skip, "two\nlines".into()),
        (sha(CULPRIT), Verdict::Bad, "Remove LegacyVersion".into()),
    ]
}

#[test]
fn the_log_is_one_that_git_writes() {
    let found = (sha(CULPRIT), "Remove LegacyVersion".to_owned());
    let plain = replay::render(&request(), &verdicts(), Some(&found));
    let wanted = Request {
        first_parent: true,
        fixed: true,
        paths: vec!["src/it's one".into(), "docs".into()],
        skip: vec![sha(PARENT)],
        ..request()
    };
    let turned: Vec<_> = verdicts()
        .into_iter()
        .map(|(commit, verdict, subject)| {
            let turned = match verdict {
                Verdict::Good => Verdict::Bad,
                Verdict::Bad => Verdict::Good,
                Verdict::Skip => Verdict::Skip,
            };
            (commit, turned, subject)
        })
        .collect();
    let fixed = replay::render(&wanted, &turned, Some(&found));
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("replay", plain);
        insta::assert_snapshot!("replay_fixed", fixed);
    });
}

/// The log of a search for a fix, with a path, in a repository of four commits: git comes to the same commit.
#[test]
fn git_replays_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let git = |arguments: &[&str]| {
        let output = std::process::Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
            .args(arguments)
            .current_dir(folder.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    git(&["init", "--quiet"]);
    let commits: Vec<Sha> = (0..4)
        .map(|number| {
            // The third commit does not touch the path.
            let name = if number == 2 { "other" } else { "it's here!" };
            std::fs::write(folder.path().join(name), number.to_string()).unwrap();
            git(&["add", "."]);
            git(&["commit", "--quiet", "--message", &format!("commit {number}")]);
            sha(git(&["rev-parse", "HEAD"]).trim())
        })
        .collect();
    let request =
        Request { good: vec![commits[0]], bad: commits[3], fixed: true, paths: vec!["it's here!".into()], ..request() };
    let verdicts = [(0, Verdict::Bad), (3, Verdict::Good), (1, Verdict::Bad)];
    let verdicts: Vec<_> = verdicts.map(|(index, verdict)| (commits[index], verdict, format!("commit {index}"))).into();
    let log = replay::render(&request, &verdicts, Some(&(commits[3], "commit 3".into())));
    std::fs::write(folder.path().join(".git/log"), &log).unwrap();
    let told = git(&["bisect", "replay", ".git/log"]);
    assert!(told.contains(&format!("{} is the first fixed commit", commits[3])), "{told}");
}
