#!/usr/bin/env bash
# `make bench-noise`: the search of tests that fail by chance, simulated, and git_bayesect (PyPI) beside it. docs/benchmarks.md explains
# every number. About 40 minutes on two cores.
#
#   NOISE_SEEDS=100   that many searches for each row of the tables of 1,024 commits, three times as many for 128; 1,000 without
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=${CARGO_TARGET_DIR:-$PWD/target} seeds=${NOISE_SEEDS:-1000}
cargo build --quiet --release --locked --package bisectd --example noise
peer=$target/bench/git_bayesect
if ! "$peer/bin/python" -c 'import git_bayesect' 2>/dev/null; then
  python3 -m venv --clear "$peer"
  "$peer/bin/pip" install --quiet git_bayesect==1.2 numpy
fi

noise() {
  printf -- '--- noise %s\n' "$*"
  "$target/release/examples/noise" "$@"
}
noise $((3 * seeds)) 128
printf -- '--- git_bayesect, 128 commits\n'
"$peer/bin/python" -B bench/bayesect.py $((3 * seeds / 10)) 128
noise least
noise $((seeds / 2)) 128 3
noise calibration 400 128
noise "$seeds" 1024
printf -- '--- git_bayesect, 1,024 commits\n'
"$peer/bin/python" -B bench/bayesect.py $((3 * seeds / 10)) 1024
noise merges "$seeds" 1024
noise steps 10000
noise steps 100000
