#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# dockerd restarted and killed under an agent: nodes are back by themselves, and with live-restore they are not even
# touched. Docker, Consul and the agent run in namespaces of this script's own, beside the host's Docker.
# timeout: 1200

# shellcheck source-path=SCRIPTDIR disable=SC2119,SC2120,SC2154,SC2317 # lib.sh sets and calls what looks unset and uncalled

if [ -z "${FAULTS_NETWORK:-}" ]; then
	export FAULTS_NETWORK=own
	exec unshare --net --mount bash "$0" "$@"
fi
ip link set lo up

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=lib-service.sh
. "$(dirname "$0")/lib-service.sh"
# shellcheck source=lib-faults.sh
. "$(dirname "$0")/lib-faults.sh"

# Not below /tmp, which may be an overlay or a tmpfs, where Docker cannot keep images as it usually does.
engine=$(mktemp -d /var/lib/tt-faults.XXXXXX)
at_exit wait_for 20 rm -rf "$engine"
export DOCKER_HOST=unix://$engine/docker.sock
options=()

# As Debian has it: containerd is a service of its own, which goes on when dockerd is killed.
start_containerd() {
	cat >"$TMP/containerd.toml" <<-END
		version = 2
		root = "$engine/containerd"
		state = "$engine/exec/containerd"
		disabled_plugins = ["io.containerd.grpc.v1.cri"]
		[grpc]
		address = "$engine/containerd.sock"
		[ttrpc]
		address = "$engine/containerd.sock.ttrpc"
	END
	start_process containerd containerd --config "$TMP/containerd.toml"
	wait_for 60 test -S "$engine/containerd.sock"
}

start_dockerd() {
	start_process dockerd dockerd --host "$DOCKER_HOST" --data-root "$engine/data" --exec-root "$engine/exec" \
		--pidfile "$engine/pid" --containerd "$engine/containerd.sock" --ip6tables=false ${options[@]+"${options[@]}"}
	DOCKERD=$pid
}

dockerd_ready() {
	start_dockerd
	wait_for 60 docker version
}

kill_dockerd() {
	end_process "$DOCKERD" KILL
}

# Without live-restore containers end with it; with it they, and their shims, are this script's to end.
end_dockerd() {
	local id
	for id in $(docker ps --all --quiet); do
		docker rm --force "$id"
	done >/dev/null 2>&1
	end_process "$DOCKERD" TERM 60
}

run_agent() {
	start_process agent "$TEPUY" agent --socket "$TEPUY_SOCKET" --state-dir "$STATE" --consul "$CONSUL_URL" \
		--address "$ADDRESS" --name "$HOST_NAME" --log-level debug --runtime-endpoint "$engine/docker.sock" "$@"
	AGENT_PID=$pid
}

make_tiny
make_haproxy
free_port
WEB_PORT=$PORT
check "a containerd of its own runs" start_containerd
check "and a dockerd" dockerd_ready
at_exit end_dockerd
service_begin faults-docker
write_service first
check "a service comes up" up
check "a check is added" tepuy check add "$SERVICE/web" --tcp http --interval 1s

added_passes() {
	[ "$(tepuy checks --json "$SERVICE/web" |
		jq '[.. | objects | select(.added == true and .status == "passing")] | length')" = 2 ] ||
		{ tepuy checks "$SERVICE/web"; return 1; }
}
check "and passes on both nodes" within 60 added_passes

all_back() {
	within 60 all_well
}

all_well() {
	only_nodes web/1 web/2 front/1 && all_pass 3 && added_passes && serves first
}

restarted() {
	end_process "$DOCKERD" "$1" 60
	sleep "${2:-0}" # so long it is away
	dockerd_ready && all_back
}
check "dockerd restarted: the nodes are back, with the added check" restarted TERM
check "dockerd killed with -9 and started: the same" restarted KILL
check "dockerd away for 8 s: the same" restarted KILL 8

event_arrives() {
	docker kill "$(container web/1)" >/dev/null
	wait_for 60 not_same || { echo "web/1 was not started again"; return 1; }
	all_back
}

not_same() {
	agent_said 'web/1\.[0-9]* ended with exit status 137' && [ -n "$(container web/1)" ]
}
agent_mark
check "after it the agent follows Docker's events again: a killed node is back" event_arrives

status_says() {
	tepuy status "$SERVICE" | grep "$1" || { tepuy status "$SERVICE"; return 1; }
}

up_without() {
	local status=0
	kill_dockerd
	write_service second
	up --detach || return 1
	within 60 status_says docker.sock || status=1
	dockerd_ready || return 1
	wait_for 60 phase_is "done" || { echo "phase: $(phase)"; status=1; }
	within 60 only_nodes web/1 web/2 front/1 && within 60 serves second && return "$status"
}
check "a change that was asked for while dockerd was away is made when it is back" up_without

agent_and_docker() {
	kill_agent
	kill_dockerd
	agent_mark
	run_agent
	wait_for 60 agent_said 'Waiting for a runtime' || { echo "the agent does not say what it waits for"; return 1; }
	dockerd_ready || return 1
	wait_for 60 agent_ready && within 60 only_nodes web/1 web/2 front/1 && within 60 serves second
}
check "agent and dockerd killed together, the agent first to be back" agent_and_docker

# Loopback goes through docker-proxy, which ends with dockerd; the bridge's address does not.
fetch() {
	curl -fsS --max-time 15 "http://$ADDRESS:$WEB_PORT/"
}

live_restore() {
	end_process "$DOCKERD" TERM 60
	options=(--live-restore --userland-proxy=false)
	dockerd_ready && within 60 only_nodes web/1 web/2 front/1 && within 60 all_pass 3 && within 60 serves second
}
check "dockerd with live-restore and no proxies of its own" live_restore

# Requests end before dockerd begins: it makes its address translation anew then, which cuts new connections for
# some tenths of a second whatever runs on it.
untouched_by() {
	before=$(containers)
	requests_begin
	end_process "$DOCKERD" "$1" 60
	throughout 3 requests_fine || return 1
	requests_end || return 1
	dockerd_ready || return 1
	[ "$(containers)" = "$before" ] || { echo "before: $before"; echo "after: $(containers)"; return 1; }
	within 60 all_pass 3 && within 60 serves second
}
check "away under requests: none fails, no container is touched" untouched_by TERM
check "killed with -9 under requests: the same" untouched_by KILL
check "down" tepuy down "$SERVICE" --yes
check "nothing is left" within 60 only_nodes
if [ "$failed" -gt 0 ]; then
	log_tail 60
	tail -n 20 "$TMP/dockerd.log"
fi
finish
