# shellcheck shell=dash disable=SC2016
# What runs in a lane's checkout container: it prepares the workspace, and never runs a line of the tested code.
#
#   sh -c THIS bisectd UID HOME          HOME: `archive` unpacks the runner image's own home, else it stays bare
#
# Starts as root with the few capabilities that volumes need; git runs as the lane's user. Each line on standard
# input is one request, `TAG checkout SHA`, `TAG usage` or `TAG reset`; each answer is one line, `TAG ok …` or
# `TAG failed …`. Input that ends (the server is gone) ends the container.

uid=$1 home=$2
work=/bisect/work
set -f
umask 022
exec 4>&1 >/dev/null 2>&1

as_lane() {
  setpriv --reuid="$uid" --regid="$uid" --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs -- "$@" </dev/null
}

answer() {
  printf '%s\n' "$*" >&4
}

# The one line in which a failure is told.
reason() {
  tail -c 2000 "$1" | tr '\n\t' '  ' | tr -d '\000-\037'
}

fill_home() {
  as_lane sh -c '
    [ "$1" != archive ] || [ ! -e /opt/bisect/home.tar ] || tar -C /bisect/home -xf /opt/bisect/home.tar
    printf "[safe]\n\tdirectory = *\n" >/bisect/home/.gitconfig
  ' sh "$home"
}

open_lane() {
  as_lane sh -c '
    set -e
    git init -q --template= .
    mkdir -p "$GIT_DIR/objects/info"
    echo /bisect/mirror/objects >"$GIT_DIR/objects/info/alternates"
    # So that `git describe` in a test finds tags. Written, not fetched: nothing is copied but names.
    git --git-dir=/bisect/mirror for-each-ref --format="%(objectname) %(refname)" refs/tags refs/heads |
      sed "s, refs/heads/, refs/remotes/origin/," >"$GIT_DIR/packed-refs"
  '
}

empty() {
  find "$1" -xdev -mindepth 1 -maxdepth 1 ! -path /bisect/work/.git -exec rm -rf -- {} +
}

check_out() {
  as_lane sh -c '
    rm -f "$GIT_DIR/index.lock" "$GIT_DIR/HEAD.lock"
    [ -z "$2" ] || git diff-index -z --name-only "$1" -- >>"$GIT_DIR/changed"
    git checkout -qf --detach "$1" -- && git clean -qffd || exit 1
    if [ -n "$2" ]; then
      # Complains about a file whose folder is gone, which is as it should be.
      xargs -0r touch -c -h -d "@$2" -- <"$GIT_DIR/changed" 2>/dev/null
      git update-index -q --refresh
      rm "$GIT_DIR/changed"
    fi
    # git never cleans inside a submodule folder, populated or not.
    git ls-files -s | grep -q ^160000 || exit 0
    git ls-files -sz | sed -zn "s/^160000 [0-9a-f]* 0\t//p" | xargs -0r sh -c "rm -rf -- \"\$@\" && mkdir -p -- \"\$@\"" sh
  ' sh "$1" "$ahead"
}

# Each try is rougher than the one before: what a test leaves behind may be unwritable, too deep for git, or worse.
check_out_somehow() {
  check_out "$1" 2>/dev/null && return
  as_lane chmod -R u+rwX "$work"
  check_out "$1" 2>/dev/null && return
  empty "$work"
  rm -f "$GIT_DIR/index"
  check_out "$1" 2>/tmp/reason
}

# The second that no file of an earlier checkout is younger than.
stamp=0

# Python takes its compiled file for current when second and length of the source are the same, so two commits checked
# out within one second must not look alike: what the later one changes gets a second of its own. That may lie a
# little ahead, which makes build tools build once too often, never once too few.
check_out_in_its_own_second() {
  ahead=
  [ "$(date +%s)" -gt "$stamp" ] || ahead=$((stamp + 1))
  check_out_somehow "$1" || return
  stamp=${ahead:-$(date +%s)}
}

usage() {
  used=$(du -scxB1 /bisect/work /bisect/home | tail -n 1)
  free=$(df -B1 --output=avail /bisect/work | tail -n 1)
  if [ -n "$used" ]; then answer "$1 ok ${used%%[!0-9]*} $free"; else answer "$1 failed"; fi
}
measuring=

cd "$work" || exit 1
chown "$uid:$uid" /bisect/work /bisect/work/.git /bisect/home
fill_home &
filling=$!
if open_lane 2>/tmp/reason && wait "$filling"; then answer "0 ok"; else answer "0 failed $(reason /tmp/reason)"; fi

while read -r tag request argument; do
  case $request in
    usage)
      usage "$tag" &
      measuring=$!
      ;;
    checkout)
      # A measurement of a large tree takes its time; its answer is no longer wanted.
      [ -z "$measuring" ] || ! kill -0 "$measuring" || pkill -x du
      measuring=
      if check_out_in_its_own_second "$argument"; then answer "$tag ok"; else answer "$tag failed $(reason /tmp/reason)"; fi
      ;;
    reset)
      if empty /bisect/work && rm -f "$GIT_DIR/index" && empty /bisect/home && fill_home; then
        answer "$tag ok"
      else
        answer "$tag failed the workspace could not be emptied"
      fi
      ;;
  esac
done
