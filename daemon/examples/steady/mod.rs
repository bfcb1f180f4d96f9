//! Requests at a fixed rate, whatever the answers take. One that should have been sent and was not yet counts from the
//! moment it was due, so that a server cannot look fast by making its clients wait.

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// Sends what `request` makes of each number, and says how it was answered: how often with which status, the quantiles in
/// milliseconds, the bytes of the largest answer.
pub async fn send(rate: f64, seconds: f64, mut request: impl FnMut(u64) -> RequestBuilder) -> anyhow::Result<Value> {
    let count = (rate * seconds) as u64;
    let mut answers = JoinSet::new();
    let started = Instant::now();
    for number in 0..count {
        let due = started + Duration::from_secs_f64(number as f64 / rate);
        let request = request(number);
        tokio::time::sleep_until(due.into()).await;
        answers.spawn(async move {
            let (status, bytes) = match request.send().await {
                Ok(answer) => {
                    (answer.status().as_u16().to_string(), answer.bytes().await.map_or(0, |bytes| bytes.len()))
                }
                Err(error) if error.is_timeout() => ("timeout".to_owned(), 0),
                Err(_) => ("broken".to_owned(), 0),
            };
            (status, bytes, due.elapsed())
        });
    }
    let (mut statuses, mut largest, mut took) = (BTreeMap::<String, u64>::new(), 0, Vec::new());
    while let Some(answer) = answers.join_next().await {
        let (status, bytes, time) = answer?;
        *statuses.entry(status).or_default() += 1;
        largest = largest.max(bytes);
        took.push(time);
    }
    took.sort_unstable();
    let quantile = |part: f64| took.get((part * (took.len() - 1) as f64) as usize).map(|time| time.as_secs_f64() * 1e3);
    Ok(json!({
        "rate": rate, "sent": count, "answers": statuses, "seconds": started.elapsed().as_secs_f64(), "bytes": largest,
        "p50_ms": quantile(0.5), "p99_ms": quantile(0.99), "max_ms": quantile(1.0),
    }))
}
