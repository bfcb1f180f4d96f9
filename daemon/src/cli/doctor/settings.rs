//! What the configuration alone tells: which parts are on, and whether what belongs together is there.

use super::Finding;
use crate::{config::Config, signin};
use secrecy::ExposeSecret;

/// As many characters has what `openssl rand -hex 16` prints; 64 are better.
const SHORTEST_SECRET: usize = 32;

pub(super) fn look(config: &Config) -> Vec<Finding> {
    vec![app(config), webhook(config), sign_in(config), tokens(config), address(config)]
}

fn app(config: &Config) -> Finding {
    match (config.check_github(), &config.github_app_id) {
        (Err(error), _) => Finding::fail("App", error.to_string()),
        (Ok(()), Some(id)) => Finding::ok("App", format!("GITHUB_APP_ID {id}, its slug, key and secret are set")),
        (Ok(()), None) => Finding::warn(
            "App",
            "GITHUB_APP_ID is not set: nothing of GitHub is answered; `bisectd setup` makes an App",
        ),
    }
}

fn webhook(config: &Config) -> Finding {
    let Some(secret) = &config.webhook_secret else {
        return Finding::warn("webhooks", "GITHUB_WEBHOOK_SECRET is not set: every webhook is refused");
    };
    let secrets: Vec<&str> = secret.expose_secret().split(',').map(str::trim).filter(|it| !it.is_empty()).collect();
    match secrets.iter().map(|it| it.chars().count()).min() {
        Some(shortest) if shortest < SHORTEST_SECRET => Finding::fail(
            "webhooks",
            format!(
                "GITHUB_WEBHOOK_SECRET has {shortest} characters, which can be guessed; {SHORTEST_SECRET} at least: openssl rand -hex 32"
            ),
        ),
        None => Finding::fail("webhooks", "GITHUB_WEBHOOK_SECRET holds no secret; for example: openssl rand -hex 32"),
        Some(_) if secrets.len() > 1 => Finding::warn(
            "webhooks",
            "GITHUB_WEBHOOK_SECRET holds two secrets; take the old one out when the App signs with the new one",
        ),
        Some(_) => Finding::ok("webhooks", "the secret is long enough"),
    }
}

fn sign_in(config: &Config) -> Finding {
    let (id, secret) = (config.github_client_id.is_some(), config.github_client_secret.is_some());
    let missing = signin::missing(config);
    match (id, secret) {
        (false, false) => {
            Finding::warn("sign-in", "GITHUB_CLIENT_ID and GITHUB_CLIENT_SECRET are not set: nobody can sign in")
        }
        _ if !missing.is_empty() => {
            Finding::fail("sign-in", format!("nobody can sign in: {} not set", missing.join(", ")))
        }
        _ => Finding::ok("sign-in", "client id, client secret and SESSION_SECRET are set"),
    }
}

fn tokens(config: &Config) -> Finding {
    match config.encryption_keys.len() {
        0 => Finding::warn(
            "tokens",
            "ENCRYPTION_KEY is not set: no user's token is kept, and GitHub is asked more often",
        ),
        1 => Finding::ok("tokens", "are sealed with ENCRYPTION_KEY"),
        keys => Finding::warn(
            "tokens",
            format!("ENCRYPTION_KEY holds {keys} keys; `bisectd rotate-keys` tells when the old ones may go"),
        ),
    }
}

fn address(config: &Config) -> Finding {
    match &config.base_url {
        None => Finding::warn("address", "BASE_URL is not set: comments have no link, and nobody can sign in"),
        Some(url) if url.starts_with("https://") => Finding::ok("address", url.clone()),
        Some(url) => {
            Finding::warn("address", format!("{url} is not https: cookies and webhooks can be read on their way"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::State, *};
    use std::{collections::BTreeMap, path::Path};

    fn config(variables: &[(&str, &str)]) -> Config {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Config::from_sources(Path::new("/nowhere"), &BTreeMap::new(), &variables).unwrap()
    }

    #[test]
    fn a_short_secret_of_webhooks_fails_also_as_the_second_of_two() {
        let long = "0123456789abcdef0123456789abcdef";
        assert_eq!(webhook(&config(&[("GITHUB_WEBHOOK_SECRET", long)])).state, State::Ok);
        let found = webhook(&config(&[("GITHUB_WEBHOOK_SECRET", &format!("{long},short"))]));
        assert_eq!(found.state, State::Fail);
        assert!(found.text.contains("5 characters") && !found.text.contains("short"), "{}", found.text);
    }

    #[test]
    fn half_of_a_pair_fails_and_none_of_it_is_a_choice() {
        assert_eq!(sign_in(&config(&[])).state, State::Warn);
        let half = sign_in(&config(&[("GITHUB_CLIENT_ID", "Iv1.x")]));
        assert_eq!(half.state, State::Fail);
        assert!(half.text.contains("GITHUB_CLIENT_SECRET"), "{}", half.text);
        assert_eq!(app(&config(&[("GITHUB_APP_ID", "7")])).state, State::Fail);
    }
}
