//! Load on pages: `pages URL RATE SECONDS COOKIES` asks for the addresses that it reads from its input, one a line, in turn, each
//! time as somebody else (`X-Forwarded-For`, which the server must trust from here), with these cookies unless they are empty. Prints JSON as `steady` has it.
//! Called by `make bench`.

mod steady;

use anyhow::{Context, bail};
use std::time::Duration;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [url, rate, seconds, cookies] = &args[..] else { bail!("usage: pages URL RATE SECONDS COOKIES < PATHS") };
    let (rate, seconds) = (rate.parse().context("RATE per second")?, seconds.parse().context("SECONDS")?);
    let paths = std::io::read_to_string(std::io::stdin())?;
    let paths: Vec<&str> = paths.lines().collect();
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
    let answer = steady::send(rate, seconds, |number| {
        let path = paths[number as usize % paths.len()];
        let address = format!("10.{}.{}.{}", number >> 16 & 255, number >> 8 & 255, number & 255);
        let asked = client.get(format!("{url}{path}")).header("Accept", "text/html").header("X-Forwarded-For", address);
        if cookies.is_empty() { asked } else { asked.header("Cookie", cookies) }
    });
    println!("{}", answer.await?);
    Ok(())
}
