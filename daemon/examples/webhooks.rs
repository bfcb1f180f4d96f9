//! Load on `POST /webhook`: real signatures over GitHub's own payload, at a fixed rate whatever the answers take.
//!
//! `webhooks URL SECRET BODY.json RATE SECONDS`: every delivery has an id and a comment of its own. Prints JSON as
//! `steady` has it. Called by `make bench`, for `bisectd` and for the peer alike.

mod steady;

use anyhow::{Context, bail};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::time::Duration;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [url, secret, file, rate, seconds] = &args[..] else {
        bail!("usage: webhooks URL SECRET BODY.json RATE SECONDS");
    };
    let (rate, seconds): (f64, f64) = (rate.parse().context("RATE per second")?, seconds.parse().context("SECONDS")?);
    let mut body: Value = serde_json::from_str(&std::fs::read_to_string(file).with_context(|| file.clone())?)?;
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
    let run = rand::random::<u32>();
    let answer = steady::send(rate, seconds, |number| {
        body["comment"]["id"] = json!(u64::from(run) << 20 | number);
        let text = body.to_string();
        let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length will do").chain_update(&text);
        client
            .post(url)
            .header("content-type", "application/json")
            .header("x-github-event", "issue_comment")
            .header("x-github-delivery", format!("{run:08x}-0000-4000-8000-{number:012x}"))
            .header("x-hub-signature-256", format!("sha256={}", hex::encode(mac.finalize().into_bytes())))
            .body(text)
    });
    println!("{}", answer.await?);
    Ok(())
}
