#!/usr/bin/env bash
# Dumps the database through the direct URL, restores the dump into a PostgreSQL of its own, compares the rows of every table,
# and only then keeps it: FOLDER/bisect_<time>.sql.gz. Backups older than seven days go, once a new one is kept.
#
#   backup.sh FOLDER        DATABASE_DIRECT_URL, else DATABASE_URL, names the database
#
# The file holds its roles too, so it restores into an empty server as it is (restore.sh). Needs pg_dump and the server programs of
# PostgreSQL, of the database's major version or newer; root cannot run them.
set -euo pipefail
umask 077

say() { printf 'backup: %s\n' "$*"; }
die() {
  printf 'backup: %s\n' "$*" >&2
  exit 1
}

[[ $# -eq 1 ]] || die "usage: backup.sh FOLDER"
folder=$1 keep_days=7
[[ $EUID -ne 0 ]] || die "PostgreSQL does not run as root; use: systemctl start bisectd-backup (or runuser -u bisectd)"
[[ -d $folder && -w $folder ]] || die "$folder is no folder that $(id -un) may write into"
url=${DATABASE_DIRECT_URL:-${DATABASE_URL:-}}
[[ -n $url ]] || die "neither DATABASE_DIRECT_URL nor DATABASE_URL is set"

# An argument can be seen by every user of this machine: the password goes through the environment.
if [[ $url =~ ^(postgres(ql)?://[^:@/]*):([^@]*)@(.*)$ ]]; then
  url=${BASH_REMATCH[1]}@${BASH_REMATCH[4]}
  PGPASSWORD=$(printf '%b' "${BASH_REMATCH[3]//%/\\x}")
  export PGPASSWORD
fi

bin=$(find /usr/lib/postgresql -mindepth 3 -maxdepth 3 -path '*/bin/initdb' 2>/dev/null | sort -V | tail -n 1)
bin=${bin%/initdb}
[[ -n $bin ]] || die "the server programs of PostgreSQL are missing (they check the dump). Run: apt-get install postgresql"
# Those of the database's own version, where they are installed; newer ones do, older ones do not.
theirs=$("$bin/psql" --no-psqlrc --tuples-only --no-align --dbname "$url" --command 'SHOW server_version_num') ||
  die "the database does not answer (its message is above)"
theirs=$((theirs / 10000)) ours=${bin#/usr/lib/postgresql/}
[[ ! -x /usr/lib/postgresql/$theirs/bin/initdb ]] || bin=/usr/lib/postgresql/$theirs/bin
((theirs <= ${ours%%/*})) ||
  die "the database is PostgreSQL $theirs, and the newest programs here are of ${ours%%/*}: set postgresql_version: $theirs in secrets.yml and run the playbook"

work=$(mktemp -d)
part=$(mktemp "$folder/.bisect_XXXXXX.part")
clean_up() {
  [[ ! -e $work/data/postmaster.pid ]] || "$bin/pg_ctl" --pgdata "$work/data" --mode immediate --silent stop || true
  rm -rf "$work" "$part"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- dump -----------------------------------------------------------------------------------------------------------------------------

roles=$("$bin/psql" --no-psqlrc --tuples-only --no-align --dbname "$url" \
  --command "SELECT quote_ident(rolname) FROM pg_roles WHERE rolname LIKE 'bisect\_%' AND NOT rolcanlogin ORDER BY 1") ||
  die "the database does not answer (its message is above)"
{
  for role in $roles; do
    printf 'DO $$ BEGIN CREATE ROLE %s NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;\n' "$role"
    printf 'GRANT %s TO CURRENT_USER;\n' "$role"
  done
  # Only our schema: a hosted database (Supabase) has many of its own. And of rights only ours: it gives its own roles some on every
  # table, and to tables that come later, which nobody else has or may restore. A newer pg_dump sets what an older server does not know.
  "$bin/pg_dump" --no-owner --no-publications --no-subscriptions --schema public --dbname "$url" |
    awk '
      /^COPY .* FROM stdin;$/ { rows = 1 }
      rows { print; if ($0 == "\\.") rows = 0; next }
      /^CREATE SCHEMA public;$/ || /^COMMENT ON SCHEMA public / || /^ALTER DEFAULT PRIVILEGES / || /^SET transaction_timeout = / { next }
      /^(GRANT|REVOKE) .*;$/ && !/ (TO|FROM) (PUBLIC|bisect_[a-z_]+);$/ { next }
      { print }'
} | gzip >"$part"

# --- check ----------------------------------------------------------------------------------------------------------------------------

"$bin/initdb" --pgdata "$work/data" --username postgres --auth trust --encoding UTF8 --no-sync >"$work/log" 2>&1 ||
  { tail -n 5 "$work/log" >&2; die "the server that checks the dump could not be made"; }
"$bin/pg_ctl" --pgdata "$work/data" --log "$work/server.log" --silent --wait \
  --options "-c listen_addresses='' -c unix_socket_directories=$work -c fsync=off -c max_wal_size=4GB" start ||
  { tail -n 5 "$work/server.log" >&2; die "the server that checks the dump did not start"; }
unset PGPASSWORD
check() { "$bin/psql" --no-psqlrc --quiet --host "$work" --username postgres --dbname postgres "$@"; }
gzip --decompress --stdout "$part" | check --set ON_ERROR_STOP=1 >/dev/null || die "the dump cannot be restored (see above)"

# How many rows the dump says that a table has, and how many came back.
gzip --decompress --stdout "$part" |
  awk '/^COPY public\..* FROM stdin;$/ { table = $2; rows = 0; next } table && /^\\\.$/ { print table, rows; table = ""; next } table { rows++ }' |
  sort >"$work/dumped"
while read -r table _; do
  printf '%s %s\n' "$table" "$(check --tuples-only --no-align --command "SELECT count(*) FROM $table")"
done <"$work/dumped" >"$work/restored"
[[ -s $work/dumped ]] || die "the dump holds no table: is it the right database?"
diff "$work/dumped" "$work/restored" >&2 || die "the dump does not restore to what it holds (dumped <, restored >)"

# --- keep -----------------------------------------------------------------------------------------------------------------------------

backup=$folder/bisect_$(date +%Y%m%d_%H%M%S).sql.gz
mv --no-clobber "$part" "$backup"
find "$folder" -maxdepth 1 -name 'bisect_*.sql.gz' -mtime "+$keep_days" -delete
say "$backup: $(wc -l <"$work/dumped") tables, $(awk '{ n += $2 } END { print n + 0 }' "$work/dumped") rows, restored and compared"
