#!/usr/bin/env bash
# `make playground`: a small GitHub look-alike with an issue page, and one daemon that answers there. Works from a fresh clone; Ctrl-C
# ends both, and nothing is left. Arguments go to the look-alike:
#
#   demo/playground.sh                                a sample with a planted regression, on a free port
#   demo/playground.sh --listen 127.0.0.1:8010        on this port
#   demo/playground.sh --repository ~/src/project     a copy of your own repository
#
# PROFILE=dev builds faster and runs slower.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
  sed -n '2,9s/^# \{0,1\}//p' demo/playground.sh
  exit 0
fi
profile=${PROFILE:-release}
step() { printf '\n\033[1m==> %s\033[0m\n' "$*"; }
[[ -t 1 ]] || step() { printf '\n==> %s\n' "$*"; }

step "1/3 What this machine needs (Docker, PostgreSQL, git, the image that tests run in)"
docker/setup.sh

step "2/3 Building bisectd and the look-alike"
cargo build --profile "$profile" --locked --package bisectd --package github-lookalike

step "3/3 Starting"
programs=${CARGO_TARGET_DIR:-target}/${profile/#dev/debug}
# exec: the signals that end this script reach the program that cleans up.
exec "$programs/github-lookalike" playground --bisectd "$programs/bisectd" "$@"
