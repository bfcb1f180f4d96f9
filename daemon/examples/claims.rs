//! How long a claim takes: `claims URL COUNT` claims so many jobs one after another, as a worker does, and prints JSON
//! with the quantiles in milliseconds. Called by `make bench` on a queue of 10,000, with and without a past of a million.

use anyhow::{Context, bail, ensure};
use bisect_shared::InstanceId;
use bisectd::{
    db::{Database, DatabaseSettings},
    queue::{Claim, Clocks, Queue},
};
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [url, count] = &args[..] else { bail!("usage: claims URL COUNT") };
    let count: usize = count.parse().context("COUNT")?;
    let db = Database::connect(&DatabaseSettings::new(url.as_str())).await?;
    let queue = Queue::new(db.clone(), InstanceId("bench".into()), Clocks::default(), "bench".into());
    let mut took = Vec::<Duration>::new();
    for number in 0..count {
        let began = Instant::now();
        let claimed = queue.claim(Claim::Any).await?;
        took.push(began.elapsed());
        ensure!(claimed.is_some(), "the queue ended after {number} claims");
    }
    took.sort_unstable();
    let quantile = |part: f64| took.get((part * (took.len() - 1) as f64) as usize).map(|time| time.as_secs_f64() * 1e3);
    println!(
        "{}",
        json!({ "claims": count, "p50_ms": quantile(0.5), "p99_ms": quantile(0.99), "max_ms": quantile(1.0) })
    );
    db.close().await;
    Ok(())
}
