//! This machine: git, disk, kernel, the folders that must be written.

use super::{Finding, versions};
use crate::config::Config;
use nix::sys::statvfs::statvfs;
use std::path::Path;
use tokio::process::Command;

/// Less is not enough for one job, whose lanes may take this much.
const FEW: u64 = 2 << 30;
/// Less is soon not enough.
const LITTLE: u64 = 15 << 30;

pub(super) async fn look(config: &Config) -> Vec<Finding> {
    vec![git().await, data_dir(&config.data_dir), disk(&config.data_dir), kernel(), socket(&config.admin_socket).await]
}

async fn git() -> Finding {
    let output = Command::new("git").arg("--version").output().await;
    match output {
        Ok(output) if output.status.success() => versions::git(&String::from_utf8_lossy(&output.stdout)),
        Ok(output) => {
            Finding::fail("git", format!("`git --version` failed: {}", String::from_utf8_lossy(&output.stderr)))
        }
        Err(error) => Finding::fail("git", format!("cannot be run: {error}; install it: apt-get install git")),
    }
}

fn data_dir(folder: &Path) -> Finding {
    let shown = folder.display();
    let tried = std::fs::create_dir_all(folder).and_then(|()| tempfile_in(folder));
    match tried {
        Ok(()) => Finding::ok("DATA_DIR", format!("{shown} can be written")),
        Err(error) => Finding::fail("DATA_DIR", format!("{shown}: {error}; it must be a folder of the service's user")),
    }
}

fn tempfile_in(folder: &Path) -> std::io::Result<()> {
    let probe = folder.join(format!(".doctor-{}", std::process::id()));
    std::fs::write(&probe, b"")?;
    std::fs::remove_file(probe)
}

fn disk(folder: &Path) -> Finding {
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let stat = match statvfs(there) {
        Ok(stat) => stat,
        Err(error) => return Finding::warn("disk", format!("{}: {error}", there.display())),
    };
    let free = stat.blocks_available() * stat.fragment_size();
    let text = format!("{} GB are free at {}", free >> 30, there.display());
    if free < FEW {
        Finding::fail("disk", format!("{text}: no job can run; `bisectd prune`, `docker image prune`"))
    } else if free < LITTLE {
        Finding::warn("disk", format!("{text}: mirrors and lanes need more; MIRROR_BUDGET_GB and `bisectd prune`"))
    } else {
        Finding::ok("disk", text)
    }
}

fn kernel() -> Finding {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    versions::kernel(release.trim())
}

async fn socket(path: &Path) -> Finding {
    let shown = path.display();
    if tokio::net::UnixStream::connect(path).await.is_ok() {
        return Finding::ok("console", format!("a daemon answers on {shown}"));
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    if path.exists() {
        return Finding::warn("console", format!("{shown} is there, and nobody answers: the next `serve` replaces it"));
    }
    if folder.is_dir() {
        return Finding::ok("console", format!("{shown} will be made by `serve`"));
    }
    Finding::warn(
        "console",
        format!("the folder of {shown} is not there; `serve` makes it if it may, systemd by RuntimeDirectory="),
    )
}
