#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The agent built with the thread sanitizer, and with the address and undefined behaviour ones, through the life of a
# service: made, changed, disconnected and connected, checked, asked by many at once, without Consul, killed, removed.
# needs: docker
# timeout: 1500

# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119,SC2120,SC2154,SC2317 # lib.sh sets and calls what looks unset and uncalled
. "$(dirname "$0")/lib.sh"
# shellcheck source=lib-service.sh
. "$(dirname "$0")/lib-service.sh"
# shellcheck source=lib-faults.sh
. "$(dirname "$0")/lib-faults.sh"

# build_with DIR SANITIZERS: incrementally; only the program.
build_with() {
	if [ ! -f "$root/$1/build.ninja" ]; then
		CC=clang meson setup "$root/$1" "$root" "-Db_sanitize=$2" -Db_lundef=false || return 1
	fi
	ninja -C "$root/$1" src/cli/tepuy
}

# What a sanitizer says goes to files, one a process, so that also the agent's children are heard.
reports() {
	local file
	for file in "$TMP"/report.*; do
		[ -e "$file" ] || continue
		cat "$file"
		return 1
	done
}

probe_tcp() {
	tepuy check add "$SERVICE/web" --tcp http --interval 1s --id added
}

added_passes() {
	[ "$(tepuy checks --json "$SERVICE/web" |
		jq '[.. | objects | select(.added == true and .status == "passing")] | length')" = 2 ]
}

all_at_once() {
	local i status=0 pids=()
	for ((i = 0; i < 20; i++)); do
		tepuy status --json >/dev/null &
		pids+=($!)
		tepuy logs "$SERVICE" >/dev/null &
		pids+=($!)
		tepuy exec "$SERVICE/web/1" -- true &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i" || status=1; done # wait of all says how the last one ended
	return "$status"
}

consul_back() {
	agent_mark
	kill_consul
	wait_for 60 agent_said 'Consul is away' || return 1
	run_consul
	wait_for 60 consul_ready && wait_for 60 agent_ready
}

node_back() {
	agent_mark
	docker kill "$(container web/1)" >/dev/null
	wait_for 60 agent_said 'web/1\.[0-9]* ended' || return 1
	within 60 only_nodes web/1 web/2 front/1
}

agent_ends() {
	stop_agent
	reports
}

# life NAME: all of it with the agent that $TEPUY is now.
life() {
	write_service first
	check "$1: up" up
	write_service second
	check "$1: changed" up
	check "$1: a node is disconnected" tepuy disconnect "$SERVICE/web/2"
	check "$1: and connected" tepuy connect "$SERVICE/web/2"
	check "$1: a check is added" probe_tcp
	check "$1: it passes" within 60 added_passes
	check "$1: it is removed" tepuy check remove "$SERVICE" added
	check "$1: asked by many at once" all_at_once
	check "$1: a node is killed" node_back
	check "$1: Consul is killed" consul_back
	check "$1: it serves" within 60 serves second
	check "$1: down" tepuy down "$SERVICE" --yes
	check "$1: nothing is left" within 60 only_nodes
	check "$1: the agent ends, and nothing was reported" agent_ends
}

make_tiny
make_haproxy
free_port
WEB_PORT=$PORT
check "a build with the thread sanitizer" build_with build-tsan thread
check "a build with the address and undefined behaviour sanitizers" build_with build-asan-e2e address,undefined

export TSAN_OPTIONS=log_path=$TMP/report:second_deadlock_stack=1:suppressions=$TMP/tsan.supp
export ASAN_OPTIONS=log_path=$TMP/report:detect_stack_use_after_return=1:strict_string_checks=1
export UBSAN_OPTIONS=log_path=$TMP/report:print_stacktrace=1 LSAN_OPTIONS=report_objects=1
: >"$TMP/tsan.supp"
TEPUY=$root/build-tsan/src/cli/tepuy
service_begin faults-sanitizers
life "threads"
TEPUY=$root/build-asan-e2e/src/cli/tepuy
check "the other agent starts" start_agent
life "memory"
[ "$failed" -eq 0 ] || log_tail 40
finish
