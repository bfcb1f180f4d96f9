//! The playground: a world of one repository with an issue to comment on, its HTTP, and one daemon that answers there.

mod daemon;

pub use daemon::{Daemon, write_secret};

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
    /// Of the App, on the repository's owner.
    pub installation: i64,
    /// Its HTTP.
    pub running: Running,
    /// The address of the issue's page.
    pub issue: String,
    /// What to write there.
    pub comment: String,
    /// The commit that it finds, where the sample was made.
    pub culprit: Option<String>,
}

/// Starts it, without a daemon. Without `repository` the sample is made, with one pull request for its culprit.
///
/// # Errors
/// When the repository cannot be copied, or the address is taken.
pub async fn start(address: SocketAddr, repository: Option<&Path>) -> anyhow::Result<Playground> {
    let world = World::new()?;
    let app = world.add_app("bisect-bot", "octo")?;
    let name = "octo/shop";
    let (comment, culprit) = match repository {
        None => {
            let made = tempfile::tempdir()?;
            let culprit = sample::make(made.path())?;
            add_repository(&world, name, made.path())?;
            ("/bisect v1.0 main python3 tests/test_price.py".to_owned(), Some(culprit))
        }
        Some(source) => {
            add_repository(&world, name, source)?;
            (proposal(&world, name)?, None)
        }
    };
    world.permission(name, "ada", Some(Role::Write))?;
    world.permission(name, "eve", Some(Role::Read))?;
    let installation = world.install(app.id, "octo", None)?;
    let issue = open_issue(&world, name, culprit.as_ref(), &comment)?;
    let running = Lookalike::start_at(&world, address).await?;
    let issue = format!("{}/{name}/issues/{issue}", running.url());
    Ok(Playground { world, app, installation, running, issue, comment, culprit })
}

fn add_repository(world: &World, name: &str, source: &Path) -> anyhow::Result<()> {
    let new = NewRepository::new(name).copied_from(source);
    world.add_repository(&new).map(drop).with_context(|| format!("{} cannot be copied", source.display()))
}

/// The whole history of somebody's own repository; the command is theirs to say.
fn proposal(world: &World, name: &str) -> anyhow::Result<String> {
    let branch = world.repository(name)?.default_branch;
    let first = git::text(&world.git_dir(name)?, &["rev-list", "--max-parents=0", "--abbrev-commit", "HEAD"])?;
    Ok(format!("/bisect {} {branch} <command>", first.lines().next().unwrap_or("<good>")))
}

fn open_issue(world: &World, name: &str, culprit: Option<&String>, comment: &str) -> anyhow::Result<i64> {
    world.hint(comment, "which commit broke it?");
    let Some(culprit) = culprit else {
        world.hint("/bisect help", "what else there is");
        return world.add_issue(name, "ada", "Something broke", "It worked once. Which commit broke it?");
    };
    world.hint(&comment.replace("main ", "main sleep 5; "), "the same, slow enough to watch");
    world.hint("/bisect --jobs 2 v1.0 main", "a command is missing: what does it say?");
    world.hint("/bisect help", "what else there is; eve, who may only read, may try it too");
    let text = "`total([1.25, 2.5])` should be `3.75`, and was in v1.0. On `main` it is `3`:\n\n\
                ```console\n$ python3 tests/test_price.py\nAssertionError: 3 != 3.75\n```\n\nWhich commit broke it?";
    let issue = world.add_issue(name, "ada", "Totals are wrong", text)?;
    world.add_user("grace");
    let commits = std::slice::from_ref(culprit);
    world.add_pull(name, "grace", "Totals without needless digits", commits, Some(culprit))?;
    Ok(issue)
}

impl Playground {
    /// Where the daemon takes webhooks; those who sign in are sent back to the same place. It is told at once, as on GitHub,
    /// that the App is installed.
    pub fn send_webhooks_to(&self, url: &str) {
        self.world.set_webhook_url(self.app.id, url);
        if let Some(base) = url.strip_suffix("/webhook") {
            self.world.set_callback_url(self.app.id, &format!("{base}/auth"));
            self.world.set_setup_url(self.app.id, &format!("{base}/setup"));
        }
        let told = self.world.installation_webhook(self.installation, "created", None);
        self.world.deliver_later(told.into_iter().collect());
    }

    /// What the daemon must be told, as variables; the App's key is in the file `key`.
    #[must_use]
    pub fn settings(&self, key: &Path) -> Vec<(&'static str, String)> {
        let url = self.running.url();
        vec![
            ("GITHUB_APP_ID", self.app.id.to_string()),
            ("GITHUB_APP_SLUG", self.app.slug.clone()),
            ("GITHUB_PRIVATE_KEY_PATH", key.display().to_string()),
            ("GITHUB_WEBHOOK_SECRET", self.app.webhook_secret.clone()),
            ("GITHUB_CLIENT_ID", self.app.client_id.clone()),
            ("GITHUB_CLIENT_SECRET", self.app.client_secret.clone()),
            ("SESSION_SECRET", crate::keys::random_hex(32)),
            ("ENCRYPTION_KEY", crate::keys::random_hex(32)),
            ("GITHUB_API_URL", url.clone()),
            ("GITHUB_URL", url),
        ]
    }
}
