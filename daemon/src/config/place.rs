//! Where things of a machine lie while nobody says so: `DATA_DIR`, and the console's socket.

use super::{absolute, known_only, read_env_file};
use figment::{
    Figment,
    providers::{Format, Serialized, Toml},
};
use nix::unistd::{AccessFlags, access};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Made by systemd for the service (`RuntimeDirectory=bisectd`), or by an operator.
const RUN: &str = "/run/bisectd";
const SOCKET: &str = "admin.sock";

/// `/var/lib/bisect-bot` for root and wherever it can be written, else the user's data folder.
pub(super) fn default_data_dir() -> PathBuf {
    let system = PathBuf::from("/var/lib/bisect-bot");
    let writable = access(&system, AccessFlags::W_OK).is_ok();
    if writable || nix::unistd::geteuid().is_root() {
        return system;
    }
    use etcetera::BaseStrategy;
    etcetera::choose_base_strategy().map_or(system, |base| base.data_dir().join("bisect-bot"))
}

/// Where a service makes its socket.
pub(super) fn socket_to_serve(data_dir: &Path) -> PathBuf {
    let writable = access(RUN, AccessFlags::W_OK).is_ok();
    if writable { Path::new(RUN).join(SOCKET) } else { data_dir.join(SOCKET) }
}

/// Where a service may have made its socket, the likeliest first: whoever asks may not write where it may. Reads
/// `ADMIN_SOCKET` and `DATA_DIR` only, and whatever else is wrong with the configuration is no matter.
#[must_use]
pub fn sockets_to_dial(env_file: Option<&Path>) -> Vec<PathBuf> {
    let environment: BTreeMap<String, String> = ["ADMIN_SOCKET", "DATA_DIR"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)))
        .collect();
    let figment = Figment::new()
        .merge(Toml::file("Rocket.toml").nested())
        .focus("bisect")
        .merge(Serialized::globals(known_only(&read_env_file(env_file).unwrap_or_default())))
        .merge(Serialized::globals(known_only(&environment)));
    candidates(|name| figment.extract_inner::<String>(name).ok().filter(|text| !text.is_empty()))
}

fn candidates(value: impl Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    if let Some(path) = value("admin_socket") {
        return vec![absolute(path.into())];
    }
    let data_dir = value("data_dir").map_or_else(default_data_dir, PathBuf::from);
    vec![Path::new(RUN).join(SOCKET), absolute(data_dir).join(SOCKET)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_is_named_is_the_only_one() {
        let given = |name: &str| (name == "admin_socket").then(|| "/tmp/a.sock".to_owned());
        assert_eq!(candidates(given), [Path::new("/tmp/a.sock")]);
        let data = |name: &str| (name == "data_dir").then(|| "/srv/data".to_owned());
        assert_eq!(candidates(data), [Path::new("/run/bisectd/admin.sock"), Path::new("/srv/data/admin.sock")]);
    }
}
