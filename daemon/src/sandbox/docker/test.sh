# shellcheck shell=dash
# What runs in a test container, as process 1 of its own process namespace: nothing in there can kill it, and when
# it ends everything in there is dead.
#
#   sh -c THIS bisectd DEADLINE HOME SETUP VOLUMES COUNT [NAME=VALUE…] COMMAND [ARGUMENT…]
#
# DEADLINE: seconds until the container ends by itself. HOME: `venv` when a Python environment has to be made with
# what the image has. SETUP: a script for `sh -c`, or nothing. VOLUMES: folders of limited size besides /tmp, one a line.
# COUNT: how many NAME=VALUE follow.
#
# This script's own environment is the image's, with no folder in its PATH that tested code can write: it waits while
# another commit is tested. What the command is to find in its environment is in the arguments, and goes to setup and
# command alone.
#
# Standard input: `go NONCE` runs setup and command, `last NONCE` does and ends this afterwards. Meanwhile `stop` ends them; any
# other line, or the input's end (the server is gone), ends this as well. Where `end` says that this stays, `stay` waits for
# another `go`.
# Standard error: `NONCE begin`, then `NONCE end setup|command CODE GUARDED FULL MEMORY STAYS`: the command never holds this
# stream, so that it cannot make it non-blocking. It may open it in /proc, though, so each word is on a line of its own.
# Standard output: what setup and command print, between a `begin` and a `done` of the same NONCE. Exit code: 0, or 75 when
# the input ended, so that nobody hears words.
#
# It stays only where the next commit finds what a new container has: no process, nothing in memory's folders, no socket
# that still waits for its time, nothing of System V, and nothing that was killed for memory.

deadline=$1 home=$2 setup=$3 volumes=$4 count=$5
shift 5
set -f
umask 022
exec 3<&0 </dev/null

# Docker's own SIGTERM when it stops, and whatever the command sends to its parent, must not end this shell with a
# code of its own. Subshells do not inherit these traps.
trap : HUP INT QUIT PIPE ALRM TERM
lost=0
trap 'lost=75' USR2

seconds() {
  read -r now _ </proc/uptime
  now=${now%%.*}
}
seconds
deadline=$((now + deadline))

# By their full names, for they are started with the command's PATH. A group of its own, so that a script's `kill 0`
# stays its own business.
env=$(command -v env) sh=$(command -v sh) setsid=$(command -v setsid)

# Where Docker knows no limit, programs that close every possible file before an `exec` take minutes. Not by Docker's
# own setting, which refuses to start at all where the engine itself may not have as many.
(ulimit -n 65536) 2>/dev/null && ulimit -n 65536

# run setup|command NAME=VALUE… COMMAND [ARGUMENT…]
# In the foreground: a shell starts its background jobs with SIGINT ignored, and tests of Ctrl-C would fail.
run() {
  (
    exec 3<&- 2>&1
    # The kernel must choose the command, never this shell, when memory runs out.
    { echo 1000 >/proc/self/oom_score_adj; } 2>/dev/null
    what=$1
    shift
    number=0 given=$#
    for word do
      if [ "$number" -eq "$count" ]; then
        # Either also keeps `env` from taking a command `A=B` for a variable.
        if [ -n "$setsid" ]; then set -- "$@" "$setsid" --; else set -- "$@" "$sh" -c 'exec "$@"' sh; fi
        [ "$what" = setup ] && { set -- "$@" "$sh" -c "$setup"; break; }
      fi
      set -- "$@" "$word"
      number=$((number + 1))
    done
    shift "$given"
    exec "$env" "$@"
  )
}

make_venv() {
  export HOME=/bisect/home LANG=C.UTF-8
  cd / && [ ! -e "$HOME/venv" ] && command -v python3 || return 0
  # With the image's own packages: what it has installed must stay importable.
  python3 -I -m venv --system-site-packages --without-pip "$HOME/venv" || { rm -rf "$HOME/venv"; return 0; }
  "$HOME/venv/bin/python" -I -c 'import pip' || return 0
  printf '#!/bin/sh\nexec "%s" -m pip "$@"\n' "$HOME/venv/bin/python" >"$HOME/venv/bin/pip"
  chmod 755 "$HOME/venv/bin/pip"
}
# Whether /tmp or another folder of limited size is full.
is_full() {
  IFS='
'
  # shellcheck disable=SC2046,SC2086 # to be split, at the ends of lines
  set -- $(df -Pk /tmp $volumes 2>/dev/null)
  IFS=' '
  for line do
    # shellcheck disable=SC2086 # at its spaces
    set -- $line
    case ${4:-} in '' | *[!0-9]*) ;; *) [ "$4" -lt 64 ] && return 0 ;; esac
  done
  return 1
}

# Whether this process is the only one. What has just been killed may take a moment, and is then taken note of, where it
# is not too much.
is_alone() {
  tries=0
  while set -- /proc/[0-9]* && [ $# -gt 1 ]; do
    tries=$((tries + 1))
    [ $# -lt 50 ] && [ "$tries" -lt 100 ] || return 1
    (:)
  done
}

# Empties a folder, unless there is much in it.
empty() {
  set -- "$1"/* "$1"/.[!.]* "$1"/..?*
  [ $# -lt 500 ] || return 1
  for it do
    { [ -e "$it" ] || [ -L "$it" ]; } || continue
    rm -rf -- "$it" && [ ! -e "$it" ] && [ ! -L "$it" ] || return 1
  done
}

# Whether nothing of System V is there.
none_is_shared() {
  for list in /proc/sysvipc/msg /proc/sysvipc/sem /proc/sysvipc/shm; do
    [ -r "$list" ] || continue
    # Below its heading.
    { read -r _; ! read -r _; } <"$list" || return 1
  done
}

# Whether no closed connection keeps its port busy. Where nothing runs any more, the engine's own name server listens.
no_port_is_busy() {
  for list in /proc/net/tcp /proc/net/tcp6; do
    [ -r "$list" ] || continue
    while read -r _ _ _ state _; do
      case $state in st | 0A) ;; *) return 1 ;; esac
    done <"$list"
  done
}

# Sets `memory`: 1 where the kernel has killed somebody here for memory, `unknown` where that cannot be seen.
look_for_memory() {
  memory=unknown
  for list in /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control; do
    [ -r "$list" ] || continue
    while read -r name number; do
      [ "$name" = oom_kill ] || continue
      memory=$((number > 0))
      return
    done <"$list"
  done
}

# Whether the next commit may run here as in a new container.
is_as_new() {
  set +f
  IFS='
'
  # shellcheck disable=SC2086 # one a line
  set -- /tmp /dev/shm /dev/mqueue $volumes
  IFS=' '
  new=1
  is_alone && none_is_shared && no_port_is_busy || new=0
  for folder do
    [ "$new" = 0 ] || empty "$folder" || new=0
  done
  set -f
  [ "$new" = 1 ]
}

# A program may have left the stream non-blocking, and it be full.
mark() {
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    printf '\036%s %s\n' "$nonce" "$1" && return
    sleep 0.1 || sleep 1
  done 2>/dev/null
  return 1
}

while :; do
  trap 'exit 0' USR1
  seconds
  (
    exec 3<&- >/dev/null 2>&1
    sleep "$((deadline > now ? deadline - now : 0))" && kill -USR1 1 && kill -KILL -1
  ) &

  read -r word nonce <&3 || exit 0
  case $word in go | last) ;; *) exit 0 ;; esac
  guarded=0
  trap 'guarded=1' USR1
  (
    exec >/dev/null 2>&1
    order=
    read -r order <&3 || kill -USR2 1
    [ "$order" = stop ] || kill -USR1 1
    kill -KILL -1
  ) &
  [ "$home" = venv ] && (exec 3<&- >/dev/null 2>&1; make_venv)

  mark begin
  printf '\n%s begin\n' "$nonce" >&2
  phase=command code=0
  if [ -n "$setup" ]; then
    run setup "$@"
    code=$?
    [ "$code" -eq 0 ] || phase=setup
  fi
  if [ "$code" -eq 0 ]; then
    run command "$@"
    code=$?
  fi

  # First of all, for the processes left may hold the last free pid, and this shell has to fork below.
  kill -KILL -1 2>/dev/null
  wait 2>/dev/null
  full=0
  [ "$code" -eq 0 ] || { is_full && full=1; }
  look_for_memory
  stays=0
  [ "$word $guarded $lost $full $memory" = 'go 0 0 0 0' ] && is_as_new 2>/dev/null && stays=1
  mark 'done' || stays=0
  printf '\n%s end %s %s %s %s %s %s\n' "$nonce" "$phase" "$code" "$guarded" "$full" "$memory" "$stays" >&2
  [ "$stays" = 1 ] && read -r word <&3 && [ "$word" = stay ] || exit "$lost"
done
