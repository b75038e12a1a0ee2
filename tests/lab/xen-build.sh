#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# tests/lab/xen-build.sh ready|bare DIRECTORY: makes the disk of an emulated machine from this machine's own apt mirror:
#   ready  a Xen host (dom0) with bridge xenbr0, and what tepuy stands on: Consul, mmdebstrap, the program's libraries;
#          booted by QEMU itself from DIRECTORY/xen, kernel and initrd
#   bare   Debian 12 with sshd and a user `admin` who may use sudo, nothing of Xen; it boots by its own GRUB, so that what
#          tepuy installs there is what boots next
# Both have eth0 without an address and qemu-guest-agent: tests/lab/xen.sh gives each its address and keys, in the lab
# that it joins. As root.
set -euo pipefail
kind=${1:-} to=${2:-}
if { [ "$kind" != ready ] && [ "$kind" != bare ]; } || [ -z "$to" ]; then
	echo "usage: tests/lab/xen-build.sh ready|bare DIRECTORY" >&2
	exit 2
fi
mkdir -p "$to"
cd "$to"
work=$(mktemp -d "$PWD/work.XXXXXX")
trap 'rm -rf "$work"' EXIT

# shellcheck disable=SC2016 # apt's own variables
mirrors=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' | awk '$2 ~ /^bookworm/ && !seen[$0]++')
mirror=$(awk '$2 == "bookworm" {print $1; exit}' <<<"$mirrors")
[ -n "$mirror" ] || { echo "this machine's apt has no bookworm mirror; run 'apt-get update' and look at its sources" >&2; exit 1; }
awk '{print "deb", $1, $2, "main"}' <<<"$mirrors" >"$work/sources.list"

# Before the kernel is installed: an initrd that is small and made once. Nothing of it is for real machines.
cat >"$work/first" <<'H'
set -e
mkdir -p "$1/etc/initramfs-tools/conf.d"
printf 'MODULES=list\nCOMPRESS=gzip\n' >"$1/etc/initramfs-tools/conf.d/lab"
printf '%s\n' virtio_pci virtio_blk virtio_net ext4 crc32c_generic xen_blkfront xen_netfront >"$1/etc/initramfs-tools/modules"
H

# The hypervisor's options without which it, or its guests, do not live under emulation.
cat >"$work/common" <<H
set -e
root=\$1
sh "$work/first" "\$root"
chroot "\$root" update-initramfs -u -k all
echo xen1 >"\$root/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 xen1\n' >"\$root/etc/hosts"
echo '/dev/vda1 / ext4 noatime 0 1' >"\$root/etc/fstab"
rm -f "\$root/etc/resolv.conf" "\$root"/etc/ssh/ssh_host_*
awk '/^nameserver/ {print; exit}' /etc/resolv.conf >"\$root/etc/resolv.conf"
chroot "\$root" useradd -m -s /bin/bash admin
echo 'admin ALL=(ALL) NOPASSWD:ALL' >"\$root/etc/sudoers.d/admin"
chmod 440 "\$root/etc/sudoers.d/admin"
printf 'UseDNS no\nHostKey /etc/ssh/ssh_host_ed25519_key\n' >"\$root/etc/ssh/sshd_config.d/lab.conf"
ssh-keygen -q -t ed25519 -N '' -f "\$root/etc/ssh/ssh_host_ed25519_key"
echo force-unsafe-io >"\$root/etc/dpkg/dpkg.cfg.d/lab"
echo 'Acquire::Languages "none";' >"\$root/etc/apt/apt.conf.d/99lab"
mkdir -p "\$root/var/log/journal" "\$root/etc/systemd/system.conf.d"
# A machine around it that is busy makes all of this slow, and nothing of it is wrong then.
printf '[Manager]\nDefaultTimeoutStartSec=900s\nDefaultDeviceTimeoutSec=900s\n' >"\$root/etc/systemd/system.conf.d/lab.conf"
echo event_timeout=900 >"\$root/etc/udev/udev.conf"
# Without udev's word, which may be late.
cat >"\$root/etc/systemd/system/lab-agent.service" <<'U'
[Unit]
Description=What the machine around this one talks to
StartLimitIntervalSec=0
[Service]
ExecStart=/usr/sbin/qemu-ga --method=virtio-serial --path=/dev/virtio-ports/org.qemu.guest_agent.0 --retry-path
Restart=always
RestartSec=1
[Install]
WantedBy=multi-user.target
U
echo virtio_console >"\$root/etc/modules-load.d/lab.conf"
chroot "\$root" systemctl -q mask qemu-guest-agent.service
chroot "\$root" systemctl -q enable lab-agent.service
chroot "\$root" systemctl -q mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
	e2scrub_reap.service fstrim.timer getty@tty1.service man-db.timer
H

cat >"$work/ready" <<H
set -e
root=\$1
printf '%s\n' 'auto lo' 'iface lo inet loopback' '' 'auto xenbr0' 'iface xenbr0 inet manual' '    bridge_ports eth0' \
	'    bridge_stp off' '    bridge_fd 0' >"\$root/etc/network/interfaces"
printf '%s\n' xen-netback xen-blkback xen-gntdev xen-gntalloc xen-evtchn loop bridge >"\$root/etc/modules-load.d/xen.conf"
chroot "\$root" systemctl -q mask xendomains.service
# As scripts/get-consul does it: Debian 12 has no Consul.
printf 'Types: deb\nURIs: $mirror\nSuites: bullseye\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' \
	>"\$root/etc/apt/sources.list.d/tepuy-consul.sources"
printf 'Package: *\nPin: release n=bullseye\nPin-Priority: -10\n\nPackage: consul\nPin: release n=bullseye\nPin-Priority: 500\n' \
	>"\$root/etc/apt/preferences.d/tepuy-consul"
chroot "\$root" apt-get update -qq
chroot "\$root" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends consul >"$work/apt.log" 2>&1 ||
	{ tail -n 20 "$work/apt.log" >&2; exit 1; }
chroot "\$root" systemctl -q disable consul.service
chroot "\$root" apt-get clean
# Nothing under emulation should have to unpack what xz packed.
python3 - "\$root" "$PWD/kernel" <<'P'
import glob, lzma, sys
packed = open(glob.glob(sys.argv[1] + "/boot/vmlinuz-*")[0], "rb").read()
open(sys.argv[2], "wb").write(lzma.LZMADecompressor().decompress(packed[packed.find(b"\xfd7zXZ\0"):]))
P
cp "\$root"/boot/initrd.img-* "$PWD/initrd"
zcat "\$root"/boot/xen-*-amd64.gz >"$PWD/xen"
H

cat >"$work/bare" <<H
set -e
root=\$1
printf '%s\n' 'auto lo' 'iface lo inet loopback' '' 'auto eth0' 'iface eth0 inet manual' >"\$root/etc/network/interfaces"
mkdir -p "\$root/etc/default/grub.d" "\$root/boot/grub/i386-pc"
cat >"\$root/etc/default/grub.d/lab.cfg" <<'G'
# Of the emulated machine only: see tests/lab/xen.sh.
GRUB_TIMEOUT=0
GRUB_RECORDFAIL_TIMEOUT=0
GRUB_TERMINAL=serial
GRUB_DISABLE_OS_PROBER=true
GRUB_CMDLINE_LINUX_DEFAULT=
GRUB_CMDLINE_LINUX="net.ifnames=0 mitigations=off audit=0 random.trust_cpu=on loglevel=5 systemd.show_status=0 console=ttyS0"
GRUB_CMDLINE_LINUX_XEN_REPLACE="net.ifnames=0 mitigations=off audit=0 random.trust_cpu=on loglevel=5 systemd.show_status=0 console=hvc0"
GRUB_CMDLINE_XEN="dom0=pv dom0_max_vcpus=1 console=com1 com1=115200 loglvl=info guest_loglvl=info spec-ctrl=no,eager-fpu=yes xpti=no"
G
# What grub-install does on a machine that runs; its own update-grub writes the real grub.cfg later.
cp "\$root"/usr/lib/grub/i386-pc/*.mod "\$root"/usr/lib/grub/i386-pc/*.lst "\$root/boot/grub/i386-pc/"
chroot "\$root" grub-mkimage -O i386-pc -p '(hd0,msdos1)/boot/grub' -o /boot/grub/i386-pc/core.img biosdisk part_msdos ext2
cp "\$root/usr/lib/grub/i386-pc/boot.img" "\$root/boot/grub/i386-pc/core.img" "$work/"
cat >"\$root/boot/grub/grub.cfg" <<'G'
serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
linux /vmlinuz root=/dev/vda1 ro net.ifnames=0 mitigations=off audit=0 random.trust_cpu=on loglevel=5 systemd.show_status=0 console=ttyS0
initrd /initrd.img
boot
G
H

packages=systemd-sysv,dbus,libpam-systemd,kmod,udev,linux-image-amd64,initramfs-tools,zstd,openssh-server,iproute2,ifupdown
packages+=,sudo,curl,procps,e2fsprogs,busybox,ca-certificates,nftables,iputils-ping,qemu-guest-agent
case $kind in
ready) packages+=,xen-system-amd64,bridge-utils,mmdebstrap,libarchive13,libcurl4,libjansson4,libmicrohttpd12,libssh-4,libyaml-0-2 ;;
bare) packages+=,grub-pc ;;
esac
options=(--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*')
for directory in drivers/gpu drivers/media drivers/infiniband drivers/iio drivers/staging drivers/net/wireless drivers/net/ethernet \
	drivers/ata drivers/usb drivers/input drivers/hid drivers/mtd sound fs/xfs fs/btrfs fs/ocfs2 fs/gfs2 fs/cifs fs/ceph; do
	options+=(--dpkgopt="path-exclude=/lib/modules/*/kernel/$directory/*")
done
mmdebstrap --quiet --mode=root --variant=minbase --skip=cleanup/apt/lists "${options[@]}" --include="$packages" \
	--essential-hook="sh '$work/first' \"\$1\"" --customize-hook="sh '$work/common' \"\$1\"" \
	--customize-hook="sh '$work/$kind' \"\$1\"" bookworm "$work/root" "$work/sources.list" 2>"$PWD/build.log" ||
	{ tail -n 30 "$PWD/build.log" >&2; exit 1; }

# One partition, behind what GRUB needs of the disk's beginning.
truncate -s 8G "$work/disk"
printf 'label: dos\nstart=2048, type=83, bootable\n' | sfdisk -q "$work/disk"
mke2fs -q -F -t ext4 -E offset=1048576 -d "$work/root" "$work/disk" 8387584k >/dev/null
if [ "$kind" = bare ]; then
	# boot.img looks for what follows in sector 1, where core.img expects itself to be.
	dd if="$work/boot.img" of="$work/disk" bs=440 count=1 conv=notrunc status=none
	dd if="$work/core.img" of="$work/disk" bs=512 seek=1 conv=notrunc status=none
fi
qemu-img convert -O qcow2 "$work/disk" base.qcow2
