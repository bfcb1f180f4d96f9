//! A token for git, handed over through a file descriptor: it stands in no argument, environment,
//! address, configuration or file, and is gone with this value or with this process.

use nix::sys::memfd::{MFdFlags, memfd_create};
use secrecy::{ExposeSecret, SecretString};
use std::{
    fmt,
    fs::File,
    io::Write,
    os::fd::{AsRawFd, OwnedFd},
};

/// A token in a file of memory that only processes of this user can open, through `/proc`. The
/// descriptor itself is closed in every process that this one starts, so no tested command gets it.
pub struct Token {
    memory: OwnedFd,
}

impl Token {
    /// Makes the memory.
    ///
    /// # Errors
    /// When the kernel gives none.
    pub fn new(token: &SecretString) -> std::io::Result<Self> {
        let mut file = File::from(memfd_create("credential", MFdFlags::MFD_CLOEXEC)?);
        // GitHub takes every name beside a token of an installation; this is the documented one.
        file.write_all(b"username=x-access-token\npassword=")?;
        file.write_all(token.expose_secret().as_bytes())?;
        file.write_all(b"\n")?;
        Ok(Self { memory: file.into() })
    }

    /// Settings with which git gives the token to the host of `source`, and to nobody else: not to
    /// one to which that host redirects. Empty for an address that is not fetched over HTTP.
    pub(super) fn settings(&self, source: &str) -> Vec<String> {
        let Some((scheme, rest)) = source.split_once("://").filter(|(scheme, _)| matches!(*scheme, "https" | "http"))
        else {
            return Vec::new();
        };
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let memory = format!("/proc/{}/fd/{}", std::process::id(), self.memory.as_raw_fd());
        // Git adds what it wants (get, store, erase) at the end, where it is a comment.
        let helper = format!("credential.{scheme}://{host}.helper=!cat {memory} #");
        // The empty one first: whatever else was set is forgotten.
        vec!["credential.helper=".to_owned(), helper]
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_for_one_host_and_stands_in_no_setting() {
        let token = Token::new(&SecretString::from("s3cret")).unwrap();
        let settings = token.settings("https://github.example.com:8443/a/b.git");
        assert_eq!(settings[0], "credential.helper=");
        assert!(
            settings[1].starts_with("credential.https://github.example.com:8443.helper=!cat /proc/"),
            "{settings:?}"
        );
        assert!(!format!("{settings:?}{token:?}").contains("s3cret"));
        assert!(token.settings("ssh://git@host/a").is_empty() && token.settings("/srv/repo").is_empty());
    }
}
