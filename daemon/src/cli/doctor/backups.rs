//! The backups of this server, if it is the one that makes them: whether they can be made, and were.

use super::Finding;
use crate::db::{Database, DbError, overview};
use std::{path::Path, time::Duration};

const WHAT: &str = "backups";

/// Where the packages of Debian and of PostgreSQL put each version's programs.
const PROGRAMS: &str = "/usr/lib/postgresql";
const TIMER: &str = "/etc/systemd/system/timers.target.wants/bisectd-backup.timer";
/// As bisectd-backup.service has it.
const FOLDER: &str = "/opt/bisect-bot/backups";
/// One a night, and a night may be missed.
const FRESH: Duration = Duration::from_hours(50);

/// Nothing on a machine that makes none.
pub(super) async fn look(db: &Database) -> Option<Finding> {
    if !Path::new(TIMER).exists() {
        return None;
    }
    let asked = async {
        let mut tx = db.begin().await?;
        let version = overview::version(&mut tx).await?;
        tx.rollback().await?;
        Ok::<_, DbError>(version)
    };
    Some(match asked.await {
        Ok(version) => finding(version, newest_programs(Path::new(PROGRAMS)), newest(Path::new(FOLDER))),
        Err(error) => Finding::fail(WHAT, error.to_string()),
    })
}

/// The database's version, that of the newest programs, and the age of the newest backup.
fn finding(theirs: u32, ours: Option<u32>, newest: std::io::Result<Option<Duration>>) -> Finding {
    let Some(ours) = ours else {
        return Finding::warn(WHAT, "they need PostgreSQL's server programs: apt-get install postgresql");
    };
    if ours < theirs {
        return Finding::warn(
            WHAT,
            format!(
                "the database is PostgreSQL {theirs}, and pg_dump here is of {ours}, which refuses that: set \
                 postgresql_version: {theirs} in secrets.yml, and run the playbook"
            ),
        );
    }
    match newest {
        Ok(Some(age)) if age <= FRESH => Finding::ok(WHAT, format!("the newest is {} h old", age.as_secs() / 3600)),
        Ok(Some(age)) => Finding::warn(
            WHAT,
            format!("the newest is {} days old: journalctl -u bisectd-backup says why", age.as_secs() / 86_400),
        ),
        Ok(None) => Finding::warn(WHAT, "there is none yet: systemctl start bisectd-backup"),
        Err(error) => Finding::warn(WHAT, format!("{FOLDER}: {error}")),
    }
}

fn newest_programs(folder: &Path) -> Option<u32> {
    let versions = std::fs::read_dir(folder).ok()?.flatten();
    versions
        .filter(|version| version.path().join("bin/initdb").exists())
        .filter_map(|version| version.file_name().to_str()?.parse().ok())
        .max()
}

fn newest(folder: &Path) -> std::io::Result<Option<Duration>> {
    let mut newest = None;
    for file in std::fs::read_dir(folder)? {
        let file = file?;
        if file.file_name().to_str().is_some_and(|name| name.starts_with("bisect_")) {
            // A file of the future is a fresh one.
            let age = file.metadata()?.modified()?.elapsed().unwrap_or_default();
            newest = Some(newest.map_or(age, |known: Duration| known.min(age)));
        }
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use super::{super::State, *};
    use std::fs;

    #[test]
    fn old_programs_and_old_backups_are_told() {
        let (hour, week) = (Some(Duration::from_hours(1)), Some(Duration::from_hours(24 * 7)));
        assert_eq!(finding(15, Some(15), Ok(hour)), Finding::ok(WHAT, "the newest is 1 h old"));
        for (finding, says) in [
            (finding(17, Some(15), Ok(hour)), "postgresql_version: 17"),
            (finding(15, None, Ok(hour)), "apt-get install postgresql"),
            (finding(15, Some(17), Ok(week)), "7 days old"),
            (finding(15, Some(17), Ok(None)), "none yet"),
        ] {
            assert!(finding.state == State::Warn && finding.text.contains(says), "{says}: {}", finding.text);
        }
    }

    #[test]
    fn the_newest_of_both_is_found() {
        let folder = tempfile::tempdir().unwrap();
        for version in ["9.6", "15", "17"] {
            fs::create_dir_all(folder.path().join(version).join("bin")).unwrap();
            fs::write(folder.path().join(version).join("bin/initdb"), "").unwrap();
        }
        fs::create_dir(folder.path().join("18")).unwrap();
        assert_eq!(newest_programs(folder.path()), Some(17), "18 has no programs");
        assert_eq!(newest(folder.path()).unwrap(), None);
        fs::write(folder.path().join("bisect_20260101_000000.sql.gz"), "").unwrap();
        assert!(newest(folder.path()).unwrap().is_some_and(|age| age < Duration::from_mins(1)));
    }
}
