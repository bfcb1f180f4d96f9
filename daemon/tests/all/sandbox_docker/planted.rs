//! What one probe leaves behind must not reach the next: files, links, processes, git's own state.

use super::world::{World, commit, mirror, probe};
use bisect_shared::Ending;
use std::{collections::BTreeMap, fs, path::Path};

/// Says whether the workspace is exactly the commit, in words that a failed test shows.
const PRISTINE: &str = "test -z \"$(git status --porcelain --ignored=no)\"
test \"$(git describe --tags)\" = quiet
test \"$(cat calm.txt src/a.txt src/b.txt)\" = 'quiet
one
two'
test \"$(find . -path ./.git -prune -o -type f -print | wc -l)\" = 4
test ! -L src";

async fn leaves_nothing(hostile: &str) {
    let world = World::new();
    let attacked = world.survives(world.attack(&format!("set -e\n{hostile}\nexit 0"), PRISTINE)).await;
    assert_eq!(attacked.ending, Ending::Exited(0), "{}", attacked.output);
}

#[tokio::test]
async fn a_survivor_writes_nothing_into_the_next_probe() {
    let world = World::new();
    let hostile =
        "echo 'while :; do echo poison >poison; echo poison >calm.txt; echo poison >>src/a.txt; done' >build.sh
for i in 1 2 3 4; do (setsid nohup sh build.sh >/dev/null 2>&1 & ) ; done
until [ -e poison ]; do :; done
exit 0";
    let check = format!("for i in 1 2 3 4 5 6 7 8; do sh -ec '{}'; sleep 0.05; done", PRISTINE.replace('\'', "'\\''"));
    let attacked = world.survives(world.attack(hostile, &check)).await;
    assert_eq!(attacked.ending, Ending::Exited(0));
}

#[tokio::test]
async fn changed_removed_and_replaced_files_come_back() {
    leaves_nothing(
        "echo poison >calm.txt; rm src/a.txt; rm -f src/b.txt; mkdir src/b.txt; echo x >src/b.txt/x
echo x >untracked; mkdir -p deep/er; echo x >deep/er/x; echo x >'-rf'; echo x >\"$(printf 'new\\nline')\"
ln -s /etc/passwd link; mkfifo fifo; touch -d @0 calm.txt; chmod 755 src/a.txt 2>/dev/null || true",
    )
    .await;
}

#[tokio::test]
async fn unwritable_and_bottomless_folders_go_too() {
    leaves_nothing(
        "mkdir -p a/b/c locked; echo x >a/b/c/x; echo x >locked/x; chmod 0 a/b/c; chmod 500 locked; echo x >src/x; echo poison >src/a.txt; chmod 500 src
python3 -c 'import os
for i in range(3000):
    os.mkdir(\"deep\" * 20); os.chdir(\"deep\" * 20)'",
    )
    .await;
}

#[tokio::test]
async fn nothing_is_followed_where_it_is_cleaned_up() {
    let world = World::new();
    let hostile = "set -e
mkdir ~/precious; echo x >~/precious/a.txt; echo x >~/precious/b.txt; chmod 500 ~/precious/
rm -rf src; ln -s ~/precious src
ln -s ~/precious untracked; ln -s /bisect/mirror mirror; ln -s / root; ln -s .git dot-git; mkdir locked; ln -s ~ locked/home; chmod 500 locked";
    let check = format!(
        "{PRISTINE}\ntest \"$(cat ~/precious/a.txt ~/precious/b.txt)\" = 'x\nx'\ntest \"$(stat -c %a ~/precious)\" = 500"
    );
    let before = listing(mirror());
    let attacked = world.survives(world.attack(hostile, &check)).await;
    assert_eq!(attacked.ending, Ending::Exited(0), "{}", attacked.output);
    assert_eq!(listing(mirror()), before);
}

/// Emptying a workspace that was full is the roughest clean-up of all.
#[tokio::test]
async fn nothing_is_followed_where_a_full_workspace_is_emptied() {
    let world = World::new();
    let hostile = "ln -s /bisect/mirror build; ln -s /bisect/mirror ~/m; rm -rf src; ln -s /bisect/mirror/objects src; head -c 400m /dev/zero >big; sleep 600";
    let before = listing(mirror());
    let attacked = world.survives(world.attack(hostile, PRISTINE)).await;
    assert_eq!(attacked.ending, Ending::OutOfDisk, "{}", attacked.output);
    assert_eq!(listing(mirror()), before);
}

#[tokio::test]
async fn the_mirror_and_gits_own_folder_cannot_be_written() {
    let world = World::new();
    // Every line must fail.
    let tries = "touch /bisect/mirror/x
rm -rf /bisect/mirror/objects
chmod 777 /bisect/mirror
mount -o remount,rw /bisect/mirror
touch .git/x
rm -rf .git
mv .git elsewhere
chmod 777 .git/config
mkdir -p .git/hooks
mkdir -p .git/info
git update-index --skip-worktree calm.txt
git update-index --assume-unchanged calm.txt
git config core.hooksPath /bisect/home/hooks
git config core.fsmonitor /bisect/home/hook
git commit --allow-empty -m x
git checkout -q HEAD~1
git update-ref refs/heads/x HEAD
git gc --force";
    let mut hostile = String::new();
    for line in tries.lines() {
        hostile.push_str(&format!("if {line}; then echo 'succeeded: {line}'; fi\n"));
    }
    hostile.push_str("echo poison >calm.txt; exit 0");
    let before = listing(mirror());
    let attacked = world.survives(world.attack(&hostile, PRISTINE)).await;
    assert_eq!(attacked.ending, Ending::Exited(0));
    assert!(!attacked.output.contains("succeeded:"), "{}", attacked.output);
    assert_eq!(listing(mirror()), before);
}

#[tokio::test]
async fn hooks_settings_and_nested_repositories_never_run() {
    let world = World::new();
    let hostile = "set -e
mkdir ~/hooks
for hook in post-checkout post-index-change reference-transaction pre-auto-gc fsmonitor filter; do
  printf '#!/bin/sh\\ntouch /bisect/home/ran-%s\\n' $hook >~/hooks/$hook; chmod 755 ~/hooks/$hook
done
git config --global core.hooksPath ~/hooks
git config --global core.fsmonitor ~/hooks/fsmonitor
git config --global filter.evil.smudge ~/hooks/filter
git config --global core.attributesFile ~/attributes
echo '* filter=evil' >~/attributes
mkdir -p ~/.config/git; echo '*' >~/.config/git/ignore; cp ~/attributes ~/.config/git/attributes
cp ~/attributes .gitattributes; cp ~/attributes src/.gitattributes
git init -q nested; cp -r ~/hooks/. nested/.git/hooks/; echo x >nested/x; git init -q --bare bare; git init -q src/nested
mkdir worktree; echo 'gitdir: /bisect/home/nowhere' >worktree/.git
echo poison >>src/a.txt; exit 0";
    // The plant itself is in the home, where it may stay; the next test's own git must not be asked.
    let check = format!(
        "export GIT_CONFIG_GLOBAL=/dev/null XDG_CONFIG_HOME=/nonexistent\n{PRISTINE}\nif ls ~/ran-*; then exit 1; fi"
    );
    let attacked = world.survives(world.attack(hostile, &check)).await;
    assert_eq!(attacked.ending, Ending::Exited(0), "{}", attacked.output);
}

#[tokio::test]
async fn a_hostile_tree_is_checked_out_as_plain_files() {
    let world = World::new();
    let script = "set -e
if [ -e bare ]; then
  test \"$(cat calm.txt)\" = quiet; test -x bare/hooks/post-checkout; test -f .gitmodules; test -z \"$(ls -A sub)\"
  echo poison >sub/poison; git init -q sub/nested
else
  test ! -e bare; test ! -e sub; test ! -e .gitattributes; test ! -e .gitmodules
fi
if ls ~/*-ran; then exit 1; fi";
    let mut lane = world.lane(world.spec(&["sh", "-c", script])).await;
    for tag in ["hostile-tree", "hostile-tree", "quiet", "hostile-tree", "calm"] {
        let probed = probe(&mut *lane, commit(tag)).await;
        assert_eq!(probed.ending(), Ending::Exited(0), "{tag}: {}", probed.text());
    }
    world.end(lane).await;
}

/// Rules for git that no commit holds: they would change what the next checkout writes, and what it leaves.
#[tokio::test]
async fn planted_rules_reach_no_later_checkout() {
    let attacks = [
        "echo '* text eol=crlf' >.gitattributes; cp .gitattributes src; echo poison >src/a.txt",
        // Where a folder can be passed but not be listed.
        "echo '* text eol=crlf' >src/.gitattributes; echo poison >src/a.txt; chmod 311 src",
        "mkdir -p planted/er; echo '*' >planted/.gitignore; echo x >planted/conftest.py; echo x >planted/er/conftest.py
         git init -q nested; echo '*' >nested/.gitignore; echo x >nested/x; echo '!*' >>.gitignore; mkdir build; echo x >build/kept",
        "echo '* text eol=crlf' >~/.gitattributes; rm -rf src; ln -s ~ src; ln -s /nowhere .gitattributes; mkdir -p d/.gitignore/x",
        // All as it was, to whoever follows the link.
        "mkdir build; mv src build/src; ln -s build/src src",
    ];
    let world = World::new();
    let spec = world.attacks(
        &attacks.map(|hostile| format!("set -e\n{hostile}\nexit 0")).each_ref().map(String::as_str),
        &format!("rm -rf build\n{PRISTINE}\ntest \"$(od -An -c src/a.txt)\" = '   o   n   e  \\n'"),
    );
    for attacked in world.survives_all(spec, attacks.len()).await {
        assert_eq!(attacked.ending, Ending::Exited(0), "{}", attacked.output);
    }
}

/// The next probe's container is there while the first commit is tested, and comes from the same home.
#[tokio::test]
async fn planted_programs_never_run_on_our_own_behalf() {
    let world = World::new();
    let hostile = "set -e
mkdir -p ~/venv/bin
for name in sh sleep setsid env df tail; do
  printf '#!/usr/bin/python3\\nimport os\\nos.makedirs(\"/bisect/home/ran/%s\", exist_ok=True)\\nos.execv(\"/usr/bin/%s\", __import__(\"sys\").argv)\\n' \
    $name $name >~/venv/bin/$name
  chmod 755 ~/venv/bin/$name
done
exit 0";
    let mut spec = world.attack(hostile, "test ! -e /bisect/home/ran");
    spec.command[0] = "/usr/bin/sh".to_owned();
    let mut lane = world.lane(spec).await;
    for tag in ["evil-0", "quiet", "evil-0", "quiet"] {
        let probed = probe(&mut *lane, commit(tag)).await;
        assert_eq!(probed.ending(), Ending::Exited(0), "{tag}: {}", probed.text());
    }
    world.end(lane).await;
}

/// What a job gives its command is the command's, and not of the process that watches it.
#[tokio::test]
async fn the_jobs_environment_reaches_setup_and_command_alone() {
    let world = World::new();
    let shown = "tr '\\0' '\\n' </proc/1/environ | grep -c -e PRELOAD -e MINE; echo \"$PATH $LD_PRELOAD $MINE\"";
    let mut spec = world.spec(&["/usr/bin/sh", "-c", shown]);
    spec.setup = Some(shown.to_owned());
    spec.env = [("PATH", "/usr/bin:/mine"), ("LD_PRELOAD", "/lib/x86_64-linux-gnu/libc.so.6"), ("MINE", "a b=c")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
    let mut lane = world.lane(spec).await;
    let probed = probe(&mut *lane, commit("quiet")).await;
    let once = "0\n/usr/bin:/mine /lib/x86_64-linux-gnu/libc.so.6 a b=c\n";
    assert_eq!(probed.text(), once.repeat(2));
    world.end(lane).await;
    // A name that looks like a variable is a command all the same.
    let mut lane = world.lane(world.spec(&["A=B", "true"])).await;
    assert_eq!(probe(&mut *lane, commit("quiet")).await.ending(), Ending::Exited(127));
    world.end(lane).await;
}

/// Python and others compare whole seconds and lengths only.
#[tokio::test]
async fn two_checkouts_of_a_file_never_share_a_second() {
    let world = World::new();
    let mut lane = world.lane(world.spec(&["stat", "-c", "%Y", "calm.txt", "src/a.txt"])).await;
    let mut changed = Vec::new();
    let mut unchanged = Vec::new();
    for tag in ["calm", "quiet", "calm", "quiet", "calm"] {
        let probed = probe(&mut *lane, commit(tag)).await;
        assert_eq!(probed.ending(), Ending::Exited(0));
        let seconds: Vec<u64> = probed.text().lines().map(|line| line.parse().unwrap()).collect();
        changed.push(seconds[0]);
        unchanged.push(seconds[1]);
    }
    assert!(changed.is_sorted_by(|a, b| a < b), "{changed:?}");
    assert!(unchanged.iter().all(|second| *second == unchanged[0]), "{unchanged:?}");
    world.end(lane).await;
}

/// Path, length, time and mode of every file below.
fn listing(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let facts = format!("{:?} {:?} {:?}", meta.len(), meta.modified().unwrap(), meta.permissions());
            found.insert(path.to_string_lossy().into_owned(), facts);
            if meta.is_dir() {
                folders.push(path);
            }
        }
    }
    found
}
