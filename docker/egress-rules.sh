#!/usr/bin/env bash
# The firewall of the network that untrusted tests use: they reach the public internet, never this host, a private network or each other.
#
#   egress-rules.sh up BRIDGE      install or repair (at once per address family, so there is no moment without rules)
#   egress-rules.sh check BRIDGE   exit 0 when everything is as `up` leaves it; changes nothing
#   egress-rules.sh down BRIDGE    remove
#
#   RUNNER_EGRESS_BLOCK   ranges that are refused, separated by commas or spaces (default: all that are not public)
#   RUNNER_EGRESS_ALLOW   ranges that are let through before those; the host's own addresses stay closed
#   RUNNER_EGRESS_DNS     name servers open on port 53 (default: those of resolv.conf)
#
# Needs root in the host's network: on the host itself, or from the runner image with
# --user 0 --network host --cap-add NET_ADMIN --cap-add NET_RAW. It reads nothing but resolv.conf, so it can be piped into `bash -s`.
set -euo pipefail
# Debian keeps iptables in sbin, which the PATH of cron and of some service managers leaves out.
PATH=$PATH:/usr/sbin:/sbin

default_block='0.0.0.0/8,10.0.0.0/8,100.64.0.0/10,127.0.0.0/8,169.254.0.0/16,172.16.0.0/12,192.0.0.0/24,192.168.0.0/16,198.18.0.0/15'
default_block+=',224.0.0.0/4,240.0.0.0/4'
# 64:ff9b::/96 and 2002::/16 carry IPv4 addresses inside and would lead around the ranges above.
default_block+=',::/127,64:ff9b::/96,2002::/16,fc00::/7,fe80::/10,ff00::/8'

die() {
  printf 'egress-rules: %s\n' "$*" >&2
  exit 2
}

usage() { die "usage: egress-rules.sh up|check|down BRIDGE"; }

[[ $# -eq 2 ]] || usage
action=$1 bridge=$2
[[ $bridge =~ ^[A-Za-z0-9_.-]{1,15}$ ]] || die "BRIDGE must be an interface name of at most 15 characters, not '$bridge'"
[[ $EUID -eq 0 ]] || die "needs root (or the runner image with --user 0 --network host --cap-add NET_ADMIN --cap-add NET_RAW)"

to_host=BISECT-IN-$bridge
to_others=BISECT-FWD-$bridge

# --- what is asked for ----------------------------------------------------------------------------------------------------------------

# Prints the addresses among "$2" that belong to family $1 (4 or 6), one per line.
of_family() {
  local family=$1 address
  for address in ${2//,/ }; do
    if [[ $address == *:* ]]; then
      [[ $family == 4 ]] || printf '%s\n' "$address"
    else
      [[ $family == 6 ]] || printf '%s\n' "$address"
    fi
  done
}

# Ends the script when "$2" (from the variable $1) holds anything but ranges: iptables would look it up as a host name.
must_be_ranges() {
  local address
  for address in ${2//,/ }; do
    [[ $address =~ ^[0-9]+(\.[0-9]+){3}(/[0-9]+)?$ || ($address == *:* && $address =~ ^[0-9A-Fa-f:.]+(/[0-9]+)?$) ]] ||
      die "$1: '$address' is not an address range such as 10.0.0.0/8 or fc00::/7"
  done
}

# The name servers that containers are given. Docker never gives them a loopback one, but what stands behind systemd-resolved's.
name_servers() {
  if [[ -n ${RUNNER_EGRESS_DNS:-} ]]; then
    printf '%s' "$RUNNER_EGRESS_DNS"
    return
  fi
  local file=/etc/resolv.conf
  if grep -q '^nameserver 127\.0\.0\.53' "$file" && [[ -r /run/systemd/resolve/resolv.conf ]]; then
    file=/run/systemd/resolve/resolv.conf
  fi
  awk '$1 == "nameserver" && $2 !~ /^(127\.|::1$)/ { sub(/%.*/, "", $2); printf "%s%s", comma, $2; comma = "," }' "$file"
}

# The rules of family $1 for packets from the bridge to the host itself, without "-A CHAIN".
rules_to_host() {
  local server protocol
  for server in $(of_family "$1" "$dns"); do
    for protocol in udp tcp; do
      printf -- '-d %s -p %s -m %s --dport 53 -j RETURN\n' "$server" "$protocol" "$protocol"
    done
  done
  # Everything: no port, no ping, no neighbour discovery. (The network has no IPv6 of its own, so nothing needs the last.)
  printf -- '-j REJECT --reject-with %s\n' "$(refusal "$1")"
}

# The rules of family $1 for packets from the bridge that the host would forward.
rules_to_others() {
  local range server protocol
  # Docker's enable_icc=false does this too, but not once another tool has turned its rules around.
  printf -- '-o %s -j REJECT --reject-with %s\n' "$bridge" "$(refusal "$1")"
  for range in $(of_family "$1" "$allow"); do
    printf -- '-d %s -j RETURN\n' "$range"
  done
  for server in $(of_family "$1" "$dns"); do
    for protocol in udp tcp; do
      printf -- '-d %s -p %s -m %s --dport 53 -j RETURN\n' "$server" "$protocol" "$protocol"
    done
  done
  for range in $(of_family "$1" "$block"); do
    printf -- '-d %s -j REJECT --reject-with %s\n' "$range" "$(refusal "$1")"
  done
}

# Refused, not dropped: a test that tries fails at once, instead of after its connect timeout.
refusal() {
  if [[ $1 == 4 ]]; then echo icmp-admin-prohibited; else echo icmp6-adm-prohibited; fi
}

# --- what is there --------------------------------------------------------------------------------------------------------------------

# A kernel holds two sets of tables, iptables-nft's and iptables-legacy's. Docker's chains tell which one dockerd writes; ours must be
# among them, since in the other set they would be at no known place. The plain name comes first: on the host it is dockerd's own choice.
backend() {
  local suffix
  for suffix in '' -nft -legacy; do
    if command -v "iptables$suffix" >/dev/null && "iptables$suffix" -w 10 -S DOCKER-USER >/dev/null 2>&1; then
      printf '%s' "$suffix"
      return
    fi
  done
}

tables() {
  local family=$1
  shift
  if [[ $family == 4 ]]; then "iptables$suffix" -w 10 "$@"; else "ip6tables$suffix" -w 10 "$@"; fi
}

# Applies what function $2 prints for family $1 as one transaction. Printed first, applied then: iptables-legacy-restore locks the tables
# when it reads its first line, and the printing reads them.
apply() {
  local transaction
  transaction=$("$2" "$1")
  if [[ $1 == 4 ]]; then
    "iptables$suffix-restore" -w 10 --noflush <<<"$transaction"
  else
    "ip6tables$suffix-restore" -w 10 --noflush <<<"$transaction"
  fi
}

# Where packets to others pass first. Docker puts its own ACCEPT rules above anything of ours in FORWARD when it restarts; DOCKER-USER it
# leaves alone and always visits first. Older Docker does not manage IPv6 at all and has no such chain there.
forward_hook() {
  if tables "$1" -S DOCKER-USER >/dev/null 2>&1; then echo DOCKER-USER; else echo FORWARD; fi
}

# How often chain $2 of family $1 has the jump to $3.
count_jumps() {
  tables "$1" -S "$2" 2>/dev/null | grep -cFx -- "-A $2 -i $bridge -j $3" || true
}

# True when the jump from chain $2 to $3 exists, and nothing but jumps of other bridges' like it stand above.
jump_is_first() {
  local rule
  while read -r rule; do
    [[ $rule != "-A $2 -i $bridge -j $3" ]] || return 0
    [[ $rule =~ ^-A\ $2\ -i\ [^\ ]+\ -j\ BISECT-(IN|FWD)- ]] || return 1
  done < <(tables "$1" -S "$2" 2>/dev/null | grep '^-A')
  return 1
}

chain_is_right() {
  local family=$1 chain=$2 rules=$3 rule found=0 wanted=0
  while read -r -a rule; do
    tables "$family" -C "$chain" "${rule[@]}" 2>/dev/null || return 1
    wanted=$((wanted + 1))
  done <<<"$rules"
  found=$(tables "$family" -S "$chain" 2>/dev/null | grep -c '^-A')
  ((found == wanted))
}

# --- the three actions ----------------------------------------------------------------------------------------------------------------

check() {
  local family=$1 hook
  hook=$(forward_hook "$family")
  chain_is_right "$family" "$to_host" "$(rules_to_host "$family")" &&
    chain_is_right "$family" "$to_others" "$(rules_to_others "$family")" &&
    jump_is_first "$family" INPUT "$to_host" &&
    jump_is_first "$family" "$hook" "$to_others" &&
    { [[ $hook == FORWARD ]] || tables "$family" -C FORWARD -j DOCKER-USER 2>/dev/null; }
}

# Lines for iptables-restore that take every jump to our chains away, wherever it stands.
jump_removals() {
  local family=$1 from chain n
  for from in INPUT FORWARD DOCKER-USER; do
    for chain in "$to_host" "$to_others"; do
      for ((n = $(count_jumps "$family" "$from" "$chain"); n > 0; n--)); do
        printf -- '-D %s -i %s -j %s\n' "$from" "$bridge" "$chain"
      done
    done
  done
}

# The whole change at once: chains, old jumps out, new jumps in. A failure half-way would otherwise leave the bridge open.
up() {
  local family=$1
  printf '*filter\n:%s - [0:0]\n:%s - [0:0]\n' "$to_host" "$to_others"
  rules_to_host "$family" | sed "s/^/-A $to_host /"
  rules_to_others "$family" | sed "s/^/-A $to_others /"
  jump_removals "$family"
  printf -- '-I INPUT 1 -i %s -j %s\n' "$bridge" "$to_host"
  printf -- '-I %s 1 -i %s -j %s\n' "$(forward_hook "$family")" "$bridge" "$to_others"
  printf 'COMMIT\n'
}

down() {
  local family=$1 chain
  printf '*filter\n'
  jump_removals "$family"
  for chain in "$to_host" "$to_others"; do
    if tables "$family" -S "$chain" >/dev/null 2>&1; then
      printf -- '-F %s\n-X %s\n' "$chain" "$chain"
    fi
  done
  printf 'COMMIT\n'
}

dns=$(name_servers)
allow=${RUNNER_EGRESS_ALLOW:-}
block=${RUNNER_EGRESS_BLOCK:-$default_block}
must_be_ranges 'name server' "$dns"
must_be_ranges RUNNER_EGRESS_ALLOW "$allow"
must_be_ranges RUNNER_EGRESS_BLOCK "$block"
suffix=$(backend)
command -v "iptables$suffix" >/dev/null || die "iptables is missing. Run: apt-get install iptables"
families=(4)
# Without IPv6 in the kernel there is nothing to guard; ip6tables then fails on every call.
[[ ! -e /proc/net/if_inet6 ]] || families+=(6)

case $action in
  up | down)
    for family in "${families[@]}"; do
      apply "$family" "$action" || die "iptables refused the IPv$family rules of $bridge (its message is above); nothing was changed for IPv$family"
    done
    ;;
  check)
    for family in "${families[@]}"; do
      if ! check "$family"; then
        printf 'egress-rules: the IPv%s rules of %s are missing or not as wanted; egress-rules.sh up %s installs them\n' \
          "$family" "$bridge" "$bridge" >&2
        exit 1
      fi
    done
    ;;
  *) usage ;;
esac
