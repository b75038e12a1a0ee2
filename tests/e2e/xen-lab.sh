#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# needs: docker
# lane: xen
# timeout: 7200
# The emulated Xen host that other tests stand on: it is one more host of a lab, with the hypervisor booted; it bears a
# power cut; nothing of it stays behind.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lib-xen-apply.sh
. "$(dirname "$0")/lib-xen-apply.sh"

lab=tt-xen-lab-$$
at_exit lab_down "$lab"

emulators() {
	pgrep -f "file=$(xen_dir "$lab")/disk.qcow2,"
}

booted_anew() {
	local now

	now=$(xen_ssh "$lab" cat /proc/sys/kernel/random/boot_id) && [ "$now" != "$1" ]
}

check "a lab with one container starts" lab_up "$lab" auto 1 bare
case_begin "a Xen host joins it"
start=$SECONDS
if xen_up "$lab" ready; then ok; else not_ok; fi
printf '      up after %d s\n' $((SECONDS - start))
xen_down "$lab"
start=$SECONDS
check "and once more, from its snapshot" xen_up "$lab" ready
printf '      restored after %d s\n' $((SECONDS - start))
equal "admin may use sudo" 0 "$(xen_ssh "$lab" sudo -n id -u)"
equal "it has its name" xen1 "$(xen_ssh "$lab" hostname)"
equal "it has its address on its bridge" "$(xen_address "$lab")/24" \
	"$(xen_ssh "$lab" ip -o -4 addr show dev xenbr0 | awk '{print $4}')"
case_begin "the hypervisor runs"
if xen_ssh "$lab" sudo xl info >"$TMP/xl" && grep -q '^free_memory' "$TMP/xl" && xen_ssh "$lab" sudo xl list | grep -q Domain-0; then
	ok
else
	not_ok "$(head -n 5 "$TMP/xl")"
fi
grep -E '^(xen_version|free_memory|virt_caps)' "$TMP/xl" | sed 's/^/      /'
case_begin "its clock is right"
there=$(xen_ssh "$lab" date +%s) here=$(date +%s)
if [ $((here - there)) -le 60 ] && [ $((there - here)) -le 60 ]; then ok; else not_ok "$there there, $here here"; fi
check "h1 reaches it" lab_root "$lab" 1 ping -q -c 1 -W 10 "$(xen_address "$lab")"
check "it reaches h1" xen_ssh "$lab" ping -q -c 1 -W 10 "$(lab_address "$lab" 1)"
equal "root is there without its network" 0 "$(xen_root "$lab" id -u)"
equal "a program's status comes back" 7 "$(xen_root "$lab" sh -c 'exit 7' >/dev/null; echo $?)"
xen_hang "$lab"
refuse "one that stands still does not let us in" timeout 15 ssh -F "$(lab_dir "$lab")/ssh_config" -o ConnectTimeout=3 xen1 true
xen_unhang "$lab"
check "then it does" xen_wait "$lab"

boot_id=$(xen_ssh "$lab" cat /proc/sys/kernel/random/boot_id)
xen_power "$lab"
check "after a power cut it comes back" wait_for 900 booted_anew "$boot_id"
check "with Xen" wait_for 300 xen_ssh "$lab" sudo xl list

tap=$(cat "$(xen_dir "$lab")/tap")
check "a process of it is there" emulators
lab_down "$lab"
refuse "its process is gone" emulators
refuse "its card is gone" ip link show "$tap"
refuse "its files are gone" test -e "$(lab_dir "$lab")"
finish
