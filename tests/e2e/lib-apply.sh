# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# For tests of `tepuy host`: source it behind lib.sh and ../lab/hosts.sh. $OPERATOR is the directory of an operator whose
# HOME is in it, with the hosts.yaml of the lab; tepuy is run there.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
OPERATOR=$TMP/operator
program=${TEPUY:-$root/build/src/cli/tepuy}

# prepare_operator LAB [SERVERS]
prepare_operator() {
	operator_lab=$1
	mkdir -p "$OPERATOR/.ssh"
	chmod 700 "$OPERATOR/.ssh"
	cp "$(lab_dir "$1")/ssh_config" "$OPERATOR/.ssh/config"
	lab_inventory "$1" "${2:-3}" >"$OPERATOR/hosts.yaml"
}

# In the operator's directory, with nothing of root's own; not as a person, so nothing is asked.
tepuy() {
	(cd "$OPERATOR" && env -u TEPUY_HOST HOME="$OPERATOR" setsid -w "$program" "$@")
}

# build_package [NAME [ARGUMENT…]]: deb NAME is its path.
build_package() {
	local name=${1:-package}

	[ $# -eq 0 ] || shift
	"$root/scripts/package" --to "$TMP/$name" "$@" >"$TMP/$name.out" 2>&1 || { cat "$TMP/$name.out"; return 1; }
	tail -n 1 "$TMP/$name.out" >"$TMP/$name.path"
}

deb() {
	cat "$TMP/$1.path"
}

statuses() { # FILE of host apply --json
	jq -r '[.hosts[].status] | join(" ")' "$1"
}

again_unchanged() { # N
	tepuy host apply --package "$(deb package)" --json >"$TMP/again.json" || return
	[ "$(statuses "$TMP/again.json")" = "$(for ((i = 0; i < $1; i++)); do echo unchanged; done | xargs)" ] ||
		{ cat "$TMP/again.json"; return 1; }
}

hosts_in_state() { # alive
	tepuy host list --host h1 --json | jq -r --arg flag "$1" '[.hosts[] | select(.[$flag]) | .name] | join(" ")'
}

# As one of them sees it; its token is a root's file there.
servers_alive() {
	# shellcheck disable=SC2016 # for the host
	lab_root "$operator_lab" "$1" sh -c 'CONSUL_HTTP_TOKEN=$(cat /etc/tepuy/consul-token) consul members' |
		awk '$3 == "alive" && $4 == "server"' | wc -l
}

# Consul's word on a member may be late, or wrong for a moment on a busy machine: to be waited for.
servers_are() { # I N
	[ "$(servers_alive "$1")" = "$2" ]
}

alive_are() { # NAMES
	[ "$(hosts_in_state alive)" = "$1" ]
}

version_on() { # I
	# shellcheck disable=SC2016 # dpkg's own variable
	lab_root "$operator_lab" "$1" dpkg-query -W -f '${Version}\n' tepuy
}
