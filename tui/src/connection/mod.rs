//! A stream of bytes to a daemon: from the system's ssh, or from the admin socket of this machine.
//!
//! It knows nothing of HTTP. What goes wrong comes out as a [`Mistake`]: a sentence for people, and whether trying again
//! can help.

mod io;
mod mistake;
mod socket;
mod ssh;

pub use io::Io;
pub use mistake::{Evidence, Mistake};

use crate::target::{Address, Server};
use io::FirstBytes;

/// A stream, and who can say what became of it.
#[derive(Debug)]
pub struct Line {
    /// The bytes.
    pub io: Io,
    /// Asked when the stream turns out to be dead.
    pub witness: Witness,
}

/// Opens a stream. With `asking`, ssh may use the terminal for its prompts; without, it fails where it would ask.
///
/// # Errors
/// What is known at once: no ssh here, a socket that cannot be opened. The rest is for [`Witness::explain`].
pub async fn open(server: &Server, asking: bool) -> Result<Line, Mistake> {
    let (io, ssh) = match &server.address {
        Address::Socket(path) => (Io::socket(socket::open(path).await?), None),
        Address::Ssh(host) => {
            let (out, into, child) = ssh::start(server, host, asking).await?;
            (Io::pipes(out, into), Some(child))
        }
    };
    let first = io.first_bytes();
    Ok(Line { io, witness: Witness { server: server.clone(), asking, first, ssh } })
}

/// Remembers what was said beside the stream.
#[derive(Debug)]
pub struct Witness {
    server: Server,
    asking: bool,
    first: FirstBytes,
    ssh: Option<ssh::Child>,
}

impl Witness {
    /// The connection works: what ssh says from now on is kept, and no longer shown.
    pub fn settled(&self) {
        if let Some(ssh) = &self.ssh {
            ssh.settled();
        }
    }

    /// Why there is no connection, given what its user saw of that.
    pub async fn explain(self, fault: &str, was_up: bool) -> Mistake {
        let Some(ssh) = self.ssh else {
            return mistake::of_socket(&self.server, &self.first.bytes(), fault, was_up);
        };
        let (code, said) = ssh.end().await;
        mistake::of_ssh(&Evidence {
            server: &self.server,
            asking: self.asking,
            code,
            said: &said,
            first: &self.first.bytes(),
            fault,
            was_up,
        })
    }

    /// Ends a connection that nobody asks about. One that shares its transport with others is left to end by itself.
    pub fn let_go(self) {
        if let Some(ssh) = self.ssh {
            ssh.let_go();
        }
    }
}
