#!/usr/bin/env bash
# Builds the image debian:bookworm-slim from Debian's own packages, for machines where no image registry answers.
# Needs root (debootstrap makes a root file system), Docker, and a Debian mirror.
#
#   docker/base-image.sh [IMAGE]        IMAGE defaults to debian:bookworm-slim
#   DEBIAN_MIRROR=http://…              another mirror than deb.debian.org
set -euo pipefail

image=${1:-debian:bookworm-slim}
suite=bookworm
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}

say() { printf 'base-image: %s\n' "$*"; }
die() {
  printf 'base-image: %s\n' "$*" >&2
  exit 1
}

[[ $EUID -eq 0 ]] || die "debootstrap needs root. Run: sudo docker/base-image.sh"
command -v debootstrap >/dev/null || die "debootstrap is missing. Run: apt-get install debootstrap"
docker version >/dev/null 2>&1 || die "Docker does not answer. Run: docker/setup.sh"

# /var/tmp, not /tmp: the tree takes 300 MB, and /tmp is often a small tmpfs or mounted nodev, where debootstrap cannot work.
work=$(mktemp -d "${TMPDIR:-/var/tmp}/bisect-base.XXXXXX")
root=$work/root

clean_up() {
  # A debootstrap that was interrupted can leave these mounted; removing through a live mount would empty the host's.
  local mounted
  while read -r mounted; do
    umount -l "$mounted" || true
  done < <(awk -v prefix="$root/" 'index($2, prefix) == 1 { print $2 }' /proc/mounts | sort -r)
  rm -rf --one-file-system "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

say "1/3 debootstrap of $suite from $mirror (about a minute)"
started=$SECONDS
if ! debootstrap --variant=minbase "$suite" "$root" "$mirror" >"$work/log" 2>&1; then
  tail -n 15 "$work/log" >&2
  [[ -f $root/debootstrap/debootstrap.log ]] && tail -n 15 "$root/debootstrap/debootstrap.log" >&2
  die "debootstrap failed (its last lines are above). Another mirror: DEBIAN_MIRROR=http://… docker/base-image.sh"
fi

say "2/3 slimming it as the published -slim images are: no manuals, no translations, no package caches"
cat >"$root/etc/apt/sources.list" <<SOURCES
deb $mirror $suite main
deb $mirror $suite-updates main
deb ${mirror%/debian}/debian-security $suite-security main
SOURCES
cat >"$root/etc/dpkg/dpkg.cfg.d/slim" <<'EXCLUDES'
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
path-include /usr/share/locale/locale.alias
path-exclude /usr/share/man/*
EXCLUDES
printf 'APT::Install-Recommends "false";\nAcquire::Languages "none";\n' >"$root/etc/apt/apt.conf.d/slim"
# No service may start inside an image build.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 0755 "$root/usr/sbin/policy-rc.d"
find "$root/usr/share/doc" -type f ! -name copyright -delete
rm -rf "${root:?}"/usr/share/{info,man}/* "${root:?}"/var/lib/apt/lists/* "${root:?}"/var/cache/apt/* "${root:?}"/var/log/*
find "$root/usr/share/locale" -mindepth 1 -maxdepth 1 ! -name locale.alias -exec rm -rf {} +
# These name the machine that built the image.
: >"$root/etc/hostname"
: >"$root/etc/resolv.conf"
rm -f "$root/etc/machine-id"

say "3/3 importing it as $image"
tar -C "$root" --numeric-owner -c . | docker import --change 'CMD ["bash"]' - "$image" >/dev/null
say "made $image in $((SECONDS - started)) s"
