#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# timeout: 300
# What a bridge lets through to machines, in name spaces: a stranger on their network reaches what is published and
# nothing else, however the packets are cut up or tagged. The table is the one that tests/unit/agent/test-firewall.c
# holds against the program.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

here=$(cd "$(dirname "$0")" && pwd)
ns=ttfb$$

take_down() {
	local name

	for name in host stranger guest; do
		ip netns del "$ns-$name" 2>/dev/null
	done
}
at_exit take_down

# card NAME ADDRESS: a neighbour behind the host's bridge.
card() {
	ip netns add "$ns-$1" && ip link add "$ns${1:0:1}" type veth peer name eth0 netns "$ns-$1" &&
		ip link set "$ns${1:0:1}" netns "$ns-host" && ip -n "$ns-host" link set "$ns${1:0:1}" master br0 up &&
		ip -n "$ns-$1" addr add "$2/24" dev eth0 && ip -n "$ns-$1" link set eth0 up
}

# Where Docker runs, the kernel puts fragments together before a bridge forwards them; a host of machines has none.
# shellcheck disable=SC2016 # for that shell
as_without_docker() {
	ip netns exec "$ns-host" sh -c 'for file in /proc/sys/net/bridge/bridge-nf-call-*; do
		[ ! -e "$file" ] || echo 0 >"$file"; done'
}

build() {
	ip netns add "$ns-host" && ip -n "$ns-host" link add br0 type bridge && ip -n "$ns-host" link set br0 up &&
		card stranger 192.0.2.50 && card guest 192.0.2.100 && as_without_docker &&
		ip netns exec "$ns-host" nft -f "$here/../unit/agent/golden/firewall-machines.nft"
}

listens() {
	[ "$(ip netns exec "$ns-guest" ss -Hltn '( sport = :22 or sport = :80 )' | wc -l)" = 2 ]
}

reaches() {
	ip netns exec "$ns-stranger" python3 "$here/stranger.py" "$@"
}

check "a machine and a stranger are on one bridge" build
start_process guest ip netns exec "$ns-guest" python3 "$here/stranger.py" listen 22 80
check "the machine listens" wait_for 60 listens

check "a stranger reaches a published port" reaches plain 80
refuse "but no other" reaches plain 22
refuse "nor one by a segment in small fragments" reaches fragments 22
for tags in 8100 8100,8100 88a8,8100 8100,8100,8100; do
	refuse "nor one below the tags $tags of VLAN 0" reaches "$tags" 22
done

finish
