#!/bin/bash
# Control groups of this machine's own, as a real one has them: those that Docker mounted are read-only, and the Docker that will
# run here needs to make some. Then init.
set -e
if [[ $(stat --file-system --format %T /sys/fs/cgroup) == tmpfs ]]; then
  mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
  for controller in cpu cpuacct cpuset memory devices freezer blkio pids; do
    mkdir -p "/sys/fs/cgroup/$controller"
    mount -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller"
  done
  mkdir -p /sys/fs/cgroup/systemd
  mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
else
  mount -o remount,rw /sys/fs/cgroup
fi
# In a container systemd leaves this to whoever made it; credentials of services need it.
mount --make-rshared /
exec /sbin/init
