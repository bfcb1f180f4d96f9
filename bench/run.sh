#!/usr/bin/env bash
# `make bench`: builds for release, measures beside `git bisect run`, prints the table. docs/benchmarks.md explains every number.
#
#   bench/run.sh [--record]         --record puts the table into docs/benchmarks.md
#   BENCH_RUNS=1 BENCH_ONLY=sleep   fewer culprits, only some cases
#   EVERY_RELEASE=0                 leave out demo/check-every-release.sh, which follows
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=${CARGO_TARGET_DIR:-$PWD/target}
cargo build --release --locked --package bisectd --bin bisectd --example picks --example schedule --example webhooks --example claims --example pages
cargo build --release --locked --package github-lookalike
cargo build --release --locked --package bisect-tui --bin bisect-tui --example frames
# exec is not used: a Ctrl-C must reach this shell as well, so that nothing more is started.
python3 -B bench/measure.py --programs "$target/release" --results "$target/bench" "$@"
if [[ ${EVERY_RELEASE:-all} != 0 ]]; then
  EVERY_RELEASE=all BISECTD="$target/release/bisectd" demo/check-every-release.sh
fi
