#!/usr/bin/env bash
# Makes the Docker network NETWORK on the bridge BRIDGE, without traffic between containers, if it is not there.
#
#   egress-network.sh NETWORK BRIDGE
set -euo pipefail

[[ $# -eq 2 ]] || { printf 'usage: egress-network.sh NETWORK BRIDGE\n' >&2; exit 2; }
network=$1 bridge=$2
format='{{index .Options "com.docker.network.bridge.name"}} {{index .Options "com.docker.network.bridge.enable_icc"}}'
found=$(docker network inspect --format "$format" "$network" 2>/dev/null || true)
case $found in
  "$bridge false") ;;
  '')
    docker network create --driver bridge --opt "com.docker.network.bridge.name=$bridge" \
      --opt com.docker.network.bridge.enable_icc=false "$network" >/dev/null
    ;;
  *)
    printf 'egress-network: the network %s exists with other settings (%s); remove it: docker network rm %s\n' \
      "$network" "$found" "$network" >&2
    exit 1
    ;;
esac
