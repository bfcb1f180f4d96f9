//! The guarded network: made when it is missing, and never given while the host can be reached from it.

use super::{
    container,
    engine::{self, Engine},
    labels::Labels,
};
use crate::sandbox::{ProbeSpec, SandboxError};
use bollard::models::NetworkCreateRequest;
use std::{
    collections::{BTreeSet, HashMap},
    net::{IpAddr, UdpSocket},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{io::AsyncWriteExt, net::TcpListener, sync::Mutex};

/// How long a passed self-test is believed: firewalls get reloaded.
const BELIEVED: Duration = Duration::from_secs(60);

/// Tries to reach each ADDRESS PORT of its input, up to an empty line, and names what answered.
const TRY: &str = r#"
while read -r address port && [ -n "$address" ]; do
  (
    if [ "$address" = gateway ]; then
      hex=$(awk '$2 == "00000000" { print $3; exit }' /proc/net/route)
      [ -n "$hex" ] || exit 0
      address=$(printf '%d.%d.%d.%d' "0x${hex#??????}" "0x$(echo "$hex" | cut -c5-6)" "0x$(echo "$hex" | cut -c3-4)" "0x$(echo "$hex" | cut -c1-2)")
    fi
    timeout 1 bash -c 'exec 3<>"/dev/tcp/$1/$2"' bash "$address" "$port" && echo "reached $address"
  ) 2>/dev/null &
done
wait
echo tried
"#;

/// Remembers when the network was last found safe.
#[derive(Debug, Clone, Default)]
pub(super) struct Egress {
    passed: Arc<Mutex<Option<Instant>>>,
}

impl Egress {
    /// Refuses while a container in the network can reach this host.
    pub(super) async fn check(&self, engine: &Engine, spec: &ProbeSpec) -> Result<(), SandboxError> {
        // Held to the end: jobs that start together need one test.
        let mut passed = self.passed.lock().await;
        if passed.is_some_and(|passed| passed.elapsed() < BELIEVED) {
            return Ok(());
        }
        *passed = None;
        ensure_network(engine).await?;
        let reached = reached(engine, spec).await?;
        if !reached.is_empty() {
            let (network, bridge) = (&engine.config.egress_network, &engine.config.egress_bridge);
            return Err(SandboxError::Unusable(format!(
                "the network `{network}` is not guarded: a test could reach this host at {}; install the rules with `sudo docker/egress-rules.sh up {bridge}`, or run with `network: none`",
                reached.join(", ")
            )));
        }
        *passed = Some(Instant::now());
        Ok(())
    }
}

async fn ensure_network(engine: &Engine) -> Result<(), SandboxError> {
    let name = &engine.config.egress_network;
    let doing = "looking for the guarded network";
    let absent = async {
        match engine.docker.inspect_network(name, None).await {
            Err(error) if engine::status(&error) == Some(404) => Ok(false),
            other => other.map(|_| true),
        }
    };
    if engine.call(doing, absent).await? {
        return Ok(());
    }
    let options = [
        ("com.docker.network.bridge.name", engine.config.egress_bridge.as_str()),
        ("com.docker.network.bridge.enable_icc", "false"),
    ];
    let request = NetworkCreateRequest {
        name: name.clone(),
        driver: Some("bridge".to_owned()),
        options: Some(HashMap::from(options.map(|(key, value)| (key.to_owned(), value.to_owned())))),
        ..NetworkCreateRequest::default()
    };
    let create = async {
        match engine.docker.create_network(request).await {
            // Another job was faster.
            Err(error) if engine::status(&error) == Some(409) => Ok(()),
            other => other.map(drop),
        }
    };
    engine.call("making the guarded network", create).await
}

/// The addresses of this host that a container in the network can connect to.
async fn reached(engine: &Engine, spec: &ProbeSpec) -> Result<Vec<String>, SandboxError> {
    let doing = "testing the guarded network";
    // Ports that certainly answer, were it not for the rules.
    let open = async |address| TcpListener::bind((address, 0)).await;
    let listeners = [open("0.0.0.0").await, open("::").await];
    let ports: BTreeSet<u16> =
        listeners.iter().flatten().filter_map(|listener| Some(listener.local_addr().ok()?.port())).collect();
    if ports.is_empty() {
        return Err(engine::failed(doing, "this host gave no port to try"));
    }
    let mut addresses = vec!["gateway".to_owned()];
    addresses.extend(own_addresses().iter().map(IpAddr::to_string));
    let mut request = String::new();
    for address in &addresses {
        for port in &ports {
            request.push_str(&format!("{address} {port}\n"));
        }
    }
    request.push('\n');

    let labels = Labels::new(&engine.config.owner, spec);
    let mut body = container::powerless(&engine.config.runner_image, &labels, TRY, []);
    container::join(&mut body, &engine.config.egress_network);
    let mut tester = engine.launch(doing, labels.name("egress"), body).await?;
    let talk = async {
        tester.input.write_all(request.as_bytes()).await?;
        tester.input.flush().await?;
        Ok::<_, std::io::Error>(engine::read_all(&mut tester.output).await)
    };
    let answer = tokio::time::timeout(engine.config.call_timeout, talk)
        .await
        .map_err(|_| engine::failed(doing, "it did not answer in time"))?
        .map_err(|error| engine::failed(doing, error))?;
    if !answer.lines().any(|line| line == "tried") {
        return Err(engine::failed(doing, format!("its answer was `{}`", answer.trim())));
    }
    // All was read to its end, so it removes itself: a program that ends now is not to be in the way of that.
    tester.presence.ended();
    let reached: BTreeSet<_> =
        answer.lines().filter_map(|line| line.strip_prefix("reached ")).map(str::to_owned).collect();
    Ok(reached.into_iter().collect())
}

/// The addresses that this host uses towards the world. Connecting a datagram socket sends nothing.
fn own_addresses() -> Vec<IpAddr> {
    [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")]
        .into_iter()
        .filter_map(|(from, to)| {
            let socket = UdpSocket::bind(from).ok()?;
            socket.connect(to).ok()?;
            Some(socket.local_addr().ok()?.ip())
        })
        .collect()
}
