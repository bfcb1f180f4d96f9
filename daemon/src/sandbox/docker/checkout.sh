# shellcheck shell=dash disable=SC2016
# What runs in a job's checkout container: it prepares the lanes' workspaces, and never runs a line of the tested code.
#
#   sh -c THIS bisectd HOME          HOME: `archive` unpacks the runner image's own home, else homes stay bare
#
# Starts as root with the few capabilities that the lanes' directories need; git runs as the lane's user, by whose
# number the directory is named. Each line on standard input is one request, `TAG open UID`, `TAG checkout UID SHA`,
# `TAG usage UID FILES`, `TAG reset UID` or `TAG remove UID`; each answer is one line, `TAG ok …` or `TAG failed …`. Requests
# are served side by side: whoever asks waits for the answer before the next request for a lane (`usage` excepted).
# Input that ends (the server is gone) ends the container.
#
#   /tmp                      root's
#   /bisect/lanes             root's, to be passed through only
#   /bisect/lanes/UID         root's, to be passed through by UID only; holds root's `stamp`
#   /bisect/lanes/UID/{work,git,home}          all that the lane's user has, and all that its test containers see

home_kind=$1
set -f
umask 022
exec 4>&1 >/dev/null 2>&1

# The kernel must choose what runs there, never this shell, when memory runs out.
as_lane() {
  (
    echo 1000 >/proc/self/oom_score_adj
    exec setpriv --reuid="$uid" --regid="$uid" --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs -- "$@" </dev/null
  )
}

answer() {
  printf '%s\n' "$tag $*" >&4
}

# The one line in which a failure is told.
reason() {
  tail -c 2000 "$told" | tr '\n\t' '  ' | tr -d '\000-\037'
}

fill_home() {
  as_lane sh -c '
    [ "$1" != archive ] || [ ! -e /opt/bisect/home.tar ] || tar -C "$2" -xf /opt/bisect/home.tar
    printf "[safe]\n\tdirectory = *\n" >"$2/.gitconfig"
  ' sh "$home_kind" "$home"
}

# By hand, for `git init` would write down that the workspace is here, where no test container has it.
make_repository() {
  as_lane sh -c '
    set -e
    cd "$GIT_DIR"
    mkdir -p objects/info objects/pack refs/heads refs/tags
    echo "ref: refs/heads/master" >HEAD
    printf "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n" >config
    echo /bisect/mirror/objects >objects/info/alternates
    # So that `git describe` in a test finds tags. Written, not fetched: nothing is copied but names.
    git --git-dir=/bisect/mirror for-each-ref --format="%(objectname) %(refname)" refs/tags refs/heads |
      sed "s, refs/heads/, refs/remotes/origin/," >packed-refs
  '
}

# Docker may have made the directories already, for the lane's first test container, but nothing has run there yet.
# The lane's own comes first: nobody else ever passes.
open_lane() {
  mkdir -p "$work/.git" "$GIT_DIR" "$home" && chown "0:$uid" "$lane" && chmod 0710 "$lane" &&
    chown "$uid:$uid" "$work" "$work/.git" "$GIT_DIR" "$home" || return
  fill_home &
  make_repository && wait "$!"
}

empty() {
  find "$1" -xdev -mindepth 1 -maxdepth 1 ! -path "$work/.git" -exec rm -rf -- {} +
}

# git reads rules (.gitattributes, .gitignore) from the disk where the index has none, and takes a folder that is now a
# link for the folder it was. So before a checkout go: every rule that is not tracked, in ignored folders too, for the
# next commit may have other ignore rules; tracked ones that were changed, which come back; links where the commit has
# folders. The price: a cache that only ignores itself, such as .pytest_cache, does not survive, for nothing tells it
# from a plant. What cannot be looked into ends this try: git reads a file by its name where nobody can list a folder.
forget_planted='
  cd "$GIT_WORK_TREE" && find . -path ./.git -prune -o \( -type l -fprintf "$GIT_DIR/links" "%P\0" , \
    ! -type d \( -name .gitattributes -o -name .gitignore \) -fprintf "$GIT_DIR/rules" "%P\0" \) || exit 1
  export LC_ALL=C
  if [ -s "$GIT_DIR/links" ]; then
    git ls-tree -rdz --name-only "$1" | sort -z >"$GIT_DIR/own"
    sort -z "$GIT_DIR/links" | comm -z -12 - "$GIT_DIR/own" | xargs -0r rm -f -- || exit 1
  fi
  if [ -s "$GIT_DIR/rules" ]; then
    set -- ":(glob)**/.gitattributes" ":(glob)**/.gitignore"
    git ls-files -z -- "$@" | sort -z >"$GIT_DIR/own"
    sort -z "$GIT_DIR/rules" | comm -z -23 - "$GIT_DIR/own" | xargs -0r rm -f -- || exit 1
    git diff-files -qz --name-only -- "$@" | xargs -0r rm -rf -- || exit 1
  fi
  rm -f "$GIT_DIR/links" "$GIT_DIR/rules" "$GIT_DIR/own"
'

check_out() {
  as_lane sh -c '
    cd "$GIT_WORK_TREE" || exit 1
    rm -f "$GIT_DIR/index.lock" "$GIT_DIR/HEAD.lock"
    [ ! -e "$GIT_DIR/index" ] || sh -c "$3" sh "$1" || exit 1
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
  ' sh "$1" "$ahead" "$forget_planted"
}

# Each try is rougher than the one before: what a test leaves behind may be unwritable, too deep for git, or worse.
check_out_somehow() {
  check_out "$1" 2>/dev/null && return
  as_lane chmod -R u+rwX "$work"
  check_out "$1" 2>/dev/null && return
  empty "$work"
  rm -f "$GIT_DIR/index"
  check_out "$1" 2>"$told"
}

# Python takes its compiled file for current when second and length of the source are the same, so two commits checked
# out within one second must not look alike: what the later one changes gets a second of its own. That may lie a
# little ahead, which makes build tools build once too often, never once too few. The `stamp` is the second that no
# file of an earlier checkout is younger than.
check_out_in_its_own_second() {
  ahead= stamp=0
  [ ! -e "$lane/stamp" ] || read -r stamp <"$lane/stamp"
  [ "$(date +%s)" -gt "$stamp" ] || ahead=$((stamp + 1))
  check_out_somehow "$1" || return
  echo "${ahead:-$(date +%s)}" >"$lane/stamp"
}

# USED FILES FREE FREE_FILES, of workspace and home, and of the file system. Beyond FILES nothing more is looked at, so
# this ends soon however many there are. Each name of a file counts for its part of it.
usage() {
  find "$work" "$home" -xdev -printf '%y %b %n\n' | awk -v most="$1" '
    { files++; used += $1 == "d" ? $2 : $2 / $3 }
    files > most { exit }
    END { printf "%.0f %.0f", used * 512, files }
  ' >"/tmp/$tag.used" &
  echo "$!" >"$measuring"
  wait "$!"
  rm -f "$measuring"
  used=$(cat "/tmp/$tag.used")
  rm -f "/tmp/$tag.used"
  free=$(df -B1 --output=avail,iavail,itotal "$work" | tail -n 1)
  # shellcheck disable=SC2086 # to be split
  set -- $used $free
  # Both folders at least. A file system that counts no files says that it has none, or a dash.
  if [ "$#" -eq 5 ] && [ "$2" -ge 2 ]; then
    [ "$5" != 0 ] || set -- "$1" "$2" "$3" -
    answer ok "$1 $2 $3 $4"
  else
    answer failed
  fi
}

# A measurement of a large tree takes its time; its answer is no longer wanted.
stop_measuring() {
  [ -e "$measuring" ] && read -r pid <"$measuring" && read -r name <"/proc/$pid/comm" && [ "$name" = awk ] && kill "$pid"
}

serve() {
  tag=$1 uid=$3
  lane=/bisect/lanes/$uid told=/tmp/$1.told measuring=/tmp/$3.measuring
  work=$lane/work home=$lane/home
  export GIT_DIR="$lane/git" GIT_WORK_TREE="$work"
  case $2 in
    usage) usage "$4" ;;
    open) if open_lane 2>"$told"; then answer ok; else answer failed "$(reason)"; fi ;;
    checkout)
      stop_measuring
      if check_out_in_its_own_second "$4"; then answer ok; else answer failed "$(reason)"; fi
      ;;
    reset)
      if empty "$work" && rm -f "$GIT_DIR/index" && empty "$home" && fill_home; then
        answer ok
      else
        answer failed 'the workspace could not be emptied'
      fi
      ;;
    remove)
      # First of all, nobody but root passes any more.
      if chmod 0700 "$lane" && rm -rf --one-file-system -- "$lane"; then answer ok; else answer failed 'it stays'; fi
      ;;
  esac
  rm -f "$told"
}

# No lane's user can put anything in the way of what follows.
chmod 0700 /tmp && chmod 0711 /bisect/lanes || exit 1
echo '0 ok' >&4
while read -r tag request uid argument; do
  serve "$tag" "$request" "$uid" "$argument" &
  # Takes note of those that ended: nothing else here would.
  jobs
done
