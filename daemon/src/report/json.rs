//! The object that `bisectd bisect --json` prints: fixed names, tested from outside.

use super::Report;
use bisect_shared::ResultKind;
use serde_json::{Value, json};

/// The result as the contract's object (design.md 2.1). Where the test fails by chance, too, it also has `odds`, and each probe
/// `failures`.
#[must_use]
pub fn render(report: &Report) -> Value {
    let probes: Vec<Value> = report
        .probes
        .iter()
        .map(|probe| {
            let mut told = json!({
                "commit": probe.commit,
                "verdict": probe.verdict,
                "runs": probe.runs,
                "exit_code": probe.ending.exit_code(),
                "seconds": milliseconds(probe.seconds),
                "cached": probe.cached,
            });
            if report.odds.is_some() {
                told["failures"] = probe.failures.into();
            }
            told
        })
        .collect();
    let mut told = json!({
        "result": report.result,
        "culprit": report.culprit,
        "suspects": report.suspects,
        "confidence": report.confidence,
        "probes": probes,
        "candidates": report.candidates,
        "seconds": milliseconds(report.seconds),
        "replay": report.replay,
    });
    if let Some(odds) = &report.odds {
        told["odds"] = json!(odds);
    }
    told
}

/// The same object for a job that ended without a report.
#[must_use]
pub fn bare(result: ResultKind) -> Value {
    json!({
        "result": result,
        "culprit": null,
        "suspects": [],
        "confidence": 0.0,
        "probes": [],
        "candidates": 0,
        "seconds": 0.0,
        "replay": "",
    })
}

/// Seconds to the millisecond: more digits would only be noise.
fn milliseconds(seconds: f64) -> f64 {
    (seconds * 1e3).round() / 1e3
}
