//! GitHub, as the App: whether the key is its own, what it may do, and GitHub's clock.

use super::{Finding, database::skew};
use crate::{
    config::Config,
    github::{AppInfo, Github, GithubSettings},
};
use std::os::unix::fs::PermissionsExt;

/// What the App must be allowed to do, and what for.
const NEEDED: [(&str, &str, &str); 3] = [
    ("contents", "read", "repositories cannot be fetched"),
    ("issues", "write", "no comment can be written on an issue"),
    ("metadata", "read", "nothing can be asked"),
];
/// What it should be.
const WANTED: [(&str, &str, &str); 1] = [("pull_requests", "write", "no comment can be written on a pull request")];

pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let (Some(app), Some(path)) = (&config.github_app_id, &config.github_private_key) else { return Vec::new() };
    let shown = path.display();
    let key = match std::fs::read_to_string(path) {
        Ok(key) => key,
        Err(error) => {
            return vec![Finding::fail("key", format!("GITHUB_PRIVATE_KEY_PATH: {shown} cannot be read: {error}"))];
        }
    };
    let mut findings = Vec::new();
    if path.metadata().is_ok_and(|it| it.permissions().mode() & 0o077 != 0) {
        findings.push(Finding::warn("key", format!("others than its owner may read {shown}: chmod 600 {shown}")));
    }
    let settings = GithubSettings::new(config.github_api_url.as_str(), app.as_str(), key.into());
    let github = match Github::new(&settings) {
        Ok(github) => github,
        Err(error) => {
            findings.push(Finding::fail("GitHub", error.to_string()));
            return findings;
        }
    };
    match github.app().await {
        Ok(info) => {
            findings.push(known(&info, config));
            findings.extend(permissions(&info));
            findings.push(skew("GitHub", -github.clock_ahead()));
        }
        Err(error) => findings.push(Finding::fail("GitHub", format!("the App does not get in: {error}"))),
    }
    findings
}

fn known(info: &AppInfo, config: &Config) -> Finding {
    let slug = config.github_app_slug.as_deref().unwrap_or_default();
    if info.slug == slug {
        return Finding::ok("GitHub", format!("knows the App {} ({slug}) by its key", info.name));
    }
    Finding::fail("GitHub", format!("GITHUB_APP_SLUG is `{slug}`, and GitHub calls this App `{}`", info.slug))
}

fn permissions(info: &AppInfo) -> Vec<Finding> {
    let has = |name: &str, level: &str| info.permissions.get(name).is_some_and(|held| held == level || held == "write");
    let lacks =
        |(name, level, why): &(&str, &str, &str)| (!has(name, level)).then(|| format!("{name}: {level} ({why})"));
    let missing: Vec<String> = NEEDED.iter().filter_map(lacks).collect();
    let wished: Vec<String> = WANTED.iter().filter_map(lacks).collect();
    if !missing.is_empty() {
        return vec![Finding::fail(
            "permissions",
            format!("the App lacks {}; its settings page gives them", missing.join(", ")),
        )];
    }
    if !wished.is_empty() {
        return vec![Finding::warn("permissions", format!("the App lacks {}", wished.join(", ")))];
    }
    vec![Finding::ok("permissions", "the App may do what it needs")]
}
