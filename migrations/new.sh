#!/usr/bin/env bash
# `make migration NAME=add_something`: writes an empty pair migrations/YYYYMMDDHHMMSS_add_something.{up,down}.sql (UTC).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

name=${1:-}
if [[ ! $name =~ ^[a-z][a-z0-9]*(_[a-z0-9]+)*$ || ${#name} -gt 60 ]]; then
  echo "NAME must be lower-case words joined by underscores, such as: make migration NAME=add_probe_seconds (got '$name')" >&2
  exit 2
fi
existing=$(find . -name "[0-9]*_$name.up.sql" -print -quit)
if [[ -n $existing ]]; then
  echo "there is a migration of that name already: migrations/${existing#./}" >&2
  exit 2
fi
version=$(date --utc +%Y%m%d%H%M%S)
# Versions order the migrations, so a new one must come last, whatever this machine's clock says.
newest=$(find . -name '[0-9]*.up.sql' -printf '%f\n' | sort | tail -n 1)
if [[ -n $newest && ! $version > ${newest%%_*} ]]; then
  echo "migrations/$newest is newer than this machine's clock ($version); put the clock right, or rename one of them" >&2
  exit 2
fi
printf -- '-- %s: what it is for.\n' "$name" >"${version}_$name.up.sql"
printf -- '-- Takes back %s_%s.up.sql, over a database that holds rows.\n' "$version" "$name" >"${version}_$name.down.sql"
printf 'migrations/%s\n' "${version}_$name.up.sql" "${version}_$name.down.sql"
