//! `bisectd dial-stdio`: joins standard input and output to the console's socket. What the console runs over SSH.
//!
//! Needs no configuration but where the socket is. Says nothing on standard output that the daemon did not say.

use super::{Exit, Refusal, args::DialArgs};
use crate::config;
use bisect_shared::admin::{OPERATOR_PREAMBLE, is_operator};
use std::{
    io::{self, ErrorKind},
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::UnixStream,
};

/// Bytes that are passed on at once.
const AT_ONCE: usize = 64 << 10;

/// Joins them until either end is done.
pub(super) fn run(args: &DialArgs, env_file: Option<&Path>) -> Result<Exit, Refusal> {
    if let Some(name) = args.r#as.as_deref().filter(|name| !is_operator(name)) {
        let shown: String = name.escape_debug().take(80).collect();
        return Err(Refusal::usage(format!(
            "--as `{shown}`: an operator's name is 1 to 64 letters, digits, `.`, `_`, `-`, `@` or `+` (example: --as ada)"
        )));
    }
    let places = args.socket.clone().map_or_else(|| config::sockets_to_dial(env_file), |path| vec![path]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Refusal::infrastructure)?;
    let answer = runtime.block_on(async {
        let stream = connect(&places).await?;
        join(stream, args.r#as.as_deref(), tokio::io::stdin(), tokio::io::stdout()).await;
        Ok(Exit::Done)
    });
    // Somebody may never close our standard input, from which a thread still reads.
    runtime.shutdown_background();
    answer
}

/// The first of these places where there is anything.
async fn connect(places: &[PathBuf]) -> Result<UnixStream, Refusal> {
    for path in places {
        match UnixStream::connect(path).await {
            Ok(stream) => return Ok(stream),
            // Another place may have it; a folder on the way may be a file.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(error) => return Err(refusal(path, &error)),
        }
    }
    let shown: Vec<String> = places.iter().map(|path| path.display().to_string()).collect();
    Err(Refusal {
        exit: Exit::NoSocket,
        message: format!(
            "there is no socket at {}: `bisectd serve` has never run here, or makes its socket elsewhere; name it with \
             --socket or ADMIN_SOCKET",
            shown.join(" or ")
        ),
    })
}

fn refusal(path: &Path, error: &io::Error) -> Refusal {
    let shown = path.display();
    let is_socket = std::fs::metadata(path).map(|found| found.file_type().is_socket());
    match (error.kind(), is_socket) {
        (ErrorKind::PermissionDenied, _) => Refusal {
            exit: Exit::Forbidden,
            message: format!("{shown} may not be used by this user: {}", who_may(path)),
        },
        // Linux refuses a connection to any file that is no socket.
        (_, Ok(false)) => Refusal {
            exit: Exit::NotASocket,
            message: format!("{shown} is not a socket; name the one of `bisectd serve`"),
        },
        (ErrorKind::ConnectionRefused, _) => Refusal {
            exit: Exit::NotRunning,
            message: format!("nobody answers on {shown}: the daemon is not running; start `bisectd serve`"),
        },
        _ => Refusal::infrastructure(format!("{shown} cannot be used: {error}")),
    }
}

/// Whose the socket is, or the folder that keeps this user away from it.
fn who_may(path: &Path) -> String {
    let seen = path.ancestors().find_map(|part| Some((part, std::fs::metadata(part).ok()?)));
    let Some((part, found)) = seen else { return "its owner is not to be seen".to_owned() };
    let named = |name: Option<String>, number: u32| name.unwrap_or_else(|| number.to_string());
    let group = nix::unistd::Group::from_gid(found.gid().into()).ok().flatten().map(|group| group.name);
    let owner = nix::unistd::User::from_uid(found.uid().into()).ok().flatten().map(|user| user.name);
    let what = if part == path { "it belongs".to_owned() } else { format!("its folder {} belongs", part.display()) };
    let (group, owner) = (named(group, found.gid()), named(owner, found.uid()));
    format!("{what} to group {group} (owner {owner}); add the user to that group and sign in again")
}

/// Passes both ways on. The end of our input is told to the daemon, which may still answer; when the daemon is done, or
/// nobody reads our output any more, so is this.
async fn join(
    stream: UnixStream,
    operator: Option<&str>,
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin,
) {
    let (mut from_daemon, mut to_daemon) = stream.into_split();
    let asking = async {
        if let Some(name) = operator {
            to_daemon.write_all(format!("{OPERATOR_PREAMBLE}{name}\n").as_bytes()).await?;
        }
        pass(input, &mut to_daemon).await?;
        to_daemon.shutdown().await
    };
    let answering = pass(&mut from_daemon, output);
    tokio::pin!(asking, answering);
    tokio::select! {
        biased;
        answered = &mut answering => told(answered),
        asked = &mut asking => match asked {
            Ok(()) => told(answering.await),
            // What the daemon said before it closed is passed on.
            Err(error) => {
                told(Err(error));
                told(answering.await);
            }
        },
    }
}

/// An end that broke is an end: the console sees as much.
fn told(passed: io::Result<()>) {
    if let Err(error) = passed {
        tracing::debug!(error = %error, "one end of the connection broke");
    }
}

async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
    let mut buffer = vec![0; AT_ONCE];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..count]).await?;
        to.flush().await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_half_ends_for_itself_and_the_daemons_ends_all() {
        let (ours, mut daemon) = UnixStream::pair().unwrap();
        let mut output = Vec::new();
        let answer = async {
            let mut asked = String::new();
            daemon.read_to_string(&mut asked).await.unwrap();
            daemon.write_all(b"answer").await.unwrap();
            drop(daemon);
            asked
        };
        let ((), asked) = tokio::join!(join(ours, Some("ada"), &b"question"[..], &mut output), answer);
        assert_eq!((asked.as_str(), output.as_slice()), ("BISECT-OPERATOR ada\nquestion", &b"answer"[..]));

        let (ours, daemon) = UnixStream::pair().unwrap();
        drop(daemon);
        // An input that never ends.
        let (input, _open) = tokio::io::duplex(1);
        join(ours, None, input, &mut output).await;
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_place_has_words_and_a_status_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let refused = async |path: &Path| connect(&[path.to_owned()]).await.unwrap_err();
        assert_eq!(refused(&path).await.exit, Exit::NoSocket);
        std::fs::write(&path, "").unwrap();
        assert_eq!(refused(&path).await.exit, Exit::NotASocket);
        assert_eq!(refused(&path.join("below")).await.exit, Exit::NoSocket);
        std::fs::remove_file(&path).unwrap();
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert_eq!(refused(&path).await.exit, Exit::NotRunning);
    }
}
