//! Answers to comments that are not about how a job is: what was refused and why, and short notes.

use super::comment::{Links, inline};
use crate::command::{Mistake, repository_config::Allow};
use bisect_shared::{JobId, JobStatus, ResultKind, Sha};
use chrono::{DateTime, Utc};
use std::fmt::Write;

/// Why a command was not obeyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// The line is no command.
    Mistake(Mistake),
    /// `.github/bisect.yml` cannot be used.
    BadRepositoryConfig(String),
    /// Who asked may not.
    NotAllowed {
        /// Who may.
        needed: Allow,
    },
    /// Nothing has this name.
    UnknownRef {
        /// The name.
        name: String,
    },
    /// Both names mean one commit.
    SameEnds {
        /// The older end as it was written.
        good: String,
        /// The newer end as it was written.
        bad: String,
        /// What both mean.
        sha: Sha,
    },
    /// The installation's jobs of this month are used.
    MonthUsed {
        /// Its tier.
        tier: String,
        /// Jobs of this month.
        used: u32,
        /// Jobs per month.
        limit: u32,
        /// When the next month begins.
        resets_at: DateTime<Utc>,
    },
    /// Too many unfinished jobs.
    TooManyJobs {
        /// `you` or `this repository`.
        whose: &'static str,
        /// How many may be unfinished.
        limit: u32,
    },
    /// An end is among what is never to be tested.
    SkipsEnd {
        /// What was to be skipped, as it was written.
        range: String,
        /// The end.
        sha: Sha,
    },
    /// GitHub does not let this App do what is needed.
    AppMayNot {
        /// What was being done.
        doing: String,
        /// What GitHub said.
        message: String,
    },
    /// One user writes too many commands.
    TooManyCommands {
        /// How many are obeyed.
        limit: u32,
        /// In so many minutes.
        minutes: u64,
    },
    /// There is no job of this issue to repeat.
    NothingToRetry,
    /// There is no unfinished job of this issue.
    NothingToCancel,
    /// The unfinished jobs of this issue are others'.
    NotYours,
    /// The last job of this issue has not ended.
    StillRunning {
        /// It.
        job: JobId,
    },
}

impl Rejection {
    /// For the record, in a few words.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Mistake(mistake) => format!("not a command: {}", mistake.what),
            Self::BadRepositoryConfig(what) => format!(".github/bisect.yml: {what}"),
            Self::NotAllowed { .. } => "the author may not".into(),
            Self::UnknownRef { name } => format!("unknown ref {name}"),
            Self::SameEnds { sha, .. } => format!("both ends are {sha}"),
            Self::SkipsEnd { range, sha } => format!("--skip {range} covers the end {sha}"),
            Self::AppMayNot { doing, message } => format!("{doing}: GitHub does not let this App: {message}"),
            Self::MonthUsed { used, limit, .. } => format!("{used} of {limit} jobs of the month are used"),
            Self::TooManyJobs { whose, limit } => format!("{whose}: more than {limit} unfinished jobs"),
            Self::TooManyCommands { limit, minutes } => format!("more than {limit} commands in {minutes} minutes"),
            Self::NothingToRetry => "no job to repeat".into(),
            Self::NothingToCancel => "no unfinished job".into(),
            Self::NotYours => "the unfinished jobs are others'".into(),
            Self::StillRunning { job } => format!("job {job} has not ended"),
        }
    }
}

/// The reply to a command that was not obeyed.
#[must_use]
pub fn rejection(rejection: &Rejection) -> String {
    match rejection {
        Rejection::Mistake(Mistake { what, example }) => format!(
            "That is no command that I know. {}\n\nThis would work:\n\n```text\n{}\n```\n\n`/bisect help` tells the rest.\n",
            inline(what),
            example.replace("```", "'''")
        ),
        Rejection::BadRepositoryConfig(what) => format!(
            "`.github/bisect.yml` on the default branch cannot be used: {}.\n\nNothing was started. Correct it there and ask again.\n",
            inline(what)
        ),
        Rejection::NotAllowed { needed } => {
            let who = match needed {
                Allow::Write => "those who can push to it",
                Allow::Triage => "those who can manage its issues",
                Allow::Anyone => "those who can read it, and not in a locked issue",
            };
            format!(
                "In this repository bisections are for {who}. A maintainer can ask for it here, or allow more with \
                 `allow: triage` or `allow: anyone` in `.github/bisect.yml`.\n"
            )
        }
        Rejection::UnknownRef { name } => format!(
            "There is no branch, tag or commit {} in this repository. Check the spelling; a short SHA must be unique.\n",
            inline(name)
        ),
        Rejection::SameEnds { good, bad, sha } => format!(
            "{} and {} are the same commit, `{}`. Name an older commit where the command passes and a newer one where it fails.\n",
            inline(good),
            inline(bad),
            sha.short()
        ),
        Rejection::SkipsEnd { range, sha } => format!(
            "`--skip` {} leaves out `{}`, which is one of the two ends. Both are tested, to know that there is something \
             to find: skip less, or name another end.\n",
            inline(range),
            sha.short()
        ),
        Rejection::AppMayNot { doing, message } => format!(
            "GitHub does not let me do what this needs ({}: {}). An owner can look at the App's permissions and \
             repositories in the settings under *Installed GitHub Apps*.\n",
            inline(doing),
            inline(message)
        ),
        Rejection::MonthUsed { tier, used, limit, resets_at } => format!(
            "The {} tier has {limit} bisections a month, and {used} are used. The next month begins on {} UTC.\n",
            inline(tier),
            resets_at.format("%Y-%m-%d %H:%M")
        ),
        Rejection::TooManyJobs { whose, limit } => {
            let has = if *whose == "you" { "You have" } else { "This repository has" };
            format!("{has} {limit} unfinished bisections already. Wait for one to end, or `/bisect cancel` one.\n")
        }
        Rejection::TooManyCommands { limit, minutes } => format!(
            "More than {limit} commands in {minutes} minutes are not obeyed. Further ones within that time get no answer.\n"
        ),
        Rejection::NothingToRetry => "No bisection was asked for in this issue, so there is none to repeat.\n".into(),
        Rejection::NothingToCancel => "No bisection of this issue waits or runs.\n".into(),
        Rejection::NotYours => "What runs here was asked for by others. They can stop it, and so can those who manage \
                                the issues of this repository.\n"
            .into(),
        Rejection::StillRunning { job } => {
            format!("Job {job} of this issue has not ended. `/bisect cancel` stops it; then it can be repeated.\n")
        }
    }
}

/// A job as one line of `/bisect status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobLine {
    /// Its number.
    pub job: JobId,
    /// Where it stands.
    pub status: JobStatus,
    /// What it ended with.
    pub result: Option<ResultKind>,
    /// The culprit, if that is the result.
    pub culprit: Option<Sha>,
}

/// The reply to `/bisect status`.
#[must_use]
pub fn status_list(jobs: &[JobLine], links: impl Fn(JobId) -> Links) -> String {
    if jobs.is_empty() {
        return "No bisection was asked for in this issue.\n".into();
    }
    let mut out = String::from("| job | state | result |\n|---|---|---|\n");
    for line in jobs {
        let links = links(line.job);
        let result = match (line.culprit, line.result) {
            (Some(culprit), _) => format!("culprit [`{}`]({}/commit/{culprit})", culprit.short(), links.repository),
            (None, Some(result)) => result.name().replace('_', " "),
            (None, None) => "–".into(),
        };
        let _ = writeln!(out, "| {} | {} | {result} |", links.to_job(&line.job.to_string()), line.status);
    }
    out
}

/// The note that only the first command of a comment is obeyed.
#[must_use]
pub fn further_commands(further: usize) -> String {
    let them = if further == 1 { "line was" } else { "lines were" };
    format!("One command per comment: {further} further `/bisect` {them} not read. Please write a comment for each.\n")
}

/// The reply to a request that is under way already; `elsewhere` is the other issue in which it was asked first.
#[must_use]
pub fn joined(job: JobId, links: &Links, elsewhere: Option<i64>) -> String {
    let place = elsewhere.map_or_else(
        || "Its result answers this comment too".to_owned(),
        |issue| format!("Its result will stand in [issue {issue}]({}/issues/{issue})", links.repository),
    );
    let job = links.to_job(&format!("job {job}"));
    format!("Exactly this is being looked for already: {job}. {place}.\n")
}

/// The reply to `/bisect wrong`.
#[must_use]
pub fn disputed(job: JobId) -> String {
    format!(
        "Noted for the operators: the answer of job {job} is disputed. `/bisect retry` looks again from nothing. If the \
         command fails for more than one reason, one that checks for this reason only gives a surer answer.\n"
    )
}

/// The short comment that follows the result of a long job, since an edit notifies nobody.
#[must_use]
pub fn notice(job: JobId, links: &Links) -> String {
    let job = links.to_job(&format!("job {job}"));
    format!("The bisection has ended: see the comment above ({job}).\n")
}
