#!/usr/bin/env bash
# On the demo's real history: whichever release is planted as the culprit, `bisectd bisect` names the commit that `git bisect run` names.
#
#   demo/check-every-release.sh      6 releases, the first and the last possible ones among them
#   EVERY_RELEASE=all …              every release
#   BISECTD=path …                   a built bisectd; else target/release/bisectd is built
#
# Runs the tests as plain processes: they read one file of a published package and execute nothing of it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

wanted=${EVERY_RELEASE:-6}
[[ $wanted == all || $wanted =~ ^[1-9][0-9]*$ ]] || { printf 'EVERY_RELEASE must be a number or all, not %q\n' "$wanted" >&2; exit 2; }
if [[ -z ${BISECTD:-} ]]; then
  cargo build --release --locked --package bisectd
  BISECTD=${CARGO_TARGET_DIR:-target}/release/bisectd
fi
BISECTD=$(realpath "$BISECTD")

demo/make-history.py --cache .demo/cache .demo/packaging
work=$(mktemp -d)
# The private PostgreSQL runs as another user when we are root, and must be able to enter.
chmod 711 "$work"
trap 'rm -rf "$work"' EXIT
git clone --quiet --no-hardlinks .demo/packaging "$work/clone"
export DATA_DIR=$work/data
unset DATABASE_URL DATABASE_DIRECT_URL

mapfile -t commits < <(git -C "$work/clone" rev-list --reverse HEAD)
mapfile -t versions < <(git -C "$work/clone" log --reverse --format=%s | sed 's/.* //')
last=$((${#commits[@]} - 1))

# The planted culprits: all but the first commit, or so many of them at equal distances.
planted=()
if [[ $wanted == all ]] || ((wanted >= last)); then
  mapfile -t planted < <(seq 1 "$last")
else
  for ((i = 0; i < wanted; i++)); do
    planted+=($((wanted == 1 ? last : 1 + i * (last - 1) / (wanted - 1))))
  done
fi

# Fails from the planted release on. Which release a tree is comes from its own metadata; git is not asked.
# shellcheck disable=SC2016 # this is for the test's shell
script='version=$(sed -n "s/^Version: //p" PKG-INFO | head -n 1)
[ -n "$version" ] || exit 255
for failing in "$@"; do [ "$version" != "$failing" ] || exit 1; done'

wrong=0 started=$SECONDS
for k in "${planted[@]}"; do
  test=(sh -c "$script" test "${versions[@]:k}")
  git -C "$work/clone" bisect start "${commits[last]}" "${commits[0]}" >/dev/null
  # One candidate leaves nothing to run; git then names it at once.
  git -C "$work/clone" bisect run "${test[@]}" >"$work/git.log" 2>&1 || true
  by_git=$(git -C "$work/clone" rev-parse refs/bisect/bad)
  git -C "$work/clone" bisect reset >/dev/null 2>&1

  status=0
  "$BISECTD" bisect "$work/clone" "${commits[0]}" "${commits[last]}" --sandbox process --jobs 1 --json -- "${test[@]}" \
    >"$work/answer.json" 2>"$work/bisectd.log" || status=$?
  by_us=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["culprit"])' "$work/answer.json" 2>/dev/null || echo nothing)

  if [[ $status != 0 || $by_us != "$by_git" || $by_us != "${commits[k]}" ]]; then
    wrong=$((wrong + 1))
    printf 'release %s (%s): git names %s, bisectd %s (exit code %d)\n' "${versions[k]}" "${commits[k]:0:12}" "${by_git:0:12}" "${by_us:0:12}" "$status" >&2
    tail -n 5 "$work/bisectd.log" >&2
  fi
done

printf 'every release: %d of %d planted culprits, bisectd agrees with git on %d, in %d s\n' \
  "${#planted[@]}" "$last" $((${#planted[@]} - wrong)) $((SECONDS - started))
((wrong == 0))
