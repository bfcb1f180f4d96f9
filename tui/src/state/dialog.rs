//! What lies over a view: a question, a line to be typed, the palette, a choice of servers.

use super::{
    Palette, State,
    list::List,
    notices::{counted, listed, target, verb},
};
use crate::{message::Action, text};
use bisect_shared::{
    InstanceId, JobId, JobStatus,
    admin::{InstanceView, JobView},
};
use tui_input::Input;

/// What lies over a view.
#[derive(Debug)]
pub enum Modal {
    /// These actions, if the answer is yes.
    Question(Question),
    /// A line is typed.
    Line(Line),
    /// A command is typed.
    Palette(Palette),
    /// A server is chosen.
    Hosts(List),
}

/// Actions that are to be confirmed.
#[derive(Debug)]
pub struct Question {
    /// The actions.
    pub actions: Vec<Action>,
    /// What was left out, and why.
    pub left_out: Option<String>,
}

/// A line that is typed.
#[derive(Debug)]
pub struct Line {
    /// What for.
    pub wanted: LineFor,
    /// What is typed.
    pub input: Input,
    /// What there was before, for when it is given up.
    pub before: String,
}

/// What a line is typed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineFor {
    /// Words that jobs are found by.
    Jobs,
    /// A text that is searched in the log.
    Log,
    /// The name of a file for the log.
    Save,
    /// The number of runs with which these jobs are repeated.
    Runs(Vec<JobId>),
}

impl LineFor {
    /// What stands before the line.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Jobs => "find jobs: ",
            Self::Log => "search: ",
            Self::Save => "save the log to: ",
            Self::Runs(_) => "runs for each step, 2 to 100: ",
        }
    }
}

/// What will happen, in sentences for people.
#[must_use]
pub fn question(state: &State, question: &Question) -> Vec<String> {
    let mut said = match question.actions.as_slice() {
        [Action::Cancel(id)] => cancel_one(state, *id),
        [Action::Retry(id, runs)] => retry_one(state, *id, *runs),
        [Action::Drain(id)] => drain(state, id),
        [Action::Undrain(id)] => vec![format!("Give new jobs to {} again?", server(state, id))],
        many => many_jobs(state, many),
    };
    said.extend(question.left_out.clone());
    if !state.connection.is_up() {
        said.push("There is no connection now: nothing can be sent.".to_owned());
    }
    said
}

fn name(job: Option<&JobView>, id: JobId) -> String {
    job.map_or_else(|| format!("job {id}"), |job| format!("job {id} of {}", text::clean(&job.repository)))
}

fn cancel_one(state: &State, id: JobId) -> Vec<String> {
    let job = state.jobs.get(id);
    let stops = match job.map(|job| job.status) {
        Some(JobStatus::Pending) => "It waits and has no containers yet.".to_owned(),
        Some(JobStatus::Running) => match job.map_or(0, |job| job.probes_running) {
            0 => "Its containers are stopped.".to_owned(),
            1 => "Its probe and its containers are stopped.".to_owned(),
            running => format!("Its {running} probes and their containers are stopped."),
        },
        _ => "It has ended already, as far as is known here.".to_owned(),
    };
    let told = match job {
        Some(job) if job.issue.is_none() => {
            format!("Whoever waits for it is told that {} cancelled it.", state.operator())
        }
        _ => format!("The comment says that {} cancelled it.", state.operator()),
    };
    vec![format!("Cancel {}?", name(job, id)), stops, told]
}

fn retry_one(state: &State, id: JobId, runs: Option<u32>) -> Vec<String> {
    let job = state.jobs.get(id);
    let with = with_runs(runs);
    let told = match job {
        Some(job) if job.issue.is_none() => "It is a new job with a number of its own.",
        _ => "It is a new job with a number and a comment of its own, and counts for its installation.",
    };
    vec![format!("Run {} again{with}?", name(job, id)), told.to_owned()]
}

fn with_runs(runs: Option<u32>) -> String {
    runs.map_or_else(String::new, |runs| format!(", with up to {} for each step", counted(runs as usize, "run")))
}

fn server(state: &State, id: &InstanceId) -> String {
    let instance = state.servers.get(id);
    instance.map_or_else(
        || text::clean(&id.0).into_owned(),
        |known| format!("{} ({})", text::clean(&known.host), text::clean(&known.id.0)),
    )
}

fn drain(state: &State, id: &InstanceId) -> Vec<String> {
    let running = state.servers.get(id).map_or(0, |instance| instance.running_jobs);
    let goes_on = match usize::try_from(running).unwrap_or(0) {
        0 => "It runs nothing now.".to_owned(),
        some => format!("What it runs ({}) goes on to its end.", counted(some, "job")),
    };
    let mut said = vec![format!("Give no new jobs to {}?", server(state, id)), goes_on];
    let takes = |other: &InstanceView| {
        other.id != *id
            && !other.stale
            && other.retired_at.is_none()
            && other.drain_requested_by.is_none()
            && other.max_jobs > 0
    };
    if !state.servers.all().iter().any(takes) {
        said.push("No other server takes jobs: they will wait.".to_owned());
    }
    said
}

/// Many jobs at once; those for which there is nothing to do are named.
fn many_jobs(state: &State, actions: &[Action]) -> Vec<String> {
    let Some(first) = actions.first() else { return Vec::new() };
    let ids: Vec<JobId> = actions
        .iter()
        .filter_map(|action| match action {
            Action::Cancel(id) | Action::Retry(id, _) => Some(*id),
            Action::Drain(_) | Action::Undrain(_) => None,
        })
        .collect();
    if ids.is_empty() {
        let names: Vec<String> = actions.iter().map(target).collect();
        return vec![format!("{} {}?", verb(first), names.join(", "))];
    }
    let cancels = matches!(first, Action::Cancel(_));
    // Jobs of a shell have no comment.
    let commented = ids.iter().any(|id| state.jobs.get(*id).is_none_or(|job| job.issue.is_some()));
    let lead = match first {
        Action::Retry(_, runs) => format!("Run again{}:", with_runs(*runs)),
        _ => "Cancel".to_owned(),
    };
    let mut said = vec![format!("{lead} {}: {}?", counted(ids.len(), "job"), listed(&ids))];
    said.push(match (cancels, commented) {
        (true, true) => {
            format!("Their containers are stopped, their comments say that {} cancelled them.", state.operator())
        }
        (true, false) => {
            format!(
                "Their containers are stopped, who waits for them is told that {} cancelled them.",
                state.operator()
            )
        }
        (false, true) => "Each is a new job with a number and a comment of its own.".to_owned(),
        (false, false) => "Each is a new job with a number of its own.".to_owned(),
    });
    said
}

impl State {
    /// Of these jobs, those for which the action makes sense; asks about them, or says why not.
    pub(super) fn ask(&mut self, ids: &[JobId], cancels: bool, action: impl Fn(JobId) -> Action) {
        let sensible = |id: &&JobId| self.jobs.get(**id).is_none_or(|job| job.status.is_final() != cancels);
        let some: Vec<JobId> = ids.iter().filter(sensible).copied().collect();
        let left_out = ids.len() - some.len();
        let why = if cancels { "has ended already" } else { "has not ended yet; cancel it first" };
        match (some.as_slice(), ids) {
            ([], []) => self.say(super::Kind::Plain, "no job is chosen"),
            ([], [one]) => self.say(super::Kind::Plain, &format!("job {one} {why}")),
            ([], many) => {
                let text = format!("each of the {} marked jobs {why}", many.len());
                self.say(super::Kind::Plain, &text);
            }
            (some, _) => {
                let note = || match left_out {
                    1 => format!("1 marked job is left out: it {why}."),
                    many => format!("{many} marked jobs are left out: each {why}."),
                };
                let left_out = (left_out > 0).then(note);
                let actions = some.iter().copied().map(action).collect();
                self.modal = Some(Modal::Question(Question { actions, left_out }));
            }
        }
    }
}
