#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# tests/lab/build.sh: makes the Docker image tepuy-lab:bare, a bare Debian 12 with systemd and nothing of ours, from this
# machine's own apt mirror. Needs a running dockerd and mmdebstrap. Does nothing when the image is there.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
docker image inspect tepuy-lab:bare >/dev/null 2>&1 && exit 0
work=$(mktemp -d "${TMPDIR:-/tmp}/tepuy-lab.XXXXXX")
trap 'rm -rf "$work"' EXIT

# The Debian mirror of this machine's own apt configuration: never a name written down here.
mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' | awk '$2 ~ /^bookworm$/ {print $1; exit}')
[ -n "$mirror" ] || { echo "this machine's apt has no bookworm mirror; run 'apt-get update' and look at its sources" >&2; exit 1; }
printf 'deb %s bookworm main\ndeb %s bookworm-updates main\n' "$mirror" "$mirror" >"$work/sources.list"

cat >"$work/customize" <<C
#!/bin/bash
set -eu
root=\$1
install -m755 "$here/init" "\$root/sbin/lab-init"
: >"\$root/etc/machine-id"
rm -f "\$root/var/lib/dbus/machine-id" "\$root/etc/hostname" "\$root/etc/resolv.conf"
mkdir -p "\$root/var/log/journal"
# Must not touch the outer kernel, disks or consoles; no background apt that holds the lock.
chroot "\$root" systemctl mask systemd-sysctl.service systemd-modules-load.service systemd-remount-fs.service \
  systemd-random-seed.service systemd-pstore.service systemd-binfmt.service systemd-journald-audit.socket \
  systemd-timesyncd.service systemd-firstboot.service systemd-udevd.service systemd-udev-trigger.service \
  systemd-udevd-kernel.socket systemd-udevd-control.socket getty.target console-getty.service getty@.service \
  serial-getty@.service proc-sys-fs-binfmt_misc.automount proc-sys-fs-binfmt_misc.mount sys-kernel-debug.mount \
  sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount dev-hugepages.mount \
  dev-mqueue.mount fstrim.timer e2scrub_all.timer e2scrub_reap.service apt-daily.timer apt-daily-upgrade.timer \
  dpkg-db-backup.timer 2>/dev/null
echo force-unsafe-io >"\$root/etc/dpkg/dpkg.cfg.d/lab"
echo 'Acquire::Languages "none";' >"\$root/etc/apt/apt.conf.d/99lab"
rm -f "\$root/usr/sbin/policy-rc.d"
C
chmod +x "$work/customize"
mmdebstrap --quiet --variant=minbase --include=systemd,systemd-sysv,dbus,iproute2,ca-certificates,procps,kmod \
	--customize-hook="$work/customize \$1" bookworm "$work/host.tar" "$work/sources.list"
docker import -c 'ENV container=docker' -c 'CMD ["/sbin/lab-init"]' "$work/host.tar" tepuy-lab:bare >/dev/null
