#!/usr/bin/env bash
# `make demo`: finds, on a real history, the release in which a documented behaviour went away. Works from a fresh clone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

good=20.0 bad=HEAD expected=22.0
repository=.demo/packaging
# The whole test. It passes while packaging.version.LegacyVersion exists; the changelog says that 22.0 removed it. The package lies at the
# top of the tree up to 22.0, then in src/. -B: no .pyc files, which could outlive the sources they were made from.
code="import sys; sys.path[:0] = ['src', '.']; from packaging.version import LegacyVersion"
test=(python3 -B -c "$code")

step() { printf '\n\033[1m==> %s\033[0m\n' "$*"; }
[[ -t 1 ]] || step() { printf '\n==> %s\n' "$*"; }

step "1/4 What this machine needs (Docker, PostgreSQL, git, the image that tests run in)"
docker/setup.sh

step "2/4 Building bisectd"
cargo build --release --locked --package bisectd

step "3/4 A real history: the releases of the Python package 'packaging', one commit each"
demo/make-history.py --cache .demo/cache "$repository"
culprit=$(git -C "$repository" rev-parse --verify "$expected^{commit}")
count=$(git -C "$repository" rev-list --count "$good..$bad")

step "4/4 Which of $count releases removed packaging.version.LegacyVersion?"
printf 'Version %s has it, the newest has not. Each answer halves the rest. The same by hand:\n\n    ' "$good"
printf 'target/release/bisectd bisect %s %s %s -- \\\n      python3 -B -c "%s"\n\n' "$repository" "$good" "$bad" "$code"
# The report goes through tee, so progress (on the standard error) stays on the terminal as it is.
report=.demo/report.txt
status=0
target/release/bisectd bisect "$repository" "$good" "$bad" -- "${test[@]}" | tee "$report" || status=$?

if ((status != 0)); then
  printf '\ndemo: bisectd ended with exit code %d instead of 0 (culprit found and proven)\n' "$status" >&2
  exit 1
fi
if ! grep --quiet --fixed-strings "${culprit:0:7}" "$report"; then
  printf '\ndemo: the culprit is not %s, which is release %s\n' "${culprit:0:7}" "$expected" >&2
  exit 1
fi
printf '\nCulprit: %s, "%s". That is right, its changelog says: "Remove LegacySpecifier and LegacyVersion".\n' \
  "${culprit:0:7}" "$(git -C "$repository" log -1 --format=%s "$culprit")"
printf 'See the removal itself: git -C %s show %s -- packaging/version.py\n' "$repository" "$expected"
