#!/usr/bin/env bash
# Proves with real containers what docker/egress-rules.sh promises: from the guarded network nothing of this host, of private networks
# or of other containers is reached. Prints one line per claim; exit 1 when one is broken.
#
#   docker/egress-selftest.sh [NETWORK]      NETWORK defaults to bisect-egress
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
network=${1:-bisect-egress}
image=bisect-runner:latest
label=bisect.egress-selftest=$$
failed=0

docker network inspect "$network" >/dev/null 2>&1 || {
  echo "egress-selftest: there is no network $network; docker/setup.sh creates it" >&2
  exit 2
}

# shellcheck disable=SC2317 # called by the trap
clean_up() { docker ps --quiet --filter "label=$label" | xargs --no-run-if-empty docker kill >/dev/null 2>&1 || true; }
trap clean_up EXIT

# in_container NETWORK ARGUMENT… runs egress-probe.py as an unprivileged user. IPv6 is switched on inside: Docker leaves it off in a
# network without it, but a test must not get further by any setting.
in_container() {
  local on=$1 sysctl=(--sysctl net.ipv6.conf.all.disable_ipv6=0)
  shift
  [[ $on != host ]] || sysctl=()
  docker run --rm --interactive --cap-drop ALL "${sysctl[@]}" --network "$on" --label "$label" "$image" python3 - "$@" <"$here/egress-probe.py"
}

# Starts a listener on network $1 and prints "CONTAINER PORT".
listener() {
  local id port sysctl=()
  [[ $1 == host ]] || sysctl=(--sysctl net.ipv6.conf.all.disable_ipv6=0)
  id=$(docker run --rm --detach --cap-drop ALL "${sysctl[@]}" --network "$1" --label "$label" "$image" \
    python3 -c "$(cat "$here/egress-probe.py")" listen)
  until port=$(docker logs "$id") && [[ -n $port ]]; do
    [[ $(docker inspect --format '{{.State.Running}}' "$id") == true ]] || exit 1
    sleep 0.1
  done
  printf '%s %s\n' "$id" "$port"
}

address_in() {
  docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$1"
}

# nothing_reached CLAIM TARGET…
nothing_reached() {
  local claim=$1 answered
  shift
  answered=$(in_container "$network" probe "$@")
  if [[ -z $answered ]]; then
    printf 'ok      %s (%d targets)\n' "$claim" $#
  else
    printf 'BROKEN  %s; reached: %s\n' "$claim" "${answered//$'\n'/ }"
    failed=1
  fi
}

read -r _ host_port < <(listener host)
read -r bridged bridged_port < <(listener bridge)
read -r neighbour neighbour_port < <(listener "$network")

# Every address of the host: from inside, link-local ones are tried on the container's own interface.
host_targets=()
open_from_bridge=()
while read -r interface address; do
  [[ $address != fe80:* ]] || address+=%eth0
  for port in "$host_port" 1 22 80 443 2375 5432 8000 65535; do
    host_targets+=("tcp:$address:$port")
  done
  host_targets+=("udp:$address:$host_port" "ping:$address")
  [[ $interface != docker0 || $address == *:* ]] || open_from_bridge=("tcp:$address:$host_port" "udp:$address:$host_port" "ping:$address")
done < <(in_container host addresses)
host_targets+=("tcp:ff02::1%eth0:$host_port" "ping:ff02::1%eth0")

# A test that cannot see an open host proves nothing: from Docker's ordinary bridge all of these must answer.
if ((${#open_from_bridge[@]})); then
  if (($(in_container bridge probe "${open_from_bridge[@]}" | wc -l) == ${#open_from_bridge[@]})); then
    echo "ok      the same attempts from an unguarded network do reach this host (so the test can see)"
  else
    echo "UNSURE  this host does not answer from an unguarded network either; another firewall hides what these rules do"
  fi
fi

nothing_reached "the host itself: every address, open and closed ports, UDP, ping, IPv4 and IPv6" "${host_targets[@]}"
nothing_reached "a container on Docker's default network" "tcp:$(address_in "$bridged"):$bridged_port" "ping:$(address_in "$bridged")"
nothing_reached "another container on the same network" "tcp:$(address_in "$neighbour"):$neighbour_port" "ping:$(address_in "$neighbour")"
nothing_reached "private and special ranges, and the cloud's metadata address" \
  tcp:169.254.169.254:80 tcp:10.0.0.1:80 tcp:10.255.255.1:443 tcp:172.16.0.1:80 tcp:172.31.255.1:80 tcp:192.168.0.1:80 tcp:192.168.1.1:22 \
  tcp:100.64.0.1:80 tcp:198.18.0.1:80 tcp:fd00::1:80 tcp:fd00:ec2::254:80 'tcp:fe80::1%eth0:80'

exit "$failed"
