//! `bisectd migrate`: the schema's version, looked at and changed.

use super::{
    Exit, Refusal,
    args::{MigrateAction, MigrateArgs},
    print, services,
};
use crate::{
    config::Config,
    db::{
        Database, DatabaseSettings,
        migrations::{self, MigrationStatus, SchemaState},
    },
};
use std::fmt::Write as _;

/// Does what the arguments say, and prints what was done.
pub(super) async fn run(args: &MigrateArgs, config: &Config) -> Result<Exit, Refusal> {
    let (settings, postgres) = services::database_settings(config).await?;
    let answer = act(&args.action, &settings).await;
    services::stop_postgres(postgres).await;
    let (text, exit) = answer?;
    print(&format!("{}\n", text.trim_end()))?;
    Ok(exit)
}

async fn act(action: &MigrateAction, settings: &DatabaseSettings) -> Result<(String, Exit), Refusal> {
    Ok(match action {
        MigrateAction::Up => {
            let before = migrations::status(settings).await.map_err(Refusal::usage)?;
            let after = migrations::up(settings, None).await.map_err(Refusal::usage)?;
            (told("applied", &only_in(&after, &before), "nothing to apply: the schema is up to date"), Exit::Done)
        }
        MigrateAction::Down { to } => {
            let before = migrations::status(settings).await.map_err(Refusal::usage)?;
            let after = migrations::down(settings, *to).await.map_err(Refusal::usage)?;
            let mut reverted = only_in(&before, &after);
            reverted.reverse();
            (told("reverted", &reverted, "nothing to revert"), Exit::Done)
        }
        MigrateAction::Status => status(settings).await?,
        MigrateAction::History => {
            let all = migrations::status(settings).await.map_err(Refusal::usage)?;
            (all.iter().fold(String::new(), history_line), Exit::Done)
        }
    })
}

async fn status(settings: &DatabaseSettings) -> Result<(String, Exit), Refusal> {
    let db = Database::connect(settings).await.map_err(Refusal::usage)?;
    let state = migrations::check_schema(&db).await.map_err(Refusal::usage)?;
    let exit = if state == SchemaState::Current { Exit::Done } else { Exit::Without };
    Ok((state.to_string(), exit))
}

/// What is applied in `these` and not in `others`, in the order in which it was applied.
fn only_in<'a>(these: &'a [MigrationStatus], others: &[MigrationStatus]) -> Vec<&'a MigrationStatus> {
    let applied = |migration: &MigrationStatus| migration.applied_at.is_some();
    let in_others = |version| others.iter().any(|other| applied(other) && other.version == version);
    these.iter().filter(|migration| applied(migration) && !in_others(migration.version)).collect()
}

fn told(done: &str, migrations: &[&MigrationStatus], nothing: &str) -> String {
    if migrations.is_empty() {
        return nothing.to_owned();
    }
    migrations.iter().fold(String::new(), |mut text, migration| {
        let _ = writeln!(text, "{done} {} {}", migration.version, migration.name);
        text
    })
}

fn history_line(mut text: String, migration: &MigrationStatus) -> String {
    let when =
        migration.applied_at.map_or_else(|| "waiting".to_owned(), |at| at.format("%Y-%m-%d %H:%M:%S UTC").to_string());
    let _ = writeln!(text, "{:<24}{} {}", when, migration.version, migration.name);
    text
}
