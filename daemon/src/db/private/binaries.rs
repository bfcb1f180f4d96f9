//! The installed server programs, by major version.

use super::PrivatePostgresError;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

/// What is installed: folders that hold `initdb`, `pg_ctl` and `postgres`.
#[derive(Debug)]
pub(super) struct Binaries {
    by_version: BTreeMap<u32, PathBuf>,
}

impl Binaries {
    /// Looks where `pg_config` says, where Debian, Red Hat and the sources install, and in PATH.
    pub(super) fn find() -> Self {
        let mut folders = Vec::new();
        if let Some(folder) = output("pg_config", "--bindir") {
            folders.push(PathBuf::from(folder));
        }
        for (parent, prefix) in [("/usr/lib/postgresql", ""), ("/usr", "pgsql-"), ("/usr/local", "pgsql")] {
            folders.extend(bin_folders(Path::new(parent), prefix));
        }
        folders.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
        Self::among(folders)
    }

    fn among(folders: Vec<PathBuf>) -> Self {
        let mut by_version = BTreeMap::new();
        for folder in folders {
            if !["initdb", "pg_ctl", "postgres"].iter().all(|program| folder.join(program).is_file()) {
                continue;
            }
            if let Some(version) = output(folder.join("postgres"), "--version").as_deref().and_then(major_version) {
                by_version.entry(version).or_insert(folder);
            }
        }
        Self { by_version }
    }

    /// The programs for a cluster: of its version, or the newest for a new one.
    pub(super) fn folder(&self, cluster: &Path, made_by: Option<u32>) -> Result<&Path, PrivatePostgresError> {
        let Some((_, newest)) = self.by_version.last_key_value() else {
            return Err(PrivatePostgresError::NotInstalled);
        };
        let Some(made_by) = made_by else {
            return Ok(newest);
        };
        self.by_version.get(&made_by).map(PathBuf::as_path).ok_or_else(|| PrivatePostgresError::OtherVersion {
            cluster: cluster.to_owned(),
            made_by,
            installed: self.by_version.keys().map(u32::to_string).collect::<Vec<_>>().join(", "),
        })
    }
}

fn bin_folders(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = parent.read_dir() else {
        return Vec::new();
    };
    let named = |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with(prefix);
    entries.flatten().filter(named).map(|entry| entry.path().join("bin")).collect()
}

fn output(program: impl AsRef<std::ffi::OsStr>, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// `postgres (PostgreSQL) 15.13 (Debian …)` → 15; also of `17rc1` and `18devel`.
fn major_version(text: &str) -> Option<u32> {
    let version = text.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    let digits = version.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(version.len());
    version[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_in_all_their_forms() {
        assert_eq!(major_version("postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)"), Some(15));
        assert_eq!(major_version("postgres (PostgreSQL) 18beta2"), Some(18));
        assert_eq!(major_version("postgres (PostgreSQL) 19devel"), Some(19));
        assert_eq!(major_version("something else"), None);
    }

    #[test]
    fn a_machine_without_a_server_is_told_what_to_install() {
        let error = Binaries::among(Vec::new()).folder(Path::new("/data"), None).unwrap_err().to_string();
        assert!(error.contains("apt-get install postgresql") && error.contains("make setup"), "{error}");
    }

    #[test]
    fn a_cluster_of_another_version_is_named() {
        let installed = Binaries { by_version: BTreeMap::from([(15, "/a".into()), (17, "/b".into())]) };
        assert_eq!(installed.folder(Path::new("/data"), None).unwrap(), Path::new("/b"));
        assert_eq!(installed.folder(Path::new("/data"), Some(15)).unwrap(), Path::new("/a"));
        let error = installed.folder(Path::new("/data"), Some(14)).unwrap_err().to_string();
        assert!(error.contains("PostgreSQL 14") && error.contains("15, 17"), "{error}");
    }
}
