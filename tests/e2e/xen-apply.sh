#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# needs: docker
# lane: xen
# timeout: 7200
# A bare Debian 12 becomes a Xen host of a cluster by 'tepuy host apply': hypervisor, boot entry, the bridge without losing
# the host, and taken back when nobody confirms it; the reboot, asked for and then done; what 'doctor' says meanwhile.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lib-xen-apply.sh
. "$(dirname "$0")/lib-xen-apply.sh"

lab=tt-xen-apply-$$
at_exit lab_down "$lab"

inventory() { # [KEYS]
	lab_inventory "$lab" 1
	xen_inventory "$lab" "$@"
}

# apply NAME WORD…: NAME.json, NAME.err; its status.
apply() {
	local name=$1

	shift
	tepuy host apply --package "$(deb package)" --json "$@" >"$TMP/$name.json" 2>"$TMP/$name.err"
}

says() { # NAME TEXT
	grep -qF "$2" <<<"$(error_of "$TMP/$1.json" xen1)" || { cat "$TMP/$1.json" "$TMP/$1.err"; return 1; }
}

ask_doctor() { # NAME
	tepuy doctor --inventory hosts.yaml --json >"$TMP/$1.json" 2>"$TMP/$1.err"
}

old_network_is_back() {
	xen_root "$lab" test ! -e /sys/class/net/xenbr0 -a ! -e /var/lib/tepuy/network-change.json &&
		xen_root "$lab" ip -o -4 addr show dev eth0 | grep -q "$(xen_address "$lab")/24"
}

check "the package is built" build_package
check "a container and a bare machine start" lab_up "$lab" auto 1 bare
check "the machine is bare" xen_up "$lab" bare
prepare_operator "$lab" 1
equal "there is nothing of Xen on it" '' "$(xen_ssh "$lab" 'command -v xl tepuy; ls -d /sys/class/net/*/bridge 2>/dev/null')"

# --- What is wrong is said before the network is touched ---

inventory "addresses: 192.0.2.100/24" | sed 's/addresses: [0-9.]*-[^,]*, //' >"$OPERATOR/hosts.yaml"
refuse "addresses that are no range are refused" apply range
check "with their place" grep -q "hosts.yaml:.*is no range of addresses" "$TMP/range.err"
inventory "more: [{bridge: br9, addresses: 198.51.100.10-198.51.100.20/24}]" >"$OPERATOR/hosts.yaml"
case_begin "a further bridge that is missing: the others go on, exit status 3"
start=$SECONDS
apply missing
equal_status=$?
if [ "$equal_status" -eq 3 ] && [ "$(status_of "$TMP/missing.json" h1)" = changed ]; then ok; else not_ok "$equal_status: $(cat "$TMP/missing.err")"; fi
printf '      %d s\n' $((SECONDS - start))
check "the sentence names it" says missing "There is no bridge br9 on this host"
equal "the network is as it was" "$(xen_address "$lab")/24" "$(xen_ssh "$lab" ip -o -4 addr show dev eth0 | awk '{print $4}')"

# --- A change of the network that nobody confirms ---

before=$(xen_ssh "$lab" cat /etc/network/interfaces)
case_begin "the bridge is made, to be confirmed"
if xen_script "$lab" 900 >"$TMP/unconfirmed" 2>&1 <<END; then
printf '%s' '{"runtime":"xen","xen":{"bridge":"xenbr0","addresses":"$(xen_range "$lab")","dom0_memory":1073741824}}' | tepuy setup runtime
END
	if tail -n 1 "$TMP/unconfirmed" | jq -e '.result.unconfirmed' >/dev/null; then ok; else not_ok "$(tail -n 2 "$TMP/unconfirmed")"; fi
else
	not_ok "$(tail -n 3 "$TMP/unconfirmed")"
fi
check "nobody confirms it: the old network is back" wait_for 300 old_network_is_back
check "and lets us in" xen_wait "$lab" 120
equal "its file is what it was" "$before" "$(xen_ssh "$lab" cat /etc/network/interfaces)"
equal "no timer is left" '' "$(xen_ssh "$lab" ls /etc/systemd/system | grep network-undo)"

# --- host apply ---

inventory >"$OPERATOR/hosts.yaml"
case_begin "host apply asks for the reboot, exit status 3"
start=$SECONDS
apply first
equal_status=$?
if [ "$equal_status" -eq 3 ] && [ "$(statuses "$TMP/first.json")" = 'unchanged reboot' ]; then ok; else
	not_ok "$equal_status: $(cat "$TMP/first.json" "$TMP/first.err")"
fi
printf '      %d s\n' $((SECONDS - start))
check "it says what to do" says first "run this again with --reboot"
equal "the address is on the bridge" "$(xen_address "$lab")/24" "$(xen_ssh "$lab" ip -o -4 addr show dev xenbr0 | awk '{print $4}')"
check "which is confirmed" xen_ssh "$lab" test ! -e /var/lib/tepuy/network-change.json
refuse "doctor finds that something is wrong" ask_doctor before
case_begin "Xen was not booted, it says"
if grep -q '^failed .*booted without it' <<<"$(findings "$TMP/before.json" xen)"; then ok; else not_ok "$(findings "$TMP/before.json" xen)"; fi

case_begin "host apply --reboot reboots it and goes on"
start=$SECONDS
if apply second --reboot && [ "$(statuses "$TMP/second.json")" = 'unchanged changed' ]; then ok; else
	not_ok "$(cat "$TMP/second.json" "$TMP/second.err")"
fi
printf '      %d s\n' $((SECONDS - start))
check "Xen runs" xen_ssh "$lab" sudo xl list
equal "the host keeps what it was told to" 1 "$(xen_ssh "$lab" sudo xl info | grep -c 'dom0_mem=1024M,max:1024M')"
check "there is a kernel for machines" xen_ssh "$lab" test -s /var/lib/tepuy/xen/kernel -a -s /var/lib/tepuy/xen/initrd
check "machines' consoles are looked at each hour" xen_ssh "$lab" systemctl is-active tepuy-xen-consoles.timer
check "and can be rotated" xen_ssh "$lab" sudo systemctl start tepuy-xen-consoles.service
check "doctor finds nothing wrong" ask_doctor after
for finding in xen xen-kernel xen-memory xen-bridge xen-addresses; do
	case_begin "doctor says that $finding is well"
	case $(findings "$TMP/after.json" "$finding") in ok*) ok ;; *) not_ok "$(findings "$TMP/after.json" "$finding")" ;; esac
done
equal "the cluster has both" 'h1 xen1' "$(hosts_in_state alive)"
equal "one runs containers, one machines" 'docker xen' "$(tepuy host list --host h1 --json | jq -r '[.hosts[].runtime] | join(" ")')"
check "again, there is nothing to do" again_unchanged 2
finish
