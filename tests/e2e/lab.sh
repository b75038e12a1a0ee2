#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# needs: docker
# lane: hosts
# timeout: 900
# The lab that other tests stand on: its hosts are let into, its faults do what they say and can be healed, and nothing of
# it stays behind, while another lab is left alone.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/lab/hosts.sh
. "$(dirname "$0")/../lab/hosts.sh"

lab=tt-lab-$$ other=tt-lab-other-$$
at_exit lab_down "$lab"
at_exit lab_down "$other"

reaches() { # I J
	lab_root "$lab" "$1" ping -q -c 3 -W 3 "$(lab_address "$lab" "$2")"
}

reached_from_here() {
	timeout 10 bash -c "exec 3<>/dev/tcp/$(lab_address "$lab" "$1")/22"
}

# From the host's own apt sources.
reaches_mirror() {
	# shellcheck disable=SC2016 # for the host
	lab_root "$lab" "$1" bash -c '
		uri=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
			sed -n "s|^deb \(http[^ ]*\) bookworm .*|\1|p" | head -n 1)
		curl -fsS --connect-timeout 10 --max-time 60 -o /dev/null "${uri%/}/dists/bookworm/Release"'
}

left() {
	docker ps -aq --filter "label=tepuy-lab=$1"
	docker volume ls -q --filter "label=tepuy-lab=$1"
	docker network ls -q --filter "label=tepuy-lab=$1"
	iptables -w -S | grep -F "tepuy-lab:$1"
	ls -d "$(lab_dir "$1")" 2>/dev/null
}

start_labs() {
	lab_up "$lab" auto 2 bare && lab_up "$other" auto 1 bare
}

in_inventory() {
	lab_inventory "$lab" 1 | grep -q "h2: {address: $(lab_address "$lab" 2), fingerprint: \"SHA256:"
}

check "two hosts and another lab of one start" start_labs
equal "admin may use sudo" 0 "$(lab_ssh "$lab" 1 sudo -n id -u)"
equal "the host has its name" h2 "$(lab_ssh "$lab" 2 hostname)"
equal "its volumes are no overlay" 2 "$(lab_root "$lab" 1 stat -f -c %T /var/lib/docker /var/lib/tepuy | grep -cv overlay)"
check "the inventory names address and host key" in_inventory
check "hosts reach each other" reaches 1 2
check "they reach the mirror" reaches_mirror 1

lab_cut "$lab" 1
refuse "cut: h1 does not reach h2" reaches 1 2
refuse "cut: h2 does not reach h1" reaches 2 1
check "cut: this machine reaches it" reached_from_here 1
lab_heal "$lab"
check "healed, they reach each other" reaches 1 2

lab_cutall "$lab" 1
refuse "cutall: this machine does not reach it either" reached_from_here 1
lab_heal "$lab"
check "healed, it does" reached_from_here 1

lab_cutoff "$lab" 1
refuse "cutoff: the mirror is not reached" reaches_mirror 1
check "cutoff: the other host is" reaches 1 2
lab_heal "$lab"

lab_oneway "$lab" 1 2
refuse "oneway: no answer comes" reaches 2 1
lab_heal "$lab"

lab_hang "$lab" 2
refuse "a host that hangs does not let us in" timeout 3 ssh -F "$(lab_dir "$lab")/ssh_config" -o ConnectTimeout=2 h2 true
lab_unhang "$lab" 2
check "after unhang it does" lab_ssh "$lab" 2 true

key=$(lab_fingerprint "$lab" 2)
lab_root "$lab" 2 sh -c 'echo kept >/var/lib/tepuy/mark'
lab_kill "$lab" 2
check "a killed host comes back" lab_start "$lab" 2
equal "with the same host key" "$key" "$(lab_fingerprint "$lab" 2)"
equal "and its data" kept "$(lab_root "$lab" 2 cat /var/lib/tepuy/mark)"
check "a third host joins" lab_add "$lab" 3 bare
check "and reaches the others" reaches 3 1

lab_cut "$lab" 1
lab_hang "$lab" 2
lab_down "$lab"
equal "nothing is left of it, cut and hanging as it was" '' "$(left "$lab")"
check "the other lab is still there" lab_ssh "$other" 1 true
finish
