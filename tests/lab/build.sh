#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# tests/lab/build.sh [bare|ready]: makes the Docker image tepuy-lab:KIND from this machine's own apt mirror.
#   bare   Debian 12 with systemd, sshd and a user `admin` who may use sudo without a password; nothing of ours
#   ready  the same with what tepuy stands on installed and neither enabled nor started: Docker, Consul, HAProxy,
#          mmdebstrap and the libraries of the program
# Needs a running dockerd and mmdebstrap. Does nothing when the image was made by this same script. No key is in the
# image: tests/lab/init takes it from whoever starts a host.
set -euo pipefail
kind=${1:-bare}
case $kind in
bare | ready) ;;
*)
	echo "usage: tests/lab/build.sh [bare|ready]" >&2
	exit 2
	;;
esac
here=$(cd "$(dirname "$0")" && pwd)
made_by=$(cat "$here/build.sh" "$here/init" | sha256sum | cut -c 1-16)

is_there() {
	[ "$(docker image inspect -f '{{index .Config.Labels "tepuy-lab"}}' "tepuy-lab:$kind" 2>/dev/null)" = "$made_by" ]
}

is_there && exit 0
# Two tests that begin at once build it once.
exec 9>"${TMPDIR:-/tmp}/tepuy-lab-build.lock"
flock 9
is_there && exit 0
work=$(mktemp -d "${TMPDIR:-/tmp}/tepuy-lab.XXXXXX")
trap 'rm -rf "$work"' EXIT

# The Debian mirror of this machine's own apt configuration: never a name written down here.
# shellcheck disable=SC2016 # apt's own variables
mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' | awk '$2 ~ /^bookworm$/ {print $1; exit}')
[ -n "$mirror" ] || { echo "this machine's apt has no bookworm mirror; run 'apt-get update' and look at its sources" >&2; exit 1; }
printf 'deb %s bookworm main\ndeb %s bookworm-updates main\n' "$mirror" "$mirror" >"$work/sources.list"

cat >"$work/customize" <<C
#!/bin/bash
set -eu
root=\$1
chroot "\$root" useradd -m -s /bin/bash admin
echo 'admin ALL=(ALL) NOPASSWD:ALL' >"\$root/etc/sudoers.d/admin"
chmod 440 "\$root/etc/sudoers.d/admin"
# Each host makes its host key at its first start; one kind of key is made in no time.
rm -f "\$root"/etc/ssh/ssh_host_*
mkdir -p "\$root/etc/systemd/system/ssh.service.d"
cat >"\$root/etc/systemd/system/ssh.service.d/host-key.conf" <<'UNIT'
[Service]
ExecStartPre=
ExecStartPre=/bin/sh -c '[ -e /etc/ssh/ssh_host_ed25519_key ] || exec ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key'
ExecStartPre=/usr/sbin/sshd -t
UNIT
chroot "\$root" systemctl enable ssh.service 2>/dev/null
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
if [ "$kind" = ready ]; then
	# As scripts/get-consul does it: Debian 12 has no Consul.
	printf 'Types: deb\nURIs: $mirror\nSuites: bullseye\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' \
		>"\$root/etc/apt/sources.list.d/tepuy-consul.sources"
	printf 'Package: *\nPin: release n=bullseye\nPin-Priority: -10\n\nPackage: consul\nPin: release n=bullseye\nPin-Priority: 500\n' \
		>"\$root/etc/apt/preferences.d/tepuy-consul"
	cp /etc/resolv.conf "\$root/etc/resolv.conf"
	printf '#!/bin/sh\nexit 101\n' >"\$root/usr/sbin/policy-rc.d"
	chmod 755 "\$root/usr/sbin/policy-rc.d"
	chroot "\$root" apt-get update -qq
	chroot "\$root" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker.io consul haproxy socat \
		mmdebstrap libarchive13 libcurl4 libjansson4 libmicrohttpd12 libssh-4 libsystemd0 libyaml-0-2 \
		>"$work/apt.log" 2>&1 || { tail -n 20 "$work/apt.log" >&2; exit 1; }
	chroot "\$root" systemctl disable docker.service docker.socket containerd.service consul.service haproxy.service 2>/dev/null
	rm -f "\$root/etc/docker/key.json" "\$root/etc/resolv.conf"
	chroot "\$root" apt-get clean
fi
rm -f "\$root/usr/sbin/policy-rc.d"
C
chmod +x "$work/customize"
packages=systemd,systemd-sysv,dbus,libpam-systemd,openssh-server,sudo,iproute2,iptables,nftables,ca-certificates,curl
packages+=,procps,kmod,iputils-ping
mmdebstrap --quiet --variant=minbase --include="$packages" --customize-hook="$work/customize \$1" \
	bookworm "$work/host.tar" "$work/sources.list"
before=$(docker image inspect -f '{{.Id}}' "tepuy-lab:$kind" 2>/dev/null || true)
docker import -c 'ENV container=docker' -c 'CMD ["/sbin/lab-init"]' -c "LABEL tepuy-lab=$made_by" \
	"$work/host.tar" "tepuy-lab:$kind" >/dev/null
# What this one replaces; in use by a running lab, it stays until that one is gone.
[ -z "$before" ] || docker image rm "$before" >/dev/null 2>&1 || true
