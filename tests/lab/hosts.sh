#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Hosts of a lab: Docker containers that run systemd and sshd, each with an address of its own. A command, and a library
# for the end-to-end scripts (source it; each command below is also a function lab_COMMAND with the same words):
#
#   hosts.sh up PREFIX SUBNET N [bare|ready]   makes hosts h1…hN at SUBNET.11…, waits until sshd lets us in
#   hosts.sh add PREFIX I [bare|ready]         one more, h<I>; LAB_RUN_OPTIONS: more words for `docker run`
#   hosts.sh down PREFIX                       removes that lab's hosts, volumes, network, rules and keys: nothing else
#   hosts.sh ssh PREFIX I COMMAND…             as admin; without a command a shell
#   hosts.sh root PREFIX I COMMAND…            as root, not through SSH: works when its network is cut
#   hosts.sh inventory PREFIX [SERVERS]        a hosts.yaml of the hosts, with their keys' fingerprints
#   hosts.sh address|container PREFIX I
#   hosts.sh cut PREFIX I        no other host of the lab is reached from it, nor it from them; this machine is
#   hosts.sh cutall PREFIX I     nor this machine
#   hosts.sh cutoff PREFIX I     not the world outside either way (mirrors); the lab and this machine are
#   hosts.sh pair PREFIX I J     only these two, from each other      hosts.sh oneway PREFIX I J   I's to J are lost
#   hosts.sh loss PREFIX I P     loses packets with probability P     hosts.sh heal PREFIX         undoes all of these
#   hosts.sh hang|unhang PREFIX I    the machine stands still         hosts.sh kill|start PREFIX I   power cut and return
#
# SUBNET is the first three numbers ("10.80.0") or `auto`: one that nobody here uses. Everything has the label
# tepuy-lab=PREFIX. Files of a lab are in $LAB_STATE/PREFIX (default ${TMPDIR:-/tmp}/tepuy-lab): `id` and `id.pub`, made
# anew for each lab; `ssh_config` (ssh -F, tepuy's too) and `known_hosts`. A test removes its lab however it ends:
#
#   . "$(dirname "$0")/lib.sh"; . "$(dirname "$0")/../lab/hosts.sh"
#   at_exit lab_down tt-mine-$$
#   lab_up tt-mine-$$ auto 3 ready

lab_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lab_state=${LAB_STATE:-${TMPDIR:-/tmp}/tepuy-lab}

lab_say() {
	printf 'lab: %s\n' "$*" >&2
}

# The files of a lab.
lab_dir() {
	echo "$lab_state/$1"
}

lab_container() {
	echo "$1-h$2"
}

lab_address() {
	echo "$(cat "$(lab_dir "$1")/subnet").$((10 + $2))"
}

# An interface's name has at most 15 characters.
lab_bridge() {
	if [ "${#1}" -le 12 ]; then echo "br-$1"; else echo "br-$(cksum <<<"$1" | tr -dc 0-9 | cut -c 1-10)"; fi
}

lab_ssh() {
	local prefix=$1 i=$2

	shift 2
	ssh -F "$(lab_dir "$prefix")/ssh_config" "h$i" "$@"
}

lab_root() {
	local container

	container=$(lab_container "$1" "$2")
	shift 2
	docker exec "$container" "$@"
}

# lab_wait SECONDS COMMAND…
lab_wait() {
	local end=$((SECONDS + $1))

	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.1
	done
}

# Addresses that an interface of this machine, or a network of Docker, has already are no good.
lab_free_subnet() {
	local n used

	used=$(ip -4 route show | awk '{print $1}'; docker network ls -q | xargs -r docker network inspect \
		-f '{{range .IPAM.Config}}{{.Subnet}} {{end}}' | tr ' ' '\n')
	for n in $(seq $((100 + $$ % 100)) 199) $(seq 100 199); do
		if ! grep -q "^10\.99\.$n\." <<<"$used"; then
			echo "10.99.$n"
			return
		fi
	done
	lab_say "all of 10.99.100.0 to 10.99.199.0 are in use; remove a lab that nobody needs"
	return 1
}

# lab_network PREFIX SUBNET: the network, a key, ssh's configuration. `auto` tries another one when it was taken meanwhile.
lab_network() {
	local prefix=$1 dir subnet try

	dir=$(lab_dir "$prefix")
	mkdir -p "$dir" || mkdir -p "$dir" || return # another lab that goes removes their common directory
	chmod 700 "$dir"
	for try in 1 2 3 4 5; do
		subnet=${2%.0/24}
		[ "$subnet" != auto ] || subnet=$(lab_free_subnet) || return
		docker network create --label "tepuy-lab=$prefix" --subnet "$subnet.0/24" --gateway "$subnet.1" \
			-o "com.docker.network.bridge.name=$(lab_bridge "$prefix")" "$prefix" >/dev/null && break
		[ "$2" = auto ] && [ "$try" -lt 5 ] || return
	done
	echo "$subnet" >"$dir/subnet"
	rm -f "$dir/id" "$dir/id.pub"
	ssh-keygen -q -t ed25519 -N '' -C "$prefix" -f "$dir/id" || return
	: >"$dir/known_hosts"
	cat >"$dir/ssh_config" <<-END
		Host *
		  User admin
		  IdentityFile $dir/id
		  IdentitiesOnly yes
		  IdentityAgent none
		  UserKnownHostsFile $dir/known_hosts
		  GlobalKnownHostsFile /dev/null
		  StrictHostKeyChecking yes
		  UpdateHostKeys no
		  ConnectTimeout 10
		  LogLevel ERROR
	END
}

# lab_run PREFIX I KIND: starts a host without waiting for it.
lab_run() {
	local prefix=$1 name dir dns volume

	name=$(lab_container "$1" "$2")
	dir=$(lab_dir "$prefix")
	dns=$(awk '/^nameserver/ {print $2; exit}' /etc/resolv.conf)
	for volume in docker tepuy; do
		docker volume create --label "tepuy-lab=$prefix" "$name-$volume" >/dev/null || return
	done
	# shellcheck disable=SC2086 # words
	docker run -d --name "$name" --hostname "h$2" --label "tepuy-lab=$prefix" --cap-add ALL --cap-drop SYS_RESOURCE \
		--security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined \
		--device-cgroup-rule 'a *:* rwm' --cgroupns private \
		--tmpfs /run:exec,mode=755 --tmpfs /run/lock:mode=1777 --tmpfs /tmp:exec,mode=1777 \
		-v "$name-docker:/var/lib/docker" -v "$name-tepuy:/var/lib/tepuy" \
		--network "$prefix" --ip "$(lab_address "$prefix" "$2")" -e LAB_DNS="$dns" -e LAB_KEY="$(cat "$dir/id.pub")" \
		--stop-signal SIGRTMIN+3 ${LAB_RUN_OPTIONS:-} "tepuy-lab:${3:-bare}" >/dev/null || return
	printf 'Host h%s\n  HostName %s\n' "$2" "$(lab_address "$prefix" "$2")" >>"$dir/ssh_config"
}

lab_host_key() {
	docker exec "$(lab_container "$1" "$2")" cat /etc/ssh/ssh_host_ed25519_key.pub
}

# lab_ready PREFIX I: its key becomes known, not asked of the network but of Docker; sshd lets us in.
lab_ready() {
	local prefix=$1 address dir

	dir=$(lab_dir "$prefix")
	address=$(lab_address "$prefix" "$2")
	lab_wait 180 lab_host_key "$prefix" "$2" || { lab_say "h$2 makes no host key; see 'docker logs $(lab_container "$prefix" "$2")'"; return 1; }
	sed -i "/^$address,/d" "$dir/known_hosts"
	printf '%s,h%s %s\n' "$address" "$2" "$(lab_host_key "$prefix" "$2" | cut -d ' ' -f 1,2)" >>"$dir/known_hosts"
	lab_wait 180 lab_ssh "$prefix" "$2" true || { lab_say "h$2: sshd at $address does not let us in"; return 1; }
}

lab_up() {
	local prefix=$1 kind=${4:-bare} i

	"$lab_here/build.sh" "$kind" || return
	lab_network "$prefix" "$2" || return
	for ((i = 1; i <= $3; i++)); do
		lab_run "$prefix" "$i" "$kind" || return
	done
	for ((i = 1; i <= $3; i++)); do
		lab_ready "$prefix" "$i" || return
	done
}

lab_add() {
	"$lab_here/build.sh" "${3:-bare}" && lab_run "$1" "$2" "${3:-bare}" && lab_ready "$1" "$2"
}

lab_down() {
	local prefix=$1 label=label=tepuy-lab=$1

	[ -n "$prefix" ] || return
	lab_heal "$prefix"
	# An emulated host (xen.sh) is none of Docker's.
	[ ! -d "$(lab_dir "$prefix")/xen" ] || "$lab_here/xen.sh" down "$prefix"
	# A host that hangs could not be removed by older engines.
	docker ps -q --filter "$label" --filter status=paused | xargs -r docker unpause >/dev/null 2>&1
	docker ps -aq --filter "$label" | xargs -r docker rm -f -v >/dev/null 2>&1
	docker volume ls -q --filter "$label" | xargs -r docker volume rm >/dev/null
	docker network ls -q --filter "$label" | xargs -r docker network rm >/dev/null
	rm -rf "$(lab_dir "$prefix")"
	rmdir "$lab_state" 2>/dev/null
	return 0
}

# The hosts that are there, by number.
lab_numbers() {
	docker ps -a --filter "label=tepuy-lab=$1" --format '{{.Names}}' | sed -n "s/^$1-h//p" | sort -n
}

lab_fingerprint() {
	lab_host_key "$1" "$2" | ssh-keygen -l -f - | cut -d ' ' -f 2
}

# lab_inventory PREFIX [SERVERS]: SERVERS are the first so many hosts (3).
lab_inventory() {
	local i servers=''

	for i in $(lab_numbers "$1" | head -n "${2:-3}"); do servers+="${servers:+, }h$i"; done
	printf 'defaults: {user: admin, runtime: docker}\nconsul: {datacenter: lab, servers: [%s]}\nhosts:\n' "$servers"
	for i in $(lab_numbers "$1"); do
		printf '  h%s: {address: %s, fingerprint: "%s"}\n' "$i" "$(lab_address "$1" "$i")" "$(lab_fingerprint "$1" "$i")"
	done
}

# lab_drop PREFIX CHAIN MATCH…: one rule, marked as this lab's.
lab_drop() {
	local prefix=$1 chain=$2

	shift 2
	iptables -w -I "$chain" "$@" -m comment --comment "tepuy-lab:$prefix" -j DROP
}

lab_cut() {
	local a b

	a=$(lab_address "$1" "$2") b=$(lab_bridge "$1")
	lab_drop "$1" DOCKER-USER -s "$a" -o "$b"
	lab_drop "$1" DOCKER-USER -d "$a" -i "$b"
}

lab_cutall() {
	local a b

	a=$(lab_address "$1" "$2") b=$(lab_bridge "$1")
	lab_cut "$1" "$2"
	lab_drop "$1" OUTPUT -o "$b" -d "$a"
	lab_drop "$1" INPUT -i "$b" -s "$a"
}

lab_cutoff() {
	local a b

	a=$(lab_address "$1" "$2") b=$(lab_bridge "$1")
	lab_drop "$1" DOCKER-USER -s "$a" ! -o "$b"
	lab_drop "$1" DOCKER-USER -d "$a" ! -i "$b"
}

lab_oneway() {
	lab_drop "$1" DOCKER-USER -s "$(lab_address "$1" "$2")" -d "$(lab_address "$1" "$3")"
}

lab_pair() {
	lab_oneway "$1" "$2" "$3"
	lab_oneway "$1" "$3" "$2"
}

lab_loss() {
	local a b

	a=$(lab_address "$1" "$2") b=$(lab_bridge "$1")
	lab_drop "$1" DOCKER-USER -s "$a" -o "$b" -m statistic --mode random --probability "$3"
	lab_drop "$1" DOCKER-USER -d "$a" -i "$b" -m statistic --mode random --probability "$3"
}

lab_heal() {
	local chain rule

	# By what it says and not by its number, which another lab's rule changes at any time.
	for chain in DOCKER-USER INPUT OUTPUT; do
		iptables -w -S "$chain" 2>/dev/null | grep -E -- "--comment \"?tepuy-lab:$1\"?( |\$)" | sed 's/^-A/-D/' |
			while read -r rule; do xargs iptables -w <<<"$rule"; done
	done
}

lab_hang() {
	docker pause "$(lab_container "$1" "$2")" >/dev/null
}

lab_unhang() {
	docker unpause "$(lab_container "$1" "$2")" >/dev/null
}

lab_kill() {
	docker kill "$(lab_container "$1" "$2")" >/dev/null
}

# Waits until sshd lets us in again.
lab_start() {
	docker start "$(lab_container "$1" "$2")" >/dev/null && lab_ready "$1" "$2"
}

lab_usage() {
	sed -n '6,21s/^# \{0,3\}//p' "$lab_here/hosts.sh" >&2
	return 2
}

lab_main() {
	local words

	case ${1:-} in
	up) words='4 5' ;;
	add) words='3 4' ;;
	down | heal) words='2 2' ;;
	ssh | root) words='3 1000' ;;
	inventory) words='2 3' ;;
	address | container | cut | cutall | cutoff | hang | unhang | kill | start) words='3 3' ;;
	pair | oneway | loss) words='4 4' ;;
	*) words='1000 0' ;;
	esac
	if [ $# -lt "${words% *}" ] || [ $# -gt "${words#* }" ]; then
		lab_usage
		return
	fi
	"lab_$1" "${@:2}"
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
	set -uo pipefail
	lab_main "$@"
fi
