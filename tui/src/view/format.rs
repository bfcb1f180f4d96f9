//! Values as words. Pure.

use crate::state::HeldUp;
use bisect_shared::{Ending, JobStatus, ResultKind, admin::JobView, admin::ProbeView};

/// `10,000`.
pub(super) fn number(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut out = if number < 0 { "-".to_owned() } else { String::new() };
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number in few columns: `812`, `18k`, `2.3M`.
pub(super) fn short_number(number: i64) -> String {
    match number.unsigned_abs() {
        0..10_000 => number.to_string(),
        10_000..1_000_000 => format!("{}k", number / 1000),
        _ => format!("{:.1}M", number as f64 / 1e6),
    }
}

/// How far a search has come, on a log scale: each halving counts the same. From 0 to 1.
pub(super) fn narrowed(left: i64, of: i64) -> f64 {
    let (left, of) = (left.max(1) as f64, of.max(2) as f64);
    (1.0 - left.log2() / of.log2()).clamp(0.0, 1.0)
}

/// A result in at most ten columns.
pub(super) const fn short_result(result: ResultKind) -> &'static str {
    match result {
        ResultKind::Culprit => "culprit",
        ResultKind::Suspects => "suspects",
        ResultKind::NotReproducible => "not repro.",
        ResultKind::GoodFails => "good fails",
        ResultKind::FixedBefore => "was fixed",
        ResultKind::Flaky => "flaky",
        ResultKind::Aborted => "aborted",
        ResultKind::TimedOut => "timed out",
        ResultKind::Cancelled => "cancelled",
        ResultKind::Infrastructure => "failed",
    }
}

/// The state of a job in a word, or two where there is room.
pub(super) fn state(job: &JobView, held_up: Option<HeldUp>, room: usize) -> String {
    match (job.status, job.result) {
        (JobStatus::Running, _) if job.cancel_requested_by.is_some() => "stopping".to_owned(),
        (status @ JobStatus::Running, _) => held_up.map_or_else(|| status.to_string(), |by| by.words().to_owned()),
        (JobStatus::Completed, Some(result)) if room >= result.name().len() => result.name().replace('_', " "),
        (JobStatus::Completed, Some(result)) => short_result(result).to_owned(),
        (status, _) => status.to_string(),
    }
}

/// How a probe ended, in at most eight columns.
pub(super) fn ending(probe: &ProbeView) -> String {
    match probe.ending {
        Some(Ending::Exited(code)) => code.to_string(),
        Some(Ending::SetupFailed(code)) => format!("setup {code}"),
        Some(Ending::TimedOut) => "timeout".to_owned(),
        Some(Ending::Silent) => "silent".to_owned(),
        Some(Ending::OutOfMemory) => "memory".to_owned(),
        Some(Ending::OutOfDisk) => "disk".to_owned(),
        Some(Ending::Tampered) => "tampered".to_owned(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!([0, 999, 1000, 10_000, -1_234_567].map(number), ["0", "999", "1,000", "10,000", "-1,234,567"]);
        assert_eq!([0, 9999, 18_213, 2_300_000].map(short_number), ["0", "9999", "18k", "2.3M"]);
    }

    #[test]
    fn each_halving_counts_the_same() {
        assert_eq!((narrowed(1024, 1024), narrowed(32, 1024), narrowed(1, 1024)), (0.0, 0.5, 1.0));
        assert_eq!((narrowed(0, 0), narrowed(9999, 10)), (1.0, 0.0));
    }

    #[test]
    fn results_are_short() {
        for result in ResultKind::ALL {
            assert!(short_result(*result).len() <= 10, "{result}");
        }
    }
}
