//! The playground's world: one user, one App on one account, one repository, one issue.

use crate::world::{NewApp, NewRepository, World};
use crate::{Lookalike, Role, Running, git, sample};
use anyhow::Context;
use std::net::SocketAddr;
use std::path::Path;

/// A running playground.
#[derive(Debug)]
pub struct Playground {
    /// Its world.
    pub world: World,
    /// Its App, with the key that the daemon needs.
    pub app: NewApp,
    /// Its HTTP.
    pub running: Running,
    /// The address of the issue's page.
    pub issue: String,
    /// What to write there.
    pub comment: String,
}

/// Starts it. Without `repository` the sample is made, with one pull request for its culprit.
///
/// # Errors
/// When the repository cannot be copied, or the address is taken.
pub async fn start(address: SocketAddr, webhook: &str, repository: Option<&Path>) -> anyhow::Result<Playground> {
    let world = World::new()?;
    let app = world.add_app("bisect-bot", "octo")?;
    world.set_webhook_url(app.id, webhook);
    let made = tempfile::tempdir()?;
    let culprit = match repository {
        None => Some(sample::make(made.path())?),
        Some(_) => None,
    };
    let source = repository.unwrap_or(made.path());
    let name = "octo/shop";
    world.add_repository(&NewRepository::new(name).copied_from(source)).context("the repository cannot be copied")?;
    world.permission(name, "ada", Some(Role::Write))?;
    world.install(app.id, "octo", None)?;
    let title = if culprit.is_some() { "Totals are wrong" } else { "Something broke" };
    let issue = world.add_issue(name, "ada", title, "It worked once. Which commit broke it?")?;
    if let Some(culprit) = &culprit {
        world.add_user("grace");
        let commits = std::slice::from_ref(culprit);
        world.add_pull(name, "grace", "Totals without needless digits", commits, Some(culprit))?;
    }
    let comment = match culprit {
        Some(_) => "/bisect v1.0 main python3 tests/test_price.py".to_owned(),
        None => {
            let branch = world.repository(name)?.default_branch;
            let first = git::text(&world.git_dir(name)?, &["rev-list", "--max-parents=0", "--abbrev-commit", "HEAD"])?;
            format!("/bisect {} {branch} <command>", first.lines().next().unwrap_or("<good>"))
        }
    };
    let running = Lookalike::start_at(&world, address).await?;
    let issue = format!("{}/{name}/issues/{issue}", running.url());
    Ok(Playground { world, app, running, issue, comment })
}
