#!/usr/bin/env bash
# Restores a backup of backup.sh into an empty database, all or nothing.
#
#   restore.sh FILE        DATABASE_DIRECT_URL, else DATABASE_URL, names the database
set -euo pipefail

die() {
  printf 'restore: %s\n' "$*" >&2
  exit 1
}

[[ $# -eq 1 ]] || die "usage: restore.sh FILE"
file=$1
[[ -r $file ]] || die "$file cannot be read"
url=${DATABASE_DIRECT_URL:-${DATABASE_URL:-}}
[[ -n $url ]] || die "neither DATABASE_DIRECT_URL nor DATABASE_URL is set"
if [[ $url =~ ^(postgres(ql)?://[^:@/]*):([^@]*)@(.*)$ ]]; then
  url=${BASH_REMATCH[1]}@${BASH_REMATCH[4]}
  PGPASSWORD=$(printf '%b' "${BASH_REMATCH[3]//%/\\x}")
  export PGPASSWORD
fi
gzip --test "$file" || die "$file is not a whole backup"
tables=$(psql --no-psqlrc --tuples-only --no-align --dbname "$url" \
  --command "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") || die "the database does not answer (see above)"
((tables == 0)) || die "the database is not empty: it has $tables tables; create a new one and name that"
gzip --decompress --stdout "$file" | psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --single-transaction --dbname "$url" >/dev/null ||
  die "nothing was restored (the first error is above)"
printf 'restore: done; now: bisectd migrate status\n'
