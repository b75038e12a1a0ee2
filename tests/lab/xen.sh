#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A real Xen host for a lab of tests/lab/hosts.sh: Debian's hypervisor in a machine that QEMU emulates, whose network card
# is on the lab's bridge, so that its guests are the other hosts' neighbours. A command, and a library (source it behind
# hosts.sh; each command is also a function xen_COMMAND with the same words). The lab must be up; one such host a lab:
#
#   xen.sh up PREFIX [ready|bare]  ready: Xen runs; bare: Debian 12 without Xen that boots by GRUB, for `host apply`
#   xen.sh down PREFIX             stops it and removes its card and files; lab_down does it too
#   xen.sh ssh PREFIX COMMAND…     as admin; `ssh -F …/ssh_config xen1` as well
#   xen.sh root PREFIX COMMAND…    as root, not through its network
#   xen.sh address PREFIX          SUBNET.31; guests get SUBNET.100 to SUBNET.119: xen.sh range PREFIX
#   xen.sh inventory PREFIX [KEYS] its line for hosts.yaml, below `hosts:`; KEYS: more of `xen:`, as "volume_group: vg0"
#   xen.sh wait PREFIX [SECONDS]   until sshd lets us in
#   xen.sh power PREFIX            power cut and return, without waiting      xen.sh hang|unhang PREFIX   it stands still
#
# The first `up` of a kind builds the disk and boots it once, some minutes; what came up is kept as a snapshot, and from
# then on it is up in seconds. Emulation takes 3 GiB and up to two processors: one at a time. Its clock is put right after
# each restore. $XEN_IMAGES (default $LAB_STATE/xen-images) has the snapshots: remove it when nobody needs them.

xen_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if ! declare -F lab_dir >/dev/null; then
	# shellcheck source=tests/lab/hosts.sh
	. "$xen_here/hosts.sh"
fi
xen_images=${XEN_IMAGES:-$lab_state/xen-images}
xen_boot_seconds=${XEN_BOOT_SECONDS:-1800}

xen_dir() {
	echo "$(lab_dir "$1")/xen"
}

xen_address() {
	echo "$(cat "$(lab_dir "$1")/subnet").31"
}

# The addresses for guests, as hosts.yaml has them.
xen_range() {
	local subnet

	subnet=$(cat "$(lab_dir "$1")/subnet")
	echo "$subnet.100-$subnet.119/24"
}

# An interface's name has at most 15 characters.
xen_tap() {
	echo "xen-$(cksum <<<"$1" | tr -dc 0-9 | cut -c 1-10)"
}

xen_ssh() {
	local prefix=$1

	shift
	ssh -F "$(lab_dir "$prefix")/ssh_config" xen1 "$@"
}

xen_root() {
	local prefix=$1

	shift
	python3 "$xen_here/qemu.py" exec "$(xen_dir "$prefix")/agent.sock" "${XEN_ROOT_SECONDS:-600}" /usr/bin/env "$@"
}

# The same with a script as standard input.
xen_script() {
	python3 "$xen_here/qemu.py" script "$(xen_dir "$1")/agent.sock" "${2:-600}"
}

xen_monitor() {
	python3 "$xen_here/qemu.py" monitor "$@"
}

# xen_pid DIRECTORY: of the emulator that runs there, and of nothing else that has its number now.
xen_pid() {
	local pid

	pid=$(cat "$1/qemu.pid" 2>/dev/null) || return
	grep -qaF "file=$1/disk.qcow2," "/proc/$pid/cmdline" 2>/dev/null && echo "$pid"
}

# xen_start DIRECTORY KIND TAP [WORD…]: the emulator with DIRECTORY/disk.qcow2.
# Never changed without trying all again, nor between a snapshot and its restore: with smap dom0 does not come up, with
# rdtscp PVH guests do not; without eager-fpu (here, and in xen-build.sh for GRUB) guests' SSE registers get corrupted.
xen_start() {
	local dir=$1 kind=$2 tap=$3 images=$xen_images/$2
	local linux='root=/dev/vda1 rw console=hvc0 net.ifnames=0 mitigations=off audit=0 random.trust_cpu=on loglevel=5 systemd.show_status=0'
	local boot=()

	shift 3
	if [ "$kind" = ready ]; then
		boot=(-kernel "$images/xen" -initrd "$images/kernel $linux,$images/initrd"
			-append 'dom0_mem=1024M,max:1024M dom0_max_vcpus=1 dom0=pv console=com1 com1=115200 loglvl=info guest_loglvl=info spec-ctrl=no,eager-fpu=yes xpti=no')
	fi
	rm -f "$dir"/*.sock "$dir/serial.log"
	qemu-system-x86_64 -accel tcg,thread=multi -machine pc -cpu max,smap=off,rdtscp=off -smp 2 -m 3072 "${boot[@]}" \
		-drive "file=$dir/disk.qcow2,if=none,id=d0,format=qcow2,cache=unsafe" -device virtio-blk-pci,drive=d0 \
		-netdev "tap,id=n0,ifname=$tap,script=no,downscript=no" -device virtio-net-pci,netdev=n0,romfile= \
		-device virtio-rng-pci -device virtio-serial-pci \
		-chardev "socket,id=c0,path=$dir/agent.sock,server=on,wait=off" \
		-device virtserialport,chardev=c0,name=org.qemu.guest_agent.0 \
		-nodefaults -display none -serial "file:$dir/serial.log" -qmp "unix:$dir/monitor.sock,server=on,wait=off" \
		-daemonize -pidfile "$dir/qemu.pid" "$@"
}

# xen_stop DIRECTORY: at once, as by a power cut.
xen_stop() {
	local pid

	pid=$(xen_pid "$1") || return 0
	kill "$pid" 2>/dev/null
	lab_wait 20 xen_is_gone "$pid" || kill -9 "$pid" 2>/dev/null
	rm -f "$1/qemu.pid"
}

xen_is_gone() {
	! kill -0 "$1" 2>/dev/null
}

xen_tap_up() { # TAP [BRIDGE]
	ip link show "$1" >/dev/null 2>&1 || ip tuntap add "$1" mode tap || return
	[ $# -lt 2 ] || ip link set "$1" master "$2" || return
	ip link set "$1" up
}

# xen_alive DIRECTORY SECONDS: its agent answers.
xen_alive() {
	python3 "$xen_here/qemu.py" exec "$1/agent.sock" "$2" /bin/systemctl is-system-running --wait >/dev/null
	[ $? -ne 125 ] || { lab_say "the emulated machine did not come up; the end of its console:"; tail -n 20 "$1/serial.log" >&2; return 1; }
}

# What a kind's disk, and its snapshot, were made by.
xen_built_by() {
	sha256sum <"$xen_here/xen-build.sh" | cut -c 1-16
}

# Of this file only how the emulator is called, which must be the same at each restore, and how it is frozen.
xen_made_by() {
	{ cat "$xen_here/xen-build.sh"; declare -f xen_start xen_freeze; } | sha256sum | cut -c 1-16
}

xen_build() {
	[ "$(cat "$2/built-by" 2>/dev/null)" != "$(xen_built_by)" ] || return 0
	rm -f "$2/built-by"
	lab_say "building the disk of an emulated machine ($1)"
	"$xen_here/xen-build.sh" "$1" "$2" && xen_built_by >"$2/built-by"
}

# xen_snapshot KIND: builds, boots once and freezes; nothing when it was made by these same scripts.
xen_snapshot() {
	local dir=$xen_images/$1 tap start

	[ "$(cat "$dir/made-by" 2>/dev/null)" != "$(xen_made_by)" ] || return 0
	start=$SECONDS
	tap=$(xen_tap "image-$1-$$")
	rm -f "$dir/made-by" "$dir/snapshot.qcow2"
	xen_build "$1" "$dir" || return
	lab_say "booting it once; built after $((SECONDS - start)) s"
	qemu-img create -q -f qcow2 -F qcow2 -b "$dir/base.qcow2" "$dir/disk.qcow2" || return
	xen_tap_up "$tap" || return
	xen_start "$dir" "$1" "$tap" && xen_alive "$dir" "$xen_boot_seconds" && xen_freeze "$dir" "$1"
	set -- $?
	xen_stop "$dir"
	ip link del "$tap" 2>/dev/null
	[ "$1" -eq 0 ] || return
	mv "$dir/disk.qcow2" "$dir/snapshot.qcow2"
	xen_made_by >"$dir/made-by"
	lab_say "up and frozen after $((SECONDS - start)) s"
}

xen_freeze() { # DIRECTORY KIND
	python3 "$xen_here/qemu.py" script "$1/agent.sock" 600 <<-'END' || return
		[ ! -e /proc/xen/capabilities ] || xl list >/dev/null || exit
		sync
		echo 3 >/proc/sys/vm/drop_caches
	END
	xen_monitor "$1/monitor.sock" stop 'savevm up' quit || return
	lab_wait 600 xen_has_ended "$1"
}

xen_has_ended() {
	! xen_pid "$1" >/dev/null
}

# Into the lab's network, with its keys and the right time. The host key is new: it is nobody else's.
xen_join() { # PREFIX
	local prefix=$1 dir address gateway key

	dir=$(lab_dir "$prefix")
	address=$(xen_address "$prefix") gateway=${address%.*}.1
	key=$(cat "$dir/id.pub")
	xen_script "$prefix" 900 <<-END >"$dir/xen/host-key" || { lab_say "the emulated machine could not join the lab"; return 1; }
		set -e
		exec 3>&1 >/dev/null
		date -s @$(date +%s)
		card=eth0
		[ ! -e /sys/class/net/xenbr0 ] || card=xenbr0
		sed -i "s|^iface \$card inet manual|iface \$card inet static\n    address $address/24\n    gateway $gateway|" /etc/network/interfaces
		ip link set "\$card" up
		ip addr replace $address/24 brd + dev "\$card"
		ip route replace default via $gateway dev "\$card"
		awk '/^nameserver/ {print; exit}' >/etc/resolv.conf <<'RESOLV'
		$(awk '/^nameserver/ {print; exit}' /etc/resolv.conf)
		RESOLV
		rm -f /etc/ssh/ssh_host_*
		ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
		install -d -o admin -g admin -m 700 /home/admin/.ssh
		echo '$key' >/home/admin/.ssh/authorized_keys
		chown admin:admin /home/admin/.ssh/authorized_keys
		systemctl restart ssh
		cat /etc/ssh/ssh_host_ed25519_key.pub >&3
	END
	sed -i "/^$address,/d" "$dir/known_hosts"
	printf '%s,xen1 %s\n' "$address" "$(cut -d ' ' -f 1,2 "$dir/xen/host-key")" >>"$dir/known_hosts"
	# Before what holds for all hosts: the first word counts. Emulation takes its time, most of all for a connection's keys:
	# one is kept open.
	grep -q '^Host xen1' "$dir/ssh_config" || sed -i "1i Host xen1\n  HostName $address\n  ConnectTimeout 60\n\
  ControlMaster auto\n  ControlPath $dir/xen/ssh\n  ControlPersist yes\n  ServerAliveInterval 15\n  ServerAliveCountMax 8" \
		"$dir/ssh_config"
}

xen_up() {
	local prefix=$1 kind=${2:-ready} dir

	case $kind in
	ready | bare) ;;
	*) lab_say "there is no kind '$kind' of Xen host, but ready and bare"; return 2 ;;
	esac
	[ -e "$(lab_dir "$prefix")/subnet" ] || { lab_say "there is no lab $prefix; make it with hosts.sh up"; return 1; }
	dir=$(xen_dir "$prefix")
	mkdir -p "$dir" "$xen_images/$kind"
	(
		flock 9
		xen_snapshot "$kind" && cp --sparse=always "$xen_images/$kind/snapshot.qcow2" "$dir/disk.qcow2"
	) 9>"$xen_images/$kind.lock" || return
	xen_tap "$prefix" >"$dir/tap"
	xen_tap_up "$(cat "$dir/tap")" "$(lab_bridge "$prefix")" || return
	xen_start "$dir" "$kind" "$(cat "$dir/tap")" -loadvm up || return
	xen_join "$prefix" && xen_wait "$prefix"
}

xen_down() {
	local dir

	dir=$(xen_dir "$1")
	[ -d "$dir" ] || return 0
	xen_hang_up "$1"
	xen_stop "$dir"
	ip link del "$(cat "$dir/tap" 2>/dev/null)" 2>/dev/null
	rm -rf "$dir"
}

# Ends the connection that is kept.
xen_hang_up() {
	ssh -F "$(lab_dir "$1")/ssh_config" -O exit xen1 2>/dev/null
}

xen_wait() {
	lab_wait "${2:-900}" timeout 120 ssh -F "$(lab_dir "$1")/ssh_config" -o ConnectTimeout=60 xen1 true ||
		{ lab_say "xen1: sshd at $(xen_address "$1") does not let us in"; return 1; }
}

xen_inventory() {
	printf '  xen1: {address: %s, fingerprint: "%s", runtime: xen, xen: {dom0_memory: 1G, addresses: %s, gateway: %s%s}}\n' \
		"$(xen_address "$1")" "$(ssh-keygen -l -f "$(xen_dir "$1")/host-key" | cut -d ' ' -f 2)" "$(xen_range "$1")" \
		"$(cat "$(lab_dir "$1")/subnet").1" "${2:+, $2}"
}

xen_power() {
	xen_monitor "$(xen_dir "$1")/monitor.sock" system_reset
}

xen_hang() {
	xen_monitor "$(xen_dir "$1")/monitor.sock" stop
}

xen_unhang() {
	xen_monitor "$(xen_dir "$1")/monitor.sock" cont
}

xen_main() {
	case ${1:-} in
	up | down | ssh | root | address | range | inventory | wait | power | hang | unhang)
		if [ $# -ge 2 ]; then
			"xen_$1" "${@:2}"
			return
		fi
		;;
	esac
	sed -n '7,16s/^# \{0,3\}//p' "$xen_here/xen.sh" >&2
	return 2
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
	set -uo pipefail
	xen_main "$@"
fi
