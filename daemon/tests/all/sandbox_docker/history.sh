# Makes the bare repository that the sandbox tests run on: sh history.sh FOLDER
# Every commit has a name, kept as a tag; the `evil` ones have a file of that name, so that one command can
# tell the commits apart.
set -eu
umask 022
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null HOME=/nonexistent
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_AUTHOR_DATE='2026-01-01T00:00:00Z'
export GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@example.org GIT_COMMITTER_DATE='2026-01-01T00:00:00Z'
work=$1/work
git init -q -b main "$work"
cd "$work"
commit() { git add -fA . && git commit -q -m "$1" && git tag "$1"; }

printf '/build/\n*.o\n' >.gitignore
echo calm >calm.txt
mkdir src
echo one >src/a.txt
echo two >src/b.txt
commit calm

# One of them for each attack that shares a lane.
for number in 0 1 2 3 4; do
  echo "$number" >evil
  commit "evil-$number"
done

git rm -q evil
echo quiet >calm.txt
commit quiet

# What a hostile repository can hold in its tree.
printf '* filter=evil diff=evil merge=evil\ncalm.txt filter=lfs\n' >.gitattributes
printf '[submodule "s"]\n\tpath = sub\n\turl = ext::sh -c touch%% /bisect/home/submodule-ran\n\tupdate = !touch /bisect/home/submodule-ran\n' >.gitmodules
git update-index --add --cacheinfo "160000,$(git rev-parse HEAD),sub"
git init -q --bare bare
git -C bare config core.fsmonitor 'touch /bisect/home/fsmonitor-ran'
git -C bare config core.worktree ..
printf '#!/bin/sh\ntouch /bisect/home/hook-ran\n' >bare/hooks/post-checkout
chmod 755 bare/hooks/post-checkout
touch bare/refs/keep
mkdir sub
git add -f .gitattributes .gitmodules bare
git commit -q -m hostile-tree
git tag hostile-tree

git rm -rqf --cached sub bare .gitattributes .gitmodules
rm -rf sub bare .gitattributes .gitmodules
mkdir -p mini
cat >pyproject.toml <<'P'
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "mini"
version = "1.0"
[tool.setuptools]
packages = ["mini"]
P
echo 'answer = 42' >mini/__init__.py
printf 'import mini\n\ndef test_answer():\n    assert mini.answer == 42\n' >test_mini.py
printf '*.egg-info/\n__pycache__/\n' >>.gitignore
commit package-good
sed -i s/42/41/ mini/__init__.py
commit package-bad

git clone -q --bare "$work" "$1/mirror"
git -C "$1/mirror" repack -qad
rm -rf "$work"
