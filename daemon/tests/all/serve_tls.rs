//! `sslmode` and `sslrootcert` mean the same to every connection: the pool's and the listening one.

use crate::support::{Pooler, Project, Service, World, eventually};
use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

/// A private authority, and a certificate of it for `localhost` only.
struct Authority {
    folder: PathBuf,
}

impl Authority {
    fn new(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let this = Self { folder: folder.to_owned() };
        this.openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=test-authority");
        this.openssl("req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=localhost");
        std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
        this.openssl(
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile names",
        );
        // pgbouncer reads it as another user.
        std::fs::set_permissions(folder.join("server.key"), PermissionsExt::from_mode(0o644)).unwrap();
        this
    }

    fn openssl(&self, args: &str) {
        let ran = Command::new("openssl").args(args.split(' ')).current_dir(&self.folder).output().unwrap();
        assert!(ran.status.success(), "openssl {args}: {}", String::from_utf8_lossy(&ran.stderr));
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

#[tokio::test]
async fn a_private_authority_is_checked_alike_by_the_pool_and_by_the_listener() {
    let world = World::new(Project::linear(9)).await;
    let [authority, wrong] = ["authority", "wrong"].map(|name| Authority::new(&world.path(name)));
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let pooler = Pooler::start_with_tls(&world.db, port, &authority.file("server.pem"), &authority.file("server.key"));
    let url = |host: &str, mode: &str, authority: &Authority| {
        let root = authority.file("ca.pem");
        format!("postgresql://bisect@{host}:{port}/session?sslmode={mode}&sslrootcert={}", root.display())
    };
    let both = |url: String| world.serve("one").env("DATABASE_URL", url);
    let listening = |url: String| world.serve("one").env("DATABASE_DIRECT_URL", url);

    // Good for both, and really encrypted: the pooler takes nothing else on this port.
    let service = Service::start(both(url("localhost", "verify-full", &authority))).await;
    assert!(service.text("/metrics").await.contains("bisectd_listening 1"));
    world.enqueue("test $(cat n) -lt 5").await;
    eventually("it ends", async || world.job().await.status.is_final().then_some(())).await;
    service.stop().await;
    Service::start(both(url("127.0.0.1", "verify-ca", &authority))).await.stop().await;
    Service::start(both(url("127.0.0.1", "require", &wrong))).await.stop().await;

    // Refused alike: another authority, another name, no TLS.
    let bad = [
        url("localhost", "verify-full", &wrong),
        url("localhost", "verify-ca", &wrong),
        url("127.0.0.1", "verify-full", &authority),
        url("localhost", "disable", &authority),
    ];
    for url in bad {
        for (serve, variable) in
            [(both(url.clone()), "(DATABASE_URL)"), (listening(url.clone()), "(DATABASE_DIRECT_URL)")]
        {
            let ran = serve.run().await;
            assert!(ran.code == 2 || ran.code == 3, "{url}: {}", ran.stderr);
            assert!(ran.stderr.contains("cannot be reached") && ran.stderr.contains(variable), "{url}: {}", ran.stderr);
        }
    }
    drop(pooler);
}
