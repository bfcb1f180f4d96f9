//! The guarded network: made when it is missing, and never given while the host can be reached from it.

use super::{
    container,
    engine::{self, Attached, Engine},
    labels::Labels,
};
use crate::sandbox::{ProbeSpec, SandboxError};
use bollard::models::NetworkCreateRequest;
use futures::StreamExt;
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

/// Listens on every address, prints `port PORT` and `address ADDRESS` of where it is, an empty line, and ends with its input.
const LISTEN: &str = r#"
exec python3 -c '
import socket, sys
held = []
for family, all, far in (socket.AF_INET, "0.0.0.0", "192.0.2.1"), (socket.AF_INET6, "::", "2001:db8::1"):
    try:
        held.append(socket.create_server((all, 0), family=family))
        print("port", held[-1].getsockname()[1])
        # Connecting a datagram socket sends nothing.
        way = socket.socket(family, socket.SOCK_DGRAM)
        way.connect((far, 9))
        print("address", way.getsockname()[0])
    except OSError:
        pass
print(flush=True)
sys.stdin.read()
'
"#;

/// Remembers when the network was last found safe.
#[derive(Debug, Clone, Default)]
pub(super) struct Egress {
    passed: Arc<Mutex<Option<Instant>>>,
}

impl Egress {
    /// Refuses while a container in the network can reach this host, or this process, which may be in a container itself.
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
    let ours = Open { ports, addresses: own_addresses().iter().map(IpAddr::to_string).collect() };
    let labels = Labels::new(&engine.config.owner, spec);
    // Engine and process need not be in one network: both are tried.
    let host = timed(engine, doing, HostListener::start(engine, &labels, doing)).await?;
    let mut request = [&ours, &host.open].map(Open::targets).concat();
    if host.open.ports.is_empty() {
        return Err(engine::failed(doing, "this host gave no port to try"));
    }
    request.push('\n');

    let mut body = container::powerless(&engine.config.runner_image, &labels, TRY, []);
    container::join(&mut body, &engine.config.egress_network);
    let mut tester = engine.launch(doing, labels.name("egress"), body).await?;
    let talk = async {
        tester.input.write_all(request.as_bytes()).await?;
        tester.input.flush().await?;
        Ok::<_, std::io::Error>(engine::read_all(&mut tester.output).await)
    };
    let answer = timed(engine, doing, async { talk.await.map_err(|error| engine::failed(doing, error)) }).await?;
    if !answer.lines().any(|line| line == "tried") {
        return Err(engine::failed(doing, format!("its answer was `{}`", answer.trim())));
    }
    // All was read to its end, so it removes itself: a program that ends now is not to be in the way of that.
    tester.presence.ended();
    host.end(doing, engine).await?;
    let reached: BTreeSet<_> =
        answer.lines().filter_map(|line| line.strip_prefix("reached ")).map(str::to_owned).collect();
    Ok(reached.into_iter().collect())
}

/// What a test would find if nothing guarded it.
#[derive(Debug, Default)]
struct Open {
    ports: BTreeSet<u16>,
    addresses: BTreeSet<String>,
}

impl Open {
    /// A line for each address and port, and the gateway of whoever tries.
    fn targets(&self) -> String {
        let addresses = self.addresses.iter().map(String::as_str).chain(["gateway"]);
        addresses.flat_map(|address| self.ports.iter().map(move |port| format!("{address} {port}\n"))).collect()
    }

    /// From what [`LISTEN`] prints.
    fn of(text: &str) -> Self {
        let all = |word: &'static str| text.lines().filter_map(move |line| line.strip_prefix(word)?.strip_prefix(' '));
        Self {
            ports: all("port").filter_map(|port| port.parse().ok()).collect(),
            addresses: all("address").map(str::to_owned).collect(),
        }
    }
}

/// Listens in the network of the engine's host.
struct HostListener {
    container: Attached,
    open: Open,
}

impl HostListener {
    async fn start(engine: &Engine, labels: &Labels, doing: &'static str) -> Result<Self, SandboxError> {
        let mut body = container::powerless(&engine.config.runner_image, labels, LISTEN, []);
        container::join(&mut body, "host");
        body.hostname = None;
        // Where the engine gives containers users of their own, those of others may not have its network.
        body.host_config.get_or_insert_default().userns_mode = Some("host".to_owned());
        let mut container = engine.launch(doing, labels.name("egress-host"), body).await?;
        let mut text = Vec::new();
        while !text.ends_with(b"\n\n") && text != b"\n" {
            match container.output.next().await {
                Some(Ok(frame)) => text.extend_from_slice(frame.as_ref()),
                _ => {
                    let said = String::from_utf8_lossy(&text);
                    return Err(engine::failed(
                        doing,
                        format!("nothing listens in the network of its host: `{}`", said.trim()),
                    ));
                }
            }
        }
        Ok(Self { container, open: Open::of(&String::from_utf8_lossy(&text)) })
    }

    /// Ends with its input, and removes itself.
    async fn end(self, doing: &str, engine: &Engine) -> Result<(), SandboxError> {
        let Attached { mut input, mut output, mut presence, .. } = self.container;
        let ending = async {
            input.shutdown().await.map_err(|error| engine::failed(doing, error))?;
            Ok(engine::read_all(&mut output).await)
        };
        timed(engine, doing, ending).await?;
        presence.ended();
        Ok(())
    }
}

async fn timed<T>(
    engine: &Engine,
    doing: &str,
    work: impl Future<Output = Result<T, SandboxError>>,
) -> Result<T, SandboxError> {
    let late = |_| Err(engine::failed(doing, "it did not answer in time"));
    tokio::time::timeout(engine.config.call_timeout, work).await.unwrap_or_else(late)
}

/// The addresses that this process uses towards the world. Connecting a datagram socket sends nothing.
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
