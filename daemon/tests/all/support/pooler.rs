//! pgbouncer before a test's database, in both modes.

use super::TestDb;
use bisectd::db::DatabaseSettings;
use secrecy::ExposeSecret;
use std::{
    fs,
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::Path,
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

const PORT: u16 = 6432;

/// A running pgbouncer with three connections to the server at most.
pub struct Pooler {
    process: Child,
    folder: TempDir,
}

impl Pooler {
    /// Starts it on a socket of its own.
    pub fn start(world: &TestDb) -> Self {
        Self::configured(world, "listen_addr =")
    }

    /// The same, also on a TCP port of this machine, with TLS: `certificate` and `key` are files.
    pub fn start_with_tls(world: &TestDb, port: u16, certificate: &Path, key: &Path) -> Self {
        let (certificate, key) = (certificate.display(), key.display());
        Self::configured(
            world,
            &format!(
                "listen_addr = 127.0.0.1\nlisten_port = {port}\nclient_tls_sslmode = require\n\
                 client_tls_cert_file = {certificate}\nclient_tls_key_file = {key}"
            ),
        )
    }

    fn configured(world: &TestDb, listen: &str) -> Self {
        let places = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"];
        let program = places.into_iter().find(|path| fs::exists(path).unwrap());
        let program = program.expect("pgbouncer is not installed; `docker/setup.sh --tests` does that");
        let folder = TempDir::new().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let url: sqlx::postgres::PgConnectOptions = world.settings.url.expose_secret().parse().unwrap();
        let server = format!(
            "host={} port=5432 user=bisect dbname={}",
            url.get_socket().unwrap().display(),
            url.get_database().unwrap()
        );
        let socket = folder.path().display();
        let port = listen
            .lines()
            .find_map(|line| line.strip_prefix("listen_port = "))
            .map_or(PORT, |port| port.parse().unwrap());
        let config = format!(
            "[databases]\ntransaction = {server} pool_mode=transaction pool_size=3\nsession = {server} pool_mode=session\n\
             [pgbouncer]\nunix_socket_dir = {socket}\nlisten_port = {PORT}\n{listen}\nauth_type = any\n\
             min_pool_size = 0\nmax_client_conn = 100\n"
        );
        let file = folder.path().join("pgbouncer.ini");
        fs::write(&file, config).unwrap();
        let mut command = Command::new(program);
        if nix::unistd::geteuid().is_root() {
            // It refuses to be root, and only the server's user may enter the server's folder.
            command.args(["-u", "postgres"]);
        }
        let process = command.arg("-q").arg(&file).stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut pooler = Self { process, folder };
        while UnixStream::connect(pooler.folder.path().join(format!(".s.PGSQL.{port}"))).is_err() {
            assert!(pooler.process.try_wait().unwrap().is_none(), "pgbouncer ended");
            std::thread::yield_now();
        }
        pooler
    }

    /// How to reach the database through it, in `transaction` or in `session` mode.
    pub fn settings(&self, mode: &str) -> DatabaseSettings {
        let folder = self.folder.path().display();
        DatabaseSettings::new(format!("postgresql:///{mode}?host={folder}&port={PORT}&user=bisect"))
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}
