//! `bisectd prune`: removes what retention says, in the database and on this machine. Servers may run meanwhile.

use super::{Exit, Refusal, print, services::Storage, steps::Steps, watch::Show};
use crate::{
    config::Config,
    db::retention::{self, Removed},
    runner::mirror::{Mirror, Mirrors},
};
use std::{
    fmt::Write as _,
    fs::File,
    io,
    path::Path,
    time::{Duration, SystemTime},
};

/// A mirror that was fetched into more recently may be about to be used.
const SPARED: Duration = Duration::from_hours(1);

/// Does it, and prints what was done.
pub(super) async fn run(config: &Config) -> Result<Exit, Refusal> {
    let storage = Storage::open(config, Steps::new(Show::Lines)).await?;
    let removed = retention::remove_older_than(&storage.database(), config.log_retention).await;
    storage.close().await;
    let removed = removed.map_err(Refusal::infrastructure)?;
    let mirrors = mirrors(config).await.map_err(|error| {
        Refusal::infrastructure(format!("{}: the mirrors cannot be looked through: {error}", config.data_dir.display()))
    })?;
    print(&told(config.log_retention, &removed, &mirrors))?;
    Ok(Exit::Done)
}

struct Pruned {
    removed: usize,
    freed: u64,
    left: u64,
    budget: u64,
}

/// Removes the mirrors that were not fetched into for longest until the others fit the budget. One that holds commits
/// of a job, or is being fetched into, stays.
async fn mirrors(config: &Config) -> io::Result<Pruned> {
    let mut pruned = Pruned { removed: 0, freed: 0, left: 0, budget: config.mirror_budget };
    if !config.data_dir.join("mirrors").is_dir() {
        return Ok(pruned);
    }
    let mut found = Vec::new();
    for mirror in Mirrors::open(&config.data_dir)?.all()? {
        let size = size(mirror.path())?;
        pruned.left += size;
        found.push((used(mirror.path()), size, mirror));
    }
    found.sort_by_key(|(used, ..)| *used);
    for (used, size, mirror) in found {
        if pruned.left <= pruned.budget {
            break;
        }
        if used.elapsed().is_ok_and(|ago| ago > SPARED) && remove(&mirror).await? {
            pruned.left -= size;
            pruned.freed += size;
            pruned.removed += 1;
        }
    }
    Ok(pruned)
}

/// Removes one that nobody uses; answers whether it did.
async fn remove(mirror: &Mirror) -> io::Result<bool> {
    // Whoever fetches holds this file: see `runner::mirror`.
    let lock = File::create(mirror.path().with_extension("lock"))?;
    if lock.try_lock().is_err() || !mirror.pinned().await.is_ok_and(|jobs| jobs.is_empty()) {
        return Ok(false);
    }
    // Out of the way first: nobody may meet one that is half removed.
    let away = mirror.path().with_extension("removed");
    if away.exists() {
        std::fs::remove_dir_all(&away)?;
    }
    std::fs::rename(mirror.path(), &away)?;
    std::fs::remove_dir_all(&away)?;
    Ok(true)
}

/// When it was fetched into last.
fn used(mirror: &Path) -> SystemTime {
    let times = ["FETCH_HEAD", "HEAD", "packed-refs"].iter().filter_map(|name| mirror.join(name).metadata().ok());
    times.filter_map(|it| it.modified().ok()).max().unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Bytes of all files below a folder. What goes away meanwhile counts nothing.
fn size(folder: &Path) -> io::Result<u64> {
    let mut all = 0;
    let Ok(entries) = folder.read_dir() else { return Ok(0) };
    for entry in entries {
        let entry = entry?;
        let Ok(known) = entry.metadata() else { continue };
        all += if known.is_dir() { size(&entry.path())? } else { known.len() };
    }
    Ok(all)
}

fn told(kept: Duration, removed: &Removed, mirrors: &Pruned) -> String {
    let Removed { log_chunks, deliveries, events, instances, sessions, verdicts } = removed;
    let days = kept.as_secs() / 86_400;
    let mut text = format!(
        "older than {days} days: removed {log_chunks} pieces of output, {deliveries} deliveries, {events} events, \
         {instances} ended instances, {verdicts} remembered verdicts; {sessions} expired sessions\n"
    );
    let mb = |bytes: u64| bytes / 1_000_000;
    let _ = writeln!(
        text,
        "mirrors: removed {} ({} MB); {} MB are left, MIRROR_BUDGET_GB allows {} MB",
        mirrors.removed,
        mb(mirrors.freed),
        mb(mirrors.left),
        mb(mirrors.budget)
    );
    if mirrors.left > mirrors.budget {
        text.push_str("those that are left are in use, or were a moment ago\n");
    }
    text
}
