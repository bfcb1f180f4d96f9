//! `bisectd rotate-keys`: seals stored tokens with the first key of `ENCRYPTION_KEY`.

use super::{Exit, Refusal, print, services::Storage, steps::Steps, watch::Show};
use crate::{
    config::Config,
    signin::{Rotated, Vault, rotate},
};

/// Does it, and prints what was done. Exit status 1: some tokens are left that no key opens.
pub(super) async fn run(config: &Config) -> Result<Exit, Refusal> {
    let vault = Vault::new(&config.encryption_keys).ok_or_else(|| {
        Refusal::usage(
            "ENCRYPTION_KEY is not set; for a rotation it holds the new key and the old one, for example \
             ENCRYPTION_KEY=<openssl rand -hex 32>,<the key until now>",
        )
    })?;
    let storage = Storage::open(config, Steps::new(Show::Lines)).await?;
    let actor = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).unwrap_or_else(|_| "system".to_owned());
    let done = rotate(&storage.database(), &vault, &actor).await;
    storage.close().await;
    let done = done.map_err(Refusal::infrastructure)?;
    print(&told(&done))?;
    Ok(if done.unreadable == 0 { Exit::Done } else { Exit::Without })
}

fn told(done: &Rotated) -> String {
    let Rotated { anew, current, unreadable } = done;
    let mut text = format!("{anew} tokens sealed anew; {current} had the first key already\n");
    if *unreadable > 0 {
        text.push_str(&format!(
            "{unreadable} tokens are left that no key of ENCRYPTION_KEY opens: add theirs and do this again, or \
             their users sign in anew\n"
        ));
    } else {
        text.push_str("every token has the first key: the others may be taken out of ENCRYPTION_KEY\n");
    }
    text
}
