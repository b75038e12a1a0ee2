#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Consul restarted, killed, away for a minute and without its data, under requests through HAProxy: none fails, no
# container is touched, and what is asked for afterwards is done.
# needs: docker
# timeout: 1500

# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119,SC2120,SC2154,SC2317 # lib.sh sets and calls what looks unset and uncalled
. "$(dirname "$0")/lib.sh"
# shellcheck source=lib-service.sh
. "$(dirname "$0")/lib-service.sh"
# shellcheck source=lib-faults.sh
. "$(dirname "$0")/lib-faults.sh"

make_tiny
make_haproxy
free_port
WEB_PORT=$PORT
service_begin faults-consul
write_service first
check "a service comes up" up
before=$(containers)
check "a check is added" tepuy check add "$SERVICE/web" --tcp http --interval 1s

# Every node's checks, also the added one, pass in Consul.
checks_pass() {
	[ "$(curl -fsS "$CONSUL_URL/v1/health/state/passing" |
		jq -r --arg s "$SERVICE-" '[.[] | select(.ServiceID | startswith($s))] | length')" = 8 ] ||
		{ curl -fsS "$CONSUL_URL/v1/health/state/any" | jq -c '.[] | [.CheckID, .Status, .Output]'; return 1; }
}
check "all 8 checks of 3 nodes pass" within 60 checks_pass

untouched() {
	[ "$(containers)" = "$before" ] || { echo "before: $before"; echo "after: $(containers)"; return 1; }
}

# away COMMAND…: that is done with Consul under requests; then all passes again and both nodes get requests.
away() {
	requests_begin
	"$@" || { requests_end; return 1; }
	wait_for 60 consul_ready || { echo "Consul is not back"; return 1; }
	within 60 checks_pass || return 1
	throughout 3 untouched || return 1
	requests_end && untouched && serves first
}

restart_clean() {
	stop_consul
	run_consul
}
check "restarted: no request fails, no container is touched" away restart_clean

changed_at_once() {
	before_change=$(containers | grep /front/)
	wait_for 60 consul_ready
	write_service "$1"
	requests_begin
	up || return 1
	requests_end && within 60 serves "$1" && [ "$(containers | grep /front/)" = "$before_change" ]
}

restart_and_change() {
	restart_clean
	changed_at_once second && checks_pass_soon
}

checks_pass_soon() {
	within 60 checks_pass
}
check "a change as soon as it is back: done, no request failed" restart_and_change
write_service first
check "and the change back" changed_at_once first
check "the check that was added is on the new nodes" checks_pass_soon
before=$(containers)

kill_and_start() {
	kill_consul
	run_consul
}
check "killed with -9 and started" away kill_and_start

# Between the two HAProxy must keep both: what a Consul that has just begun calls critical counts for nothing yet.
away_twice() {
	kill_consul
	run_consul
	wait_for 60 consul_ready
	kill_consul
	run_consul
}
check "killed twice in a row" away away_twice

agent_starts_without() {
	kill_consul
	kill_agent
	run_agent
	throughout 5 untouched || return 1
	run_consul
	wait_for 60 agent_ready
}
check "the agent started anew while Consul is away: nodes run on, all is well when it is back" away agent_starts_without

node_dies_meanwhile() {
	local id
	id=$(container web/1)
	kill_consul
	docker kill "$id" >/dev/null
	wait_for 60 node_is_back web/1 || { echo "web/1 is not back"; return 1; }
	run_consul
	wait_for 60 consul_ready
	within 60 checks_pass
}

node_is_back() {
	[ -n "$(container "$1")" ]
}

died_meanwhile() {
	requests_begin
	node_dies_meanwhile || return 1
	requests_end && within 60 serves first
}
check "a node that is killed while Consul is away is started again without it" died_meanwhile
before=$(containers)

away_a_minute() {
	kill_consul
	sleep 60 # so long it is away
	if ! untouched || ! within 60 serves first; then
		run_consul
		return 1
	fi
	run_consul
}
check "away for a minute" away away_a_minute

frozen() {
	kill -STOP "$CONSUL_PID"
	sleep 12 # so long it is frozen
	kill -CONT "$CONSUL_PID"
}
check "frozen for 12 s: no answer and no refusal" away frozen

without_data() {
	requests_begin
	agent_mark
	stop_consul
	rm -rf "$TMP/consul"
	mkdir "$TMP/consul"
	run_consul
	wait_for 60 consul_ready
	within 60 all_found || return 1
	throughout 20 untouched && requests_end
}

# The agent has told Consul of the three nodes that it does not know.
all_found() {
	[ "$(keys found | wc -l)" = 3 ] || { echo "found: $(keys found)"; return 1; }
}
check "with an empty data directory: nothing that runs is removed or changed, requests are answered" without_data
check "the agent's log says that Consul lost its data" agent_said 'it seems to have lost its data. They run on'

# What the agent has to say of it then is no reason to take it away.
died_and_lost() {
	local id
	id=$(container web/1)
	kill_consul
	docker kill "$id" >/dev/null
	wait_for 60 node_is_back web/1 || { echo "web/1 is not back"; return 1; }
	before=$(containers)
	without_data
}

# Documents that say the same find all as it should be.
taken_over() {
	write_service first
	requests_begin
	up || return 1
	requests_end && within 60 only_nodes web/1 web/2 front/1 && within 60 serves first && untouched
}
check "'up' from the documents takes the service over again: no request fails, no container is touched" taken_over
check "its checks pass" within 60 all_pass 3

check "without its data, after a node died while it was away: nothing is removed" died_and_lost
check "taken over once more" taken_over

# Others replace what runs: also the node that has a port for itself, and under numbers that nobody has.
replaced() {
	without_data || return 1
	write_service second
	echo '    memory: 200M' >>"$TMP/service.yaml"
	up || return 1
	within 60 only_nodes web/1 web/2 front/1 && within 60 serves second || return 1
	! containers | cut -d' ' -f2 | grep -qFf <(cut -d' ' -f2 <<<"$before") || { echo "$before"; containers; return 1; }
}
before=$(containers)
check "lost again, 'up' from other documents replaces them" replaced
check "nothing is left over" within 60 all_pass 3

# A web node of a third revision, which the old copy of Consul's data below does not know.
old_copy() {
	stop_consul
	cp -r "$TMP/consul" "$TMP/consul.old"
	restart_consul
	write_service third
	up || return 1
	stop_consul
	rm -rf "$TMP/consul"
	mv "$TMP/consul.old" "$TMP/consul"
	restart_consul
	within 60 only_nodes web/1 web/2 front/1 && within 60 serves second
}
check "an old copy of Consul's data comes back: it is as that says, and nothing is there twice" old_copy
check "'down' removes it" tepuy down "$SERVICE" --yes
check "nothing is left" within 60 only_nodes

[ "$failed" -eq 0 ] || log_tail 60
finish
