//! Who this process is, and whether another process of this machine is still alive.

use crate::runner::Fate;
use bisect_shared::InstanceId;
use sha2::{Digest, Sha256};
use std::{
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// This process's name, and a lock that says it lives: the kernel lets go of it at any death, so
/// that a crashed worker's jobs need not wait for their heartbeat to grow old.
pub(super) struct Instance {
    pub(super) id: InstanceId,
    path: PathBuf,
    _lock: File,
}

// Dropped, the lock ends and the file stays: a job that could not be given back is taken over at once.
impl Instance {
    /// Host name, process id, start time (milliseconds since 1970) and a random part.
    pub(super) fn start(data_dir: &Path) -> io::Result<Self> {
        let host: String = gethostname::gethostname()
            .to_string_lossy()
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || "-.".contains(*c))
            .collect();
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis());
        let id = format!("{host}-{}-{started}-{:08x}", std::process::id(), rand::random::<u32>());
        let path = lock_path(data_dir, &id);
        std::fs::create_dir_all(data_dir.join("instances"))?;
        // Its name is seen only once it is locked, so that nobody takes it for dead before.
        let unseen = lock_path(data_dir, &format!(".{id}"));
        let lock = File::create(&unseen)?;
        lock.lock()?;
        std::fs::rename(&unseen, &path)?;
        Ok(Self { id: InstanceId(id), path, _lock: lock })
    }

    /// Ends it in order: no job is left that names it.
    pub(super) fn retire(self) {
        // A file that stays is only litter.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Whether `id` ran on this machine with this `DATA_DIR` and is surely dead. A process of another
/// machine, of which nothing is known here, is not.
pub(super) fn is_dead(data_dir: &Path, id: &str) -> bool {
    let path = lock_path(data_dir, id);
    let Ok(file) = File::open(&path) else { return false };
    match file.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
    }
}

/// What is known here of a process.
pub(super) fn fate(data_dir: &Path, id: &InstanceId) -> Option<Fate> {
    let known = |dead: bool| if dead { Fate::Dead } else { Fate::Alive };
    if let Some(pid) = id.0.strip_prefix(CHECKING) {
        return Some(known(!Path::new("/proc").join(pid).exists()));
    }
    lock_path(data_dir, &id.0).exists().then(|| known(is_dead(data_dir, &id.0)))
}

/// A process that has only begun to check its request, and has no name of its own yet.
pub(super) fn checking() -> InstanceId {
    InstanceId(format!("{CHECKING}{}", std::process::id()))
}

/// What the name of a process that checks begins with; its process id follows.
const CHECKING: &str = "checking-";

/// The processes that ran with this `DATA_DIR` and are surely dead.
pub(super) fn dead(data_dir: &Path) -> Vec<InstanceId> {
    let Ok(entries) = std::fs::read_dir(data_dir.join("instances")) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|id| !id.starts_with('.') && is_dead(data_dir, id)).map(InstanceId).collect()
}

/// Forgets a dead process whose job has been taken over. Not before: that it is dead must be known
/// for as long as the job has to wait, for example for the dead one's last transaction to end.
pub(super) fn forget(data_dir: &Path, id: &str) {
    let _ = std::fs::remove_file(lock_path(data_dir, id));
}

fn lock_path(data_dir: &Path, id: &str) -> PathBuf {
    data_dir.join("instances").join(id)
}

/// Names machine and `DATA_DIR`: only processes with the same name can claim a job on a local path.
pub(super) fn affinity(data_dir: &Path) -> String {
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let host = gethostname::gethostname();
    let folder = real_path(data_dir);
    let mut hash = Sha256::new();
    for part in [machine.trim().as_bytes(), host.as_encoded_bytes(), folder.as_os_str().as_encoded_bytes()] {
        hash.update(part);
        hash.update([0]);
    }
    hex::encode(&hash.finalize()[..16])
}

/// The path without symbolic links, also of a folder that is not there yet.
fn real_path(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let known = path.ancestors().find_map(|part| Some((part.canonicalize().ok()?, path.strip_prefix(part).ok()?)));
    // By components: joining nothing would leave a slash at the end, and so another name.
    known.map_or_else(|| path.clone(), |(real, rest)| real.components().chain(rest.components()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_process_that_let_go_of_its_lock_is_dead() {
        let folder = tempfile::tempdir().unwrap();
        let instance = Instance::start(folder.path()).unwrap();
        let id = instance.id.0.clone();
        assert!(!is_dead(folder.path(), &id), "it lives");
        drop(instance);
        assert!(is_dead(folder.path(), &id), "it ended, but not in order");
        assert_eq!(fate(folder.path(), &InstanceId(id.clone())), Some(Fate::Dead));
        assert_eq!(fate(folder.path(), &InstanceId("elsewhere-1-2-3".into())), None);
        assert_eq!(fate(folder.path(), &checking()), Some(Fate::Alive));
        assert_eq!(fate(folder.path(), &InstanceId("checking-4294967295".into())), Some(Fate::Dead));
        assert_eq!(dead(folder.path()), [InstanceId(id)]);
        assert!(!is_dead(folder.path(), "elsewhere-1-2-3"), "nothing is known of it");
        // What a crash leaves: the file, and no lock on it.
        std::fs::write(lock_path(folder.path(), "crashed"), "").unwrap();
        assert!(is_dead(folder.path(), "crashed"));
        assert!(is_dead(folder.path(), "crashed"), "it stays known");
        forget(folder.path(), "crashed");
        assert!(!is_dead(folder.path(), "crashed"));
    }

    #[test]
    fn a_data_dir_has_one_name_before_and_after_it_is_made_and_through_links() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path(), &link).unwrap();
        let before = affinity(&link.join("data"));
        std::fs::create_dir(folder.path().join("data")).unwrap();
        assert_eq!(before, affinity(&folder.path().join("data")));
    }
}
