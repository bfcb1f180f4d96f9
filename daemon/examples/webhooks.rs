//! Load on `POST /webhook`: real signatures over GitHub's own payload, at a fixed rate whatever the answers take.
//!
//! `webhooks URL SECRET BODY.json RATE SECONDS`: every delivery has an id and a comment of its own. A delivery that
//! should have been sent and was not yet counts from the moment it was due, so that a server cannot look fast by
//! making its clients wait. Prints JSON: how many were sent, how they were answered, and the quantiles in milliseconds.
//! Called by `make bench`, for `bisectd` and for the peer alike.

use anyhow::{Context, bail};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [url, secret, file, rate, seconds] = &args[..] else {
        bail!("usage: webhooks URL SECRET BODY.json RATE SECONDS");
    };
    let (rate, seconds): (f64, f64) = (rate.parse().context("RATE per second")?, seconds.parse().context("SECONDS")?);
    let mut body: Value = serde_json::from_str(&std::fs::read_to_string(file).with_context(|| file.clone())?)?;
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
    let (count, run) = ((rate * seconds) as u64, rand::random::<u32>());
    let mut answers = JoinSet::new();
    let started = Instant::now();
    for number in 0..count {
        let due = started + Duration::from_secs_f64(number as f64 / rate);
        body["comment"]["id"] = json!(u64::from(run) << 20 | number);
        let text = body.to_string();
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).context("the secret")?;
        mac.update(text.as_bytes());
        let request = client
            .post(url)
            .header("content-type", "application/json")
            .header("x-github-event", "issue_comment")
            .header("x-github-delivery", format!("{run:08x}-0000-4000-8000-{number:012x}"))
            .header("x-hub-signature-256", format!("sha256={}", hex::encode(mac.finalize().into_bytes())))
            .body(text);
        tokio::time::sleep_until(due.into()).await;
        answers.spawn(async move {
            let status = match request.send().await {
                Ok(answer) => answer.status().as_u16().to_string(),
                Err(error) if error.is_timeout() => "timeout".to_owned(),
                Err(_) => "broken".to_owned(),
            };
            (status, due.elapsed())
        });
    }
    let (mut statuses, mut took) = (BTreeMap::<String, u64>::new(), Vec::new());
    while let Some(answer) = answers.join_next().await {
        let (status, time) = answer?;
        *statuses.entry(status).or_default() += 1;
        took.push(time);
    }
    took.sort_unstable();
    let quantile = |part: f64| took.get((part * (took.len() - 1) as f64) as usize).map(|time| time.as_secs_f64() * 1e3);
    println!(
        "{}",
        json!({
            "rate": rate, "sent": count, "answers": statuses, "seconds": started.elapsed().as_secs_f64(),
            "p50_ms": quantile(0.5), "p99_ms": quantile(0.99), "max_ms": quantile(1.0),
        })
    );
    Ok(())
}
