//! The unprivileged user that the server runs as, and what that user may reach.

use super::{PrivatePostgresError, unwritable};
use nix::unistd::{Gid, Uid, User};
use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::Command,
};

/// Who runs the server.
#[derive(Debug, Clone)]
pub(super) struct ServerUser {
    name: String,
    uid: Uid,
    gid: Gid,
}

impl ServerUser {
    /// Ourselves; for root, which PostgreSQL refuses: the owner of an existing cluster, the user
    /// `postgres`, or `nobody`.
    pub(super) fn for_cluster(cluster: &Path) -> Result<Self, PrivatePostgresError> {
        let us = nix::unistd::geteuid();
        if !us.is_root() {
            return Ok(Self { name: us.to_string(), uid: us, gid: nix::unistd::getegid() });
        }
        if let Ok(owned) = fs::metadata(cluster)
            && owned.uid() != 0
        {
            let uid = Uid::from_raw(owned.uid());
            return Ok(Self { name: uid.to_string(), uid, gid: Gid::from_raw(owned.gid()) });
        }
        let named = |name: &str| User::from_name(name).ok().flatten();
        let user = named("postgres").or_else(|| named("nobody")).ok_or(PrivatePostgresError::NoUser)?;
        Ok(Self { name: user.name, uid: user.uid, gid: user.gid })
    }

    /// A command that runs as this user, with nothing of our environment.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C");
        if nix::unistd::geteuid().is_root() {
            command.uid(self.uid.as_raw()).gid(self.gid.as_raw());
        }
        command
    }

    /// Makes a folder that only this user may enter. One that is there must be such a folder:
    /// where others may create files, somebody else could have made it first.
    pub(super) fn own_folder(&self, path: &Path) -> Result<(), PrivatePostgresError> {
        match fs::create_dir(path) {
            Ok(()) => {
                fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(unwritable(path))?;
                chown(path, Some(self.uid.as_raw()), Some(self.gid.as_raw())).map_err(unwritable(path))
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                let found = fs::symlink_metadata(path).map_err(unwritable(path))?;
                if found.is_dir() && found.uid() == self.uid.as_raw() && found.mode() & 0o077 == 0 {
                    return Ok(());
                }
                let cause = std::io::Error::other(format!("it is not a folder of user `{}` alone", self.name));
                Err(unwritable(path)(cause))
            }
            Err(error) => Err(unwritable(path)(error)),
        }
    }

    /// Whether every folder down to `home` may be passed. `DATA_DIR` and what is in it are ours,
    /// and opened to this user's group where needed; what is above is not.
    pub(super) fn open_the_way(&self, data_dir: &Path, home: &Path) -> Result<(), PrivatePostgresError> {
        for folder in home.ancestors() {
            let found = fs::metadata(folder).map_err(unwritable(folder))?;
            if self.may_enter(&found) {
                continue;
            }
            if !folder.starts_with(data_dir) {
                return Err(PrivatePostgresError::Closed { path: folder.to_owned(), user: self.name.clone() });
            }
            chown(folder, None, Some(self.gid.as_raw())).map_err(unwritable(folder))?;
            let mode = found.mode() & 0o7777 & !0o070 | 0o010;
            fs::set_permissions(folder, fs::Permissions::from_mode(mode)).map_err(unwritable(folder))?;
        }
        Ok(())
    }

    fn may_enter(&self, folder: &fs::Metadata) -> bool {
        let bit = if folder.uid() == self.uid.as_raw() {
            0o100
        } else if folder.gid() == self.gid.as_raw() {
            0o010
        } else {
            0o001
        };
        folder.mode() & bit != 0
    }
}
