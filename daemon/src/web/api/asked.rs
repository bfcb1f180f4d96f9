//! What stands behind the question mark: read into our own types, or a sentence that names the parameter.

use crate::web::problem::Problem;
use bisect_shared::{JobId, JobStatus, ProbeId};
use std::str::FromStr;

/// Rows of a page, where nobody says how many, and at most.
const USUAL: u32 = 50;
const MOST: u32 = 200;

pub(super) fn limit(asked: Option<&str>) -> Result<u32, Problem> {
    let Some(asked) = asked else { return Ok(USUAL) };
    let limit = asked.parse().ok().filter(|limit| (1..=MOST).contains(limit));
    limit.ok_or_else(|| Problem::bad(format!("limit: must be a number from 1 to {MOST}")))
}

pub(super) fn number<T: FromStr>(name: &str, asked: Option<&str>) -> Result<Option<T>, Problem> {
    let read = |text: &str| text.parse().map_err(|_| Problem::bad(format!("{name}: must be a number")));
    asked.map(read).transpose()
}

/// Text that the database can compare: it knows no NUL.
pub(super) fn text<'a>(name: &str, asked: Option<&'a str>) -> Result<Option<&'a str>, Problem> {
    match asked {
        Some(text) if text.contains('\0') => Err(Problem::bad(format!("{name}: holds a NUL character"))),
        asked => Ok(asked),
    }
}

pub(super) fn switch(name: &str, asked: Option<&str>) -> Result<bool, Problem> {
    match asked {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Problem::bad(format!("{name}: must be `true` or `false`"))),
    }
}

/// States, separated by commas.
pub(super) fn states(asked: Option<&str>) -> Result<Vec<JobStatus>, Problem> {
    let parts = asked.unwrap_or_default().split(',').map(str::trim).filter(|part| !part.is_empty());
    let read = parts.map(|part| {
        let names = JobStatus::ALL.iter().map(|status| status.name()).collect::<Vec<_>>().join(", ");
        part.parse().map_err(|_| Problem::bad(format!("status: must be one of {names}")))
    });
    let mut states = read.collect::<Result<Vec<JobStatus>, Problem>>()?;
    states.sort_unstable();
    states.dedup();
    Ok(states)
}

/// A job's number in a path: what is no number is no job.
pub(super) fn job(text: &str) -> Result<JobId, Problem> {
    text.parse().map(JobId).map_err(|_| no_job())
}

/// One answer for jobs that are not there and for those that the viewer may not know of.
pub(in crate::web) fn no_job() -> Problem {
    Problem::unknown("there is no such job, or you may not see it; sign in if it is one of a private repository")
}

/// What a reader of output knows already: `probe:seq`, separated by commas.
pub(super) fn position(after: Option<&str>) -> Result<crate::db::log_chunks::Position, Problem> {
    let read = |part: &str| {
        let (probe, seq) = part.split_once(':')?;
        Some((ProbeId(probe.parse().ok()?), seq.parse::<i64>().ok()?))
    };
    let parts = after.unwrap_or_default().split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| read(part).ok_or_else(|| Problem::bad("after: must be PROBE:SEQ, for example 17:3"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_names_its_parameter() {
        assert!(limit(Some("0")).unwrap_err().detail().starts_with("limit: "));
        assert!(limit(Some("201")).is_err() && limit(Some("x")).is_err());
        assert_eq!(limit(None).unwrap(), USUAL);
        assert_eq!(states(Some("running,pending,running")).unwrap(), [JobStatus::Pending, JobStatus::Running]);
        assert!(states(Some("done")).unwrap_err().detail().starts_with("status: must be one of pending, "));
        assert!(number::<i64>("before", Some("-")).unwrap_err().detail().starts_with("before: "));
        assert!(switch("mine", Some("")).unwrap_err().detail().starts_with("mine: "));
        assert_eq!(position(Some("17:3, 18:0")).unwrap(), [(ProbeId(17), 3), (ProbeId(18), 0)].into());
        for wrong in ["17", "17:", ":3", "17:x", "17:3:4"] {
            assert!(position(Some(wrong)).unwrap_err().detail().starts_with("after: "), "{wrong}");
        }
    }
}
