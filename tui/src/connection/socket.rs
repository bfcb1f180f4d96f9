//! The admin socket of this machine.

use super::Mistake;
use nix::unistd::{Gid, Group};
use std::{
    io::ErrorKind,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
};
use tokio::net::UnixStream;

/// Opens it.
pub(super) async fn open(path: &Path) -> Result<UnixStream, Mistake> {
    match UnixStream::connect(path).await {
        Ok(socket) => Ok(socket),
        Err(error) => Err(why(path, &error)),
    }
}

fn why(path: &Path, error: &std::io::Error) -> Mistake {
    let shown = path.display();
    let there = std::fs::metadata(path);
    match (error.kind(), &there) {
        (_, Ok(file)) if !file.file_type().is_socket() => Mistake::for_good(format!("{shown} is not a socket")),
        (ErrorKind::NotFound, _) => Mistake::passing(format!(
            "there is no socket {shown}: bisectd is not running here, or its ADMIN_SOCKET is elsewhere"
        )),
        (ErrorKind::PermissionDenied, Ok(file)) => {
            let gid = Gid::from_raw(file.gid());
            let group = match Group::from_gid(gid) {
                Ok(Some(group)) => format!("`{}`", group.name),
                _ => format!("number {gid}"),
            };
            Mistake::for_good(format!(
                "you may not use the socket {shown}: it is for members of group {group} (`id` shows yours; a new \
                 membership counts from the next login)"
            ))
        }
        (ErrorKind::PermissionDenied, Err(_)) => Mistake::for_good(format!(
            "you may not use the socket {shown}: a folder above it is closed to you (`namei -l {shown}` shows which)"
        )),
        (ErrorKind::ConnectionRefused, _) => Mistake::passing(format!(
            "nobody listens on the socket {shown}: bisectd is not running (it was, and left the file behind)"
        )),
        (ErrorKind::InvalidInput, _) => {
            Mistake::for_good(format!("{shown} is too long for the path of a socket (107 bytes at most)"))
        }
        _ => Mistake::passing(format!("the socket {shown} cannot be opened: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_wrong_with_a_socket() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let left = folder.path().join("left");
        drop(std::os::unix::net::UnixListener::bind(&left).unwrap());
        // A process that another test of this binary just starts holds it open until it runs its own program.
        let began = std::time::Instant::now();
        while std::os::unix::net::UnixStream::connect(&left).is_ok() && began.elapsed().as_secs() < 10 {
            std::thread::yield_now();
        }
        let long = folder.path().join("x".repeat(120));
        for (path, text, hopeless) in [
            (folder.path().join("none"), "there is no socket", false),
            (file, "is not a socket", true),
            (folder.path().to_owned(), "is not a socket", true),
            (left, "nobody listens", false),
            (long, "too long", true),
        ] {
            let mistake = open(&path).await.unwrap_err();
            assert!(mistake.text.contains(text), "{}", mistake.text);
            assert_eq!(mistake.hopeless, hopeless, "{}", mistake.text);
        }
    }
}
