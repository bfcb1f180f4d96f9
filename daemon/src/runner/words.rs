//! What each end of a search means, in words: the sentence, the advice, the notes.

use super::spec::JobSpec;
use crate::{
    report::{Rate, odds::percent},
    search::{AbortReason, Belief, Conclusion, Parent, ParentState, Run, SuspectsWhy, noisy::Tally},
};
use bisect_shared::{Ending, ResultKind, Sha};

/// A result without its numbers.
pub(super) struct Words {
    pub(super) result: ResultKind,
    pub(super) explanation: String,
    pub(super) advice: Option<String>,
    pub(super) notes: Vec<String>,
    pub(super) confidence: f64,
    /// The culprit or the suspects.
    pub(super) commits: Vec<Sha>,
    /// Whose output is shown; the bad end's where there is none.
    pub(super) failing: Option<Sha>,
}

impl Words {
    pub(super) fn of(result: ResultKind, explanation: impl Into<String>) -> Self {
        let explanation = explanation.into();
        Self {
            result,
            explanation,
            advice: None,
            notes: Vec::new(),
            confidence: 0.0,
            commits: Vec::new(),
            failing: None,
        }
    }

    fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    fn about(mut self, commit: Sha) -> Self {
        self.failing = Some(commit);
        self
    }

    /// The result of a search that came to an end.
    pub(super) fn concluded(conclusion: &Conclusion, spec: &JobSpec) -> Self {
        match conclusion {
            Conclusion::Culprit { culprit, parents, skipped_merge_bases, belief } => match belief {
                Some(belief) => likely_culprit(*culprit, belief, spec),
                None => culprit_words(*culprit, parents, spec),
            }
            .noting(skipped_merge_bases),
            Conclusion::Suspects { suspects, why, skipped_merge_bases, belief } => {
                suspects_words(suspects, why, belief.as_deref(), spec).noting(skipped_merge_bases)
            }
            Conclusion::NotReproducible { run, runs } => not_reproducible(run, *runs, spec),
            Conclusion::GoodFails { run } => good_fails(run, spec),
            Conclusion::FixedBefore { merge_base, good } => fixed_before(*merge_base, good),
            Conclusion::NoCulprit { good, range, .. } => no_culprit(*good, *range, spec),
            Conclusion::Aborted { run, why } => aborted(run, *why, spec),
        }
    }

    /// The search's time was used up.
    pub(super) fn timed_out(seconds: f64) -> Self {
        Self::of(ResultKind::TimedOut, format!("The job's {seconds:.0} s were used up before the answer was certain."))
            .advice("give it more time (--job-timeout), more lanes (--jobs) or a narrower range")
    }

    /// Somebody stopped it.
    pub(super) fn cancelled(by: Option<&str>) -> Self {
        Self::of(ResultKind::Cancelled, by.map_or("It was cancelled.".into(), |by| format!("Cancelled by {by}.")))
    }

    /// What the bisection runs on failed.
    pub(super) fn infrastructure(reason: &str) -> Self {
        Self::of(
            ResultKind::Infrastructure,
            format!("{}. This says nothing about any commit.", reason.trim_end_matches('.')),
        )
        .advice("look at what the message names (`make setup` installs and starts what is missing), then run it again")
    }

    fn noting(mut self, skipped_merge_bases: &[Sha]) -> Self {
        self.notes.extend(skipped_merge_bases.iter().map(|sha| {
            format!("the merge base {} could not be tested; if it fails too, the good side was fixed and nothing was broken", sha.short())
        }));
        self
    }
}

fn culprit_words(culprit: Sha, parents: &[Parent], spec: &JobSpec) -> Words {
    let (does, before) = if spec.fixed { ("passes", "fails") } else { ("fails", "passes") };
    let before_plain = if spec.fixed { "fail" } else { "pass" };
    let proven: Vec<String> =
        parents.iter().filter(|p| p.state == ParentState::Proven).map(|p| p.commit.short()).collect();
    let explanation = match proven.as_slice() {
        [] => format!("The command {does} on it."),
        [parent] => format!("The command {does} on it and {before} on its parent {parent}."),
        many => format!("The command {does} on it and {before} on its parents {}.", many.join(" and ")),
    };
    let mut words = Words { commits: vec![culprit], confidence: 1.0, ..Words::of(ResultKind::Culprit, explanation) };
    // With --fixed it is the parent that fails.
    words.failing = if spec.fixed { parents.first().map(|parent| parent.commit) } else { Some(culprit) };
    for parent in parents.iter().filter(|parent| parent.state == ParentState::Skipped) {
        // Not measured: what is left to doubt when one side of the step could not be run again.
        words.confidence = 0.9;
        words.notes.push(format!("its parent {} could not be run for the proof", parent.commit.short()));
    }
    for parent in parents.iter().filter(|parent| parent.state == ParentState::RepairedSince) {
        words.notes.push(format!(
            "on its parent {}, which a good end already contains, the command does not {before_plain} either: what was \
             repaired there may have come back with this merge",
            parent.commit.short()
        ));
    }
    words
}

/// How often the test itself failed, of a tally that counts the newer behaviour.
pub(super) fn rate(tally: Tally, spec: &JobSpec) -> Rate {
    let Tally { failures: newer, runs } = tally;
    Rate { failures: if spec.fixed { runs - newer } else { newer }, runs }
}

/// Why commits were run many times, where nobody asked for it.
fn sampled(words: Words, spec: &JobSpec) -> Words {
    let Words { mut notes, .. } = words;
    if !spec.sampling().asked {
        let runs = spec.sampling().runs;
        notes.push(format!(
            "its runs contradicted one another, so commits were run several times, as with --runs {runs}"
        ));
    }
    Words { notes, ..words }
}

fn likely_culprit(culprit: Sha, belief: &Belief, spec: &JobSpec) -> Words {
    let (before, after) = (rate(belief.before, spec), rate(belief.after, spec));
    let confidence = belief.likely.first().map_or(0.0, |(_, probability)| *probability);
    let explanation = format!(
        "The command fails by chance, too: in {after} from this commit on, in {before} before it. That it is this commit has a \
         probability of {}.",
        percent(confidence)
    );
    let words = Words { commits: vec![culprit], confidence, ..Words::of(ResultKind::Culprit, explanation) };
    sampled(if spec.fixed { words } else { words.about(culprit) }, spec)
}

fn no_culprit(good: Tally, range: Tally, spec: &JobSpec) -> Words {
    let (good, range) = (rate(good, spec), rate(range, spec));
    let share = f64::from(good.failures + range.failures) / f64::from((good.runs + range.runs).max(1));
    let often = match share {
        share if share <= 0.0 => "never".to_owned(),
        share if share <= 0.4 => format!("in about 1 run of {:.0}", 1.0 / share),
        share => format!("in about {} of its runs", percent(share)),
    };
    let older = spec.good.first().map_or_else(String::new, |good| format!(" {}", good.short()));
    let words = Words::of(
        ResultKind::Flaky,
        format!(
            "The command fails {often}, by chance, on both sides of the range: in {good} of the good end{older}, in {range} of \
             the commits after it. No commit of the range changed that."
        ),
    )
    .advice(
        "it was so at the good end already: look for what the command depends on besides the commit (time, order, seed, \
         network), or name an older good end to find what made it so",
    );
    sampled(words, spec)
}

fn suspects_words(suspects: &[Sha], why: &SuspectsWhy, belief: Option<&Belief>, spec: &JobSpec) -> Words {
    let count = suspects.len();
    let likeliest = belief.and_then(|belief| belief.likely.first());
    let words = match why {
        SuspectsWhy::OnlySkippedLeft => Words::of(
            ResultKind::Suspects,
            format!("It is one of these {count} commits. All but the last failing one could not be tested, so they cannot be told apart."),
        )
        .advice("make them testable (--setup, another --image), or look at their changes"),
        SuspectsWhy::BetweenPaths { good, bad } => Words::of(
            ResultKind::Suspects,
            format!(
                "It came in between {} and {}, by one of these {count} commits, none of which touches the paths.",
                good.iter().map(Sha::short).collect::<Vec<_>>().join(", "),
                bad.short()
            ),
        )
        .advice("run it again without --path"),
        SuspectsWhy::NotSure { runs } => Words::of(
            ResultKind::Suspects,
            format!(
                "The command fails by chance, too, and after {runs} runs no commit has a probability of {wanted}. {likeliest}It \
                 is one of these {count} with {wanted}.",
                wanted = percent(spec.sampling().confidence),
                likeliest = likeliest.map_or_else(String::new, |(commit, probability)| {
                    format!("The likeliest, {}, has {}. ", commit.short(), percent(*probability))
                }),
            ),
        )
        .advice(format!("give it more runs (--runs {}), or make the command fail more surely", spec.sampling().runs * 2)),
    };
    let words = Words { commits: suspects.to_vec(), ..words };
    match likeliest {
        Some((_, probability)) => sampled(Words { confidence: *probability, ..words }, spec),
        // One of them is right, and nothing tells which.
        None => Words { confidence: 1.0 / count.max(1) as f64, ..words },
    }
}

fn not_reproducible(run: &Run, runs: u32, spec: &JobSpec) -> Words {
    let end = run.commit.short();
    let times = if runs > 1 { format!(" in all of its {runs} runs") } else { String::new() };
    if spec.fixed {
        return Words::of(
            ResultKind::NotReproducible,
            format!("The newer end {end} still fails{times} ({}): there is no fix to find.", run.ending),
        )
        .about(run.commit)
        .advice("name a newer end on which the command passes");
    }
    let advice = "check that the command fails there by hand in the same image; it may need --setup, --env, --network egress or another --image";
    let advice = match runs {
        1 => format!("{advice}; if it fails only now and then, --runs 20 gives it more than one chance"),
        _ => format!("{advice}, or more chances (--runs {})", runs * 2),
    };
    Words::of(
        ResultKind::NotReproducible,
        format!("The command passes on the bad end {end}{times}: the failure does not show itself here."),
    )
    .about(run.commit)
    .advice(advice)
}

fn good_fails(run: &Run, spec: &JobSpec) -> Words {
    let end = run.commit.short();
    if spec.auto && spec.good.is_empty() {
        let (fails, passes) = if spec.fixed { ("passes", "fails") } else { ("fails", "passes") };
        return Words::of(
            ResultKind::GoodFails,
            format!(
                "No release {passes}: stepping back from {}, the command {fails} on every one that was tried, back to {end} ({}).",
                spec.bad.short(),
                run.ending
            ),
        )
        .about(run.commit)
        .advice(format!("name a commit on which it {passes}, or look at the output: old releases may need another --image or --setup"));
    }
    if spec.fixed {
        return Words::of(
            ResultKind::GoodFails,
            format!("The command passes on the older end {end}, so nothing was fixed since."),
        )
        .about(run.commit)
        .advice("name an older end on which it fails");
    }
    Words::of(ResultKind::GoodFails, format!("The command fails on the good end {end} too ({}).", run.ending))
        .about(run.commit)
        .advice("name an older commit on which it passes, or look at the output: it may fail for another reason than the one you hunt")
}

fn fixed_before(merge_base: Sha, good: &[Sha]) -> Words {
    let good = good.iter().map(Sha::short).collect::<Vec<_>>().join(", ");
    Words::of(
        ResultKind::FixedBefore,
        format!("The command already fails on {}, where both sides part: something between it and {good} fixed it, and that fix is not on the bad side.", merge_base.short()),
    )
    .about(merge_base)
    .advice(format!("find the fix: bisectd bisect … {} {good} --fixed -- …", merge_base.short()))
}

fn aborted(run: &Run, why: AbortReason, spec: &JobSpec) -> Words {
    let (end, ending) = (run.commit.short(), run.ending);
    let (explanation, advice) = match why {
        AbortReason::CommandSaidSo => (
            format!(
                "On {end} the command ended with {ending}, which stops a bisection (128 and above, or killed by a signal)."
            ),
            "if that is the failure you hunt, wrap it: -- sh -c 'your command || exit 1'",
        ),
        AbortReason::CommandCannotRun => (
            format!("The command cannot run at all: {} on both ends.", cannot_run(ending)),
            "check its name and the image; relative programs are looked up in the tree; --setup can install what is missing",
        ),
        AbortReason::EndSetupFails => (
            format!("--setup fails on the end {end} ({ending}), so there is nothing to compare with."),
            "look at its output and mend the setup, or name another end",
        ),
        AbortReason::EndTampers => (
            format!(
                "On the end {end} the command interfered with process 1 of its container, which supervises it, so its result counts for nothing."
            ),
            "let the command leave process 1 alone (no reading of /proc/1/mem or writing to /proc/1/fd); name another end if only this one does it",
        ),
        AbortReason::EndFailsOtherwise if spec.failure_line.is_some() => (
            format!("The command fails on the end {end} ({ending}), but prints no line that matches --failure-line."),
            "look at its output and mend the expression, or name another end",
        ),
        AbortReason::EndFailsOtherwise => (
            format!("The command fails on the end {end} too ({ending}), but otherwise than on the other end."),
            "look at its output: it may be mended by --setup; else name another end, on which it passes",
        ),
        AbortReason::EndSkipped => (
            format!("The end {end} cannot be tested ({ending})."),
            "name another commit for this end, one on which the command can answer",
        ),
    };
    Words::of(ResultKind::Aborted, explanation).about(run.commit).advice(advice)
}

fn cannot_run(ending: Ending) -> &'static str {
    if ending.exit_code() == Some(126) { "not executable (exit 126)" } else { "not found (exit 127)" }
}
