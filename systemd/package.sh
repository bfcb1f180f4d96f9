#!/usr/bin/env bash
# Builds dist/bisectd_<version>_<architecture>.deb: the two programs, their units, manual pages and completions, and what a server
# needs to make the runner image. The same commit gives the same version, and with the same compiler the same package.
#
#   systemd/package.sh             what `make deb` runs
#   PROGRAMS=FOLDER …              takes bisectd and bisect-tui from there instead of building them
set -euo pipefail
umask 022
cd "$(dirname "${BASH_SOURCE[0]}")/.."

die() {
  printf 'package: %s\n' "$*" >&2
  exit 1
}
command -v dpkg-deb >/dev/null || die "dpkg-deb is missing: packages are built on Debian or Ubuntu"

number=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
if SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null); then
  commit=$(git rev-parse --short=10 HEAD)
  # Of each change its own: a package of a version that is installed already is not installed.
  [[ -z $(git status --porcelain --untracked-files=no) ]] || commit+=.changed$(git diff HEAD | sha256sum | cut -c1-8)
  version=$number+$(date --utc --date "@$SOURCE_DATE_EPOCH" +%Y%m%d%H%M).g$commit
else
  # A tree without git.
  SOURCE_DATE_EPOCH=$(stat --format %Y Cargo.lock) version=$number
fi
export SOURCE_DATE_EPOCH

programs=${PROGRAMS:-}
if [[ -z $programs ]]; then
  BISECT_VERSION=$version cargo build --locked --release --package bisectd --package bisect-tui
  programs=${CARGO_TARGET_DIR:-target}/release
fi
architecture=$(dpkg --print-architecture)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root

put() { install -D --mode "$1" "$2" "$root/$3"; }
for program in bisectd bisect-tui; do
  put 0755 "$programs/$program" "usr/bin/$program"
  strip --strip-debug "$root/usr/bin/$program"
done
for unit in systemd/*.service systemd/*.timer; do
  put 0644 "$unit" "usr/lib/systemd/system/${unit##*/}"
done
put 0644 systemd/bisectd.sysusers usr/lib/sysusers.d/bisectd.conf
put 0644 systemd/bisectd.tmpfiles usr/lib/tmpfiles.d/bisectd.conf
for script in systemd/{backup,restore,egress-network}.sh docker/{egress-rules,setup,base-image}.sh; do
  put 0755 "$script" "usr/lib/bisect-bot/${script##*/}"
done
for file in docker/{Dockerfile.runner,python.txt}; do
  put 0644 "$file" "usr/lib/bisect-bot/${file##*/}"
done
for file in docs/*.md CHANGELOG.md; do
  put 0644 "$file" "usr/share/doc/bisectd/${file##*/}"
done
put 0644 .env.example usr/share/doc/bisectd/env.example
cat LICENSE-MIT LICENSE-APACHE >"$work/copyright"
put 0644 "$work/copyright" usr/share/doc/bisectd/copyright

bisectd=$root/usr/bin/bisectd
"$bisectd" man | gzip --no-name --best >"$work/manual"
put 0644 "$work/manual" usr/share/man/man1/bisectd.1.gz
for shell in bash:bash-completion/completions/bisectd zsh:zsh/vendor-completions/_bisectd fish:fish/vendor_completions.d/bisectd.fish; do
  "$bisectd" completions "${shell%%:*}" >"$work/completions"
  put 0644 "$work/completions" "usr/share/${shell#*:}"
done

mkdir "$root/DEBIAN"
cat >"$root/DEBIAN/control" <<CONTROL
Package: bisectd
Version: $version
Architecture: $architecture
Maintainer: Bisect Bot <bisect-bot@example.com>
Depends: systemd, git (>= 1:2.34), ca-certificates, libc6 (>= 2.34), iptables, docker.io | docker-ce
Recommends: postgresql, openssh-client
Section: devel
Priority: optional
Description: git bisect as a service
 The daemon bisectd answers /bisect comments on GitHub with the commit that broke a test, proven in
 containers; bisect-tui is its operators' console. /usr/share/doc/bisectd/production.md leads from
 nothing to a healthy bot.
CONTROL
cat >"$root/DEBIAN/postinst" <<'SCRIPT'
#!/bin/sh
set -e
systemd-sysusers bisectd.conf
systemd-tmpfiles --create bisectd.conf
# Started or restarted by whoever rolls the fleet, when /opt/bisect-bot/.env is there.
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
SCRIPT
cat >"$root/DEBIAN/prerm" <<'SCRIPT'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
  systemctl disable --now bisectd.service bisectd-egress.service bisectd-backup.timer bisectd-prune.timer || true
fi
SCRIPT
chmod 0755 "$root"/DEBIAN/p*
find "$root" -exec touch --no-dereference --date "@$SOURCE_DATE_EPOCH" {} +
mkdir -p dist
# One package only, for whoever takes dist/*.deb.
rm -f dist/bisectd_*.deb
dpkg-deb --root-owner-group --build "$root" "dist/bisectd_${version}_$architecture.deb" >/dev/null
printf 'package: dist/bisectd_%s_%s.deb\n' "$version" "$architecture"
