//! What the network gives: nothing, or the public internet without this host.

use super::world::{World, commit, probe};
use bisect_shared::Ending;
use bisectd::sandbox::{Network, Sandbox, SandboxError, docker::DockerConfig};
use std::net::TcpListener;

/// Tries every address it can think of and prints what it could connect to.
const REACH: &str = r#"
import socket, subprocess, sys
ports = [int(port) for port in sys.argv[1:]]
route = open('/proc/net/route').read().split('\n')[1:]
gateways = ['.'.join(str(int(hexa[i:i + 2], 16)) for i in (6, 4, 2, 0)) for hexa in (line.split()[2] for line in route if line) if hexa != '00000000']
print('gateways', gateways)
hosts = gateways + ['172.17.0.1', '172.18.0.1', '10.0.0.1', '192.168.0.1', '192.168.1.1', '169.254.169.254', '127.0.0.1', '::1', 'fe80::1', 'fd00::1', '64:ff9b::a9fe:a9fe', 'fd00:ec2::254']
found = []
for host in hosts:
    for port in ports + [22, 53, 80, 2375]:
        family = socket.AF_INET6 if ':' in host else socket.AF_INET
        s = socket.socket(family, socket.SOCK_STREAM)
        s.settimeout(0.1)
        try:
            s.connect((host, port))
            found.append((host, port))
        except OSError:
            pass
print('found', found)
sys.exit(len(found))
"#;

/// Two ports of this host that answer, were it not for the sandbox.
fn listening() -> (Vec<TcpListener>, Vec<String>) {
    let listeners = vec![TcpListener::bind("0.0.0.0:0").unwrap(), TcpListener::bind("[::]:0").unwrap()];
    let ports = listeners.iter().map(|listener| listener.local_addr().unwrap().port().to_string()).collect();
    (listeners, ports)
}

async fn reach(network: Network) -> (Ending, String) {
    let world = World::new();
    let (_listeners, ports) = listening();
    let mut command = vec!["python3", "-c", REACH];
    command.extend(ports.iter().map(String::as_str));
    let mut spec = world.spec(&command);
    spec.network = network;
    world.sandbox.check(&spec).await.unwrap();
    let mut lane = world.lane(spec).await;
    let probed = probe(&mut *lane, commit("calm")).await;
    world.end(lane).await;
    (probed.ending(), probed.text())
}

#[tokio::test]
async fn none_is_nothing_at_all() {
    let (ending, output) = reach(Network::None).await;
    assert_eq!(ending, Ending::Exited(0), "{output}");
    assert!(output.contains("gateways []"), "{output}");
}

/// Tests that talk to a server of their own are the rule: `localhost` is there, by name, in both families.
#[tokio::test]
async fn none_has_a_localhost_of_its_own() {
    let world = World::new();
    let talk = "import os, socket
assert os.listdir('/sys/class/net') == ['lo'], os.listdir('/sys/class/net')
for family in (socket.AF_INET, socket.AF_INET6):
    server = socket.socket(family)
    server.bind(('localhost', 8080))
    server.listen()
    socket.create_connection(server.getsockname()[:2]).send(b'x')
    assert server.accept()[0].recv(1) == b'x'
assert len(socket.getaddrinfo('localhost', 80, type=socket.SOCK_STREAM)) == 2";
    let mut lane = world.lane(world.spec(&["python3", "-c", talk])).await;
    for tag in ["calm", "quiet"] {
        let probed = probe(&mut *lane, commit(tag)).await;
        assert_eq!(probed.ending(), Ending::Exited(0), "{}", probed.text());
    }
    world.end(lane).await;
}

#[tokio::test]
async fn egress_reaches_neither_this_host_nor_private_ranges() {
    let (ending, output) = reach(Network::Egress).await;
    assert_eq!(ending, Ending::Exited(0), "{output}");
    // There is a network, so that the above says something.
    assert!(output.contains("gateways ['"), "{output}");
}

/// Docker's own bridge has no rules: the self-test must see it, and say what to do.
#[tokio::test]
async fn egress_is_refused_while_the_host_can_be_reached() {
    let world = World::with(DockerConfig {
        egress_network: "bridge".to_owned(),
        egress_bridge: "docker0".to_owned(),
        ..DockerConfig::default()
    });
    let mut spec = world.spec(&["true"]);
    spec.network = Network::Egress;
    let refused = world.sandbox.check(&spec).await;
    let Err(SandboxError::Unusable(message)) = refused else { panic!("{refused:?}") };
    assert!(message.contains("docker/egress-rules.sh up docker0"), "{message}");
    world.left_nothing_soon().await;
}
