//! What was said to the operator: shown for a while, kept to be read again.

use crate::{
    message::{Action, LogOf},
    text,
};
use bisect_shared::{JobId, admin::Outcome};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::VecDeque;

/// So many are kept.
const KEPT: usize = 500;

/// How a notice is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It is done.
    Good,
    /// It is so.
    Plain,
    /// It is not done, or went wrong.
    Bad,
}

impl Kind {
    /// How long it is shown.
    const fn shown_for(self) -> TimeDelta {
        TimeDelta::seconds(match self {
            Self::Good | Self::Plain => 8,
            Self::Bad => 30,
        })
    }
}

/// Something that was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// When.
    pub at: DateTime<Utc>,
    /// How it is meant.
    pub kind: Kind,
    /// A sentence, safe to draw.
    pub text: String,
}

/// Several actions that were begun at once.
#[derive(Debug, Default)]
struct Batch {
    verb: &'static str,
    open: Vec<Action>,
    all: usize,
    changed: usize,
    same: usize,
    refused: Vec<String>,
}

/// All of it.
#[derive(Debug, Default)]
pub struct Notices {
    kept: VecDeque<Notice>,
    current: Option<Notice>,
    batch: Option<Batch>,
}

impl Notices {
    /// What is to be shown now.
    #[must_use]
    pub fn current(&self, now: DateTime<Utc>) -> Option<&Notice> {
        self.current.as_ref().filter(|notice| now - notice.at < notice.kind.shown_for())
    }

    /// All that was said, the newest last.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = &Notice> + ExactSizeIterator {
        self.kept.iter()
    }

    /// It was read.
    pub fn dismiss(&mut self) {
        self.current = None;
    }

    /// Says something.
    pub fn say(&mut self, at: DateTime<Utc>, kind: Kind, text: &str) {
        let notice = Notice { at, kind, text: text::clean(text).into_owned() };
        self.current = Some(notice.clone());
        self.keep(notice);
    }

    fn keep(&mut self, notice: Notice) {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(notice);
    }

    /// Actions were begun.
    pub fn begin(&mut self, at: DateTime<Utc>, actions: &[Action]) {
        let Some(first) = actions.first() else { return };
        self.batch = (actions.len() > 1).then(|| Batch {
            verb: verb(first),
            open: actions.to_vec(),
            all: actions.len(),
            ..Batch::default()
        });
        let text = match actions {
            [one] => format!("{} {}: asked, no answer yet", verb(one), target(one)),
            many => format!("{} {}: asked, no answer yet", verb(first), counted(many.len(), "job")),
        };
        self.current = Some(Notice { at, kind: Kind::Plain, text });
    }

    /// An action was answered.
    pub fn done(&mut self, at: DateTime<Utc>, action: &Action, result: &Result<Outcome, String>) {
        let (kind, text) = match result {
            Ok(outcome) => (if outcome.changed { Kind::Good } else { Kind::Plain }, outcome.message.clone()),
            Err(why) => (Kind::Bad, format!("{} {}: {why}", verb(action), target(action))),
        };
        let place = self.batch.as_ref().and_then(|batch| batch.open.iter().position(|open| open == action));
        let (Some(batch), Some(place)) = (&mut self.batch, place) else {
            return self.say(at, kind, &text);
        };
        batch.open.swap_remove(place);
        match result {
            Ok(Outcome { changed: true, .. }) => batch.changed += 1,
            Ok(_) => batch.same += 1,
            Err(why) => batch.refused.push(why.clone()),
        }
        let (kind, summary) = batch.summary();
        self.keep(Notice { at, kind, text: text::clean(&text).into_owned() });
        self.current = Some(Notice { at, kind, text: text::clean(&summary).into_owned() });
    }
}

impl Batch {
    fn summary(&self) -> (Kind, String) {
        let mut said = format!("{}: {} of {} done", self.verb, self.changed, self.all);
        if self.same > 0 {
            said += &format!(", {} had nothing to do", self.same);
        }
        if let Some(first) = self.refused.first() {
            said += &format!(", {} refused ({first})", self.refused.len());
        }
        if !self.open.is_empty() {
            said += &format!(", {} not answered yet", self.open.len());
        }
        (if self.refused.is_empty() { Kind::Good } else { Kind::Bad }, said + "; m shows each")
    }
}

/// What an action is called.
#[must_use]
pub const fn verb(action: &Action) -> &'static str {
    match action {
        Action::Cancel(_) => "Cancel",
        Action::Retry(..) => "Retry",
        Action::Drain(_) => "Drain",
        Action::Undrain(_) => "Undrain",
    }
}

/// What an action is for.
#[must_use]
pub fn target(action: &Action) -> String {
    match action {
        Action::Cancel(job) | Action::Retry(job, _) => format!("job {job}"),
        Action::Drain(instance) | Action::Undrain(instance) => text::clean(&instance.0).into_owned(),
    }
}

/// `1 job`, `2 jobs`.
#[must_use]
pub fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// `job 17, 18 and 19`, shortened when they are many.
#[must_use]
pub fn listed(jobs: &[JobId]) -> String {
    const SHOWN: usize = 6;
    let names: Vec<String> = jobs.iter().take(SHOWN).map(JobId::to_string).collect();
    match (names.split_last(), jobs.len()) {
        (None, _) => String::new(),
        (Some((only, [])), 1) => only.clone(),
        (_, more @ SHOWN..) if more > SHOWN => format!("{} and {} more", names.join(", "), more - SHOWN),
        (Some((last, rest)), _) => format!("{} and {last}", rest.join(", ")),
    }
}

/// The name of a file for a log.
#[must_use]
pub fn log_file(of: LogOf) -> String {
    match of.probe {
        Some(probe) => format!("job-{}-probe-{probe}.log", of.job),
        None => format!("job-{}.log", of.job),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn many_answers_are_one_sentence() {
        let mut notices = Notices::default();
        let now = samples::now();
        let actions = [1, 2, 3].map(|id| Action::Cancel(JobId(id)));
        notices.begin(now, &actions);
        let outcome = |changed| Ok(Outcome { message: "job 1 is being stopped".to_owned(), changed, job: None });
        notices.done(now, &actions[0], &outcome(true));
        assert_eq!(notices.current(now).unwrap().text, "Cancel: 1 of 3 done, 2 not answered yet; m shows each");
        notices.done(now, &actions[1], &outcome(false));
        notices.done(now, &actions[2], &Err("there is no job 3".to_owned()));
        let last = notices.current(now).unwrap();
        assert_eq!(last.text, "Cancel: 1 of 3 done, 1 had nothing to do, 1 refused (there is no job 3); m shows each");
        assert_eq!((last.kind, notices.all().len()), (Kind::Bad, 3));
        assert!(notices.current(now + TimeDelta::minutes(1)).is_none());
    }

    #[test]
    fn jobs_are_listed_as_people_do() {
        let list = |count: i64| listed(&(1..=count).map(JobId).collect::<Vec<_>>());
        assert_eq!([list(1), list(2), list(3)], ["1", "1 and 2", "1, 2 and 3"]);
        assert_eq!((list(6), list(9)), ("1, 2, 3, 4, 5 and 6".to_owned(), "1, 2, 3, 4, 5, 6 and 3 more".to_owned()));
    }
}
