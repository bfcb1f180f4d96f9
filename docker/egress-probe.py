"""The two ends of docker/egress-selftest.sh, run inside containers of the runner image.

listen            opens a TCP and a UDP port on every address, prints the port, and answers until it is killed
probe TARGET…     tries each target (tcp:ADDRESS:PORT, udp:ADDRESS:PORT or ping:ADDRESS) and prints the ones that were reached
addresses         prints the interface and address of each address of this machine but loopback
"""

import concurrent.futures
import errno
import json
import socket
import struct
import subprocess
import sys
import threading

TIMEOUT = 1.5  # seconds; a refused packet is answered at once, only a dropped one takes this long


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def listen():
    # One dual-stack socket each, so that an IPv4 and an IPv6 address answer on the same port.
    tcp = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    port = tcp.getsockname()[1]
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    udp.bind(("::", port))

    def echo():
        while True:
            data, peer = udp.recvfrom(64)
            udp.sendto(data, peer)

    threading.Thread(target=echo, daemon=True).start()
    print(port, flush=True)
    while True:
        tcp.accept()[0].close()


def connect(kind, address, port):
    """Opens and connects a socket; a link-local address needs to know its interface."""
    sock = socket.socket(family_of(address), kind)
    sock.settimeout(TIMEOUT)
    sock.connect(socket.getaddrinfo(address, port, type=kind)[0][4])
    return sock


def ping(address):
    v6 = ":" in address
    protocol = socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP
    with socket.socket(family_of(address), socket.SOCK_DGRAM, protocol) as sock:
        sock.settimeout(TIMEOUT)
        echo_request = struct.pack("!BBHHH", 128 if v6 else 8, 0, 0, 0, 1)
        if not v6:  # the kernel fills in ICMPv6's checksum, not ICMP's
            echo_request = echo_request[:2] + struct.pack("!H", 0xFFFF - (0x0800 + 1)) + echo_request[4:]
        sock.sendto(echo_request, socket.getaddrinfo(address, 0)[0][4])
        sock.recv(64)


def reached(target):
    """True when anything of the target answered. A refused connection is an answer: it came from the target's own kernel."""
    kind, _, rest = target.partition(":")
    try:
        if kind == "ping":
            ping(rest)
            return True
        address, _, port = rest.rpartition(":")
        with connect(socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM, address, int(port)) as sock:
            if kind == "udp":
                sock.send(b"?")
                sock.recv(64)
        return True
    except ConnectionRefusedError:
        return True
    except TimeoutError:
        return False
    except OSError as error:
        if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES, errno.EADDRNOTAVAIL, errno.EINVAL):
            return False
        raise


def probe(targets):
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        for target, answer in zip(targets, pool.map(reached, targets)):
            if answer:
                print(target)


def addresses():
    links = json.loads(subprocess.run(["ip", "-json", "address"], check=True, capture_output=True).stdout)
    for link in links:
        for entry in link["addr_info"]:
            if link["ifname"] != "lo":
                print(link["ifname"], entry["local"])


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["listen"]:
            listen()
        case ["probe", *targets]:
            probe(targets)
        case ["addresses"]:
            addresses()
        case _:
            sys.exit(__doc__)
