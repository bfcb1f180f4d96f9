#!/usr/bin/env bash
# Fetches what the browser's and the API's tests check with, into a folder of the user's cache: axe-core (accessibility, from the npm
# registry) and schemathesis (the API against its own description, from PyPI). A second run changes nothing.
#
#   docker/test-tools.sh           fetch what is missing, and say where it is
#   docker/test-tools.sh --check   exit 1 when something is missing
#
# BISECT_TEST_TOOLS names another folder; the tests look there, too.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tools=${BISECT_TEST_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/bisect-bot/test-tools}
axe_version=4.14.1
requirements=$here/test-tools.txt

say() { printf 'test-tools: %s\n' "$*"; }
die() {
  printf 'test-tools: %s\n' "$*" >&2
  exit 1
}

# has NAME VERSION: whether that version is there, whole: its stamp is written last.
has() { [[ $(cat "$tools/$1/VERSION" 2>/dev/null || true) == "$2" ]]; }

fetch_axe() {
  local folder
  command -v npm >/dev/null || die "npm is missing; docker/setup.sh --tests installs it"
  say "fetching axe-core $axe_version from the npm registry"
  folder=$(mktemp -d)
  # npm checks what comes against the registry's own hash of it.
  (cd "$folder" && npm pack --silent "axe-core@$axe_version" >/dev/null && tar -xzf axe-core-*.tgz) ||
    die "axe-core $axe_version cannot be had from the npm registry"
  rm -rf "$tools/axe-core"
  mkdir -p "$tools/axe-core"
  cp "$folder/package/axe.min.js" "$folder/package/LICENSE" "$tools/axe-core/"
  rm -rf "$folder"
  printf '%s\n' "$axe_version" >"$tools/axe-core/VERSION"
}

fetch_schemathesis() {
  local log
  say "fetching schemathesis from PyPI"
  log=$(mktemp)
  rm -rf "$tools/schemathesis"
  mkdir -p "$tools"
  if ! { python3 -m venv "$tools/schemathesis" &&
    "$tools/schemathesis/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --requirement "$requirements"; } \
    >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    die "schemathesis could not be installed (the last lines are above)"
  fi
  rm -f "$log"
  printf '%s\n' "$wanted" >"$tools/schemathesis/VERSION"
}

wanted=$(sha256sum <"$requirements")
if [[ ${1:-} == --check ]]; then
  has axe-core "$axe_version" || die "axe-core is missing in $tools"
  has schemathesis "$wanted" || die "schemathesis is missing in $tools"
  exit 0
fi
[[ -z ${1:-} ]] || die "unknown argument $1 (--check is known)"
has axe-core "$axe_version" || fetch_axe
has schemathesis "$wanted" || fetch_schemathesis
