#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Three hosts of a lab, each with Consul (all three are servers), Docker and an agent; HAProxy on h1, web nodes on all, one
# node with data on h3. Under load: a host dies and comes back, one is cut off, HAProxy's host is cut off from Consul,
# Consul has no quorum, every agent and every Consul server is restarted, a host is drained. When FAULTS_TABLE names a file, as
# docs/faults.md, the document on what it counted is written there.
# needs: docker
# lane: hosts
# timeout: 2400

# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119,SC2120,SC2154,SC2317 # lib.sh sets and calls what looks unset and uncalled
. "$(dirname "$0")/lib.sh"
# shellcheck source=lib-service.sh
. "$(dirname "$0")/lib-service.sh"
# shellcheck source=lib-faults.sh
. "$(dirname "$0")/lib-faults.sh"
# shellcheck source=../lab/hosts.sh
. "$(dirname "$0")/../lab/hosts.sh"
# shellcheck source=lib-hosts.sh
. "$(dirname "$0")/lib-hosts.sh"

# Long enough for Consul to be sure, short enough for a test; the default is a minute.
RESCHEDULE=12
# Longer than HAProxy waits for a node: wrk counts a request that hangs every two seconds anew.
LOAD_TIMEOUT=60s
make_tiny
make_haproxy
hosts_begin failures 3 --reschedule-after "${RESCHEDULE}s"
WEB_PORT=8080
LOAD_CONNECTIONS=16
began_s=$SECONDS load_before=$(cut -d " " -f 1 /proc/loadavg)
url=http://$(lab_address "$LAB" 1):$WEB_PORT/

# document TEXT [PLACE]: a page on every host, or all on $WEB_HOST; HAProxy on h1; data where PLACE says, or else where
# it is already.
document() {
	cat >"$TMP/service.yaml" <<-END
		service: $SERVICE
		components:
		  web:
		    recipe: tiny
		    nodes: 3
		    config: {text: $1}
		    ${WEB_HOST:+place: {host: $WEB_HOST\}}
		    update: {order: start-first, parallel: 1, healthy_for: 1s, deadline: 120s, on_failure: rollback}
		  front:
		    recipe: haproxy
		    connect: {backend: web}
		    publish: {http: $WEB_PORT}
		    place: {host: h1}
		  keeper:
		    recipe: tiny-data
		    ${2:+place: {host: $2\}}
	END
	hosts_copy 1 "$TMP/service.yaml"
	hosts_copy 2 "$TMP/service.yaml"
}

requests=0 failures=0 WEB_HOST=''
hosts_seed
document first h3
checked "the service comes up, one page on each host" hosts_up 1
spread_out() {
	[ "$(placed web)" = "h1 h2 h3" ] || { echo "web: $(placed web)"; return 1; }
	[ "$(placed keeper)" = h3 ] && [ "$(placed front)" = h1 ]
}
checked "nodes are where they should be" spread_out

# --- operators ---

# Both are at it at once: one is told that somebody else was quicker, when it submits or, if it was the quicker one, while
# it follows.
two_operators() {
	local first=0 second=0 pid
	document second
	sed -i 's/second/third/' "$TMP/service.yaml"
	hosts_copy 2 "$TMP/service.yaml"
	hosts_up 1 >"$TMP/first" 2>&1 &
	pid=$!
	hosts_up 2 >"$TMP/second" 2>&1 || second=$?
	wait "$pid" || first=$?
	within 180 hosts_phase 1 "done" || return 1
	[ $((first + second)) = 1 ] && [ "$(cat "$TMP/first" "$TMP/second" | grep -cE \
		"has changed $SERVICE in the meantime \(revision|someone else submitted revision")" = 1 ] && return
	echo "exit status $first and $second"
	cat "$TMP/first" "$TMP/second"
	return 1
}
checked "two operators on two hosts at once: one of them is told, the other one's wish comes true" two_operators

revision_above() {
	[ "$(hosts_json | jq -r '.services[0].status.revision')" -gt "$1" ]
}
killed_command() {
	local revision
	revision=$(hosts_json | jq -r '.services[0].status.revision')
	document fourth
	# shellcheck disable=SC2016 # for the host
	hosts_exec 2 sh -c 'tepuy up /root/service.yaml --recipes /root/recipes --yes & echo $! >/run/up.pid; wait' >/dev/null 2>&1 &
	wait_for 180 revision_above "$revision" || return 1
	# shellcheck disable=SC2016
	hosts_exec 2 sh -c 'kill -KILL "$(cat /run/up.pid)"' || return 1
	within 180 hosts_phase 1 "done" || return 1
	wait_for 180 says_only fourth || { echo "it says $(curl -fsS "$url")"; return 1; }
	hosts_up 2
}
checked "the command line killed in the middle of 'up': it goes on, and 'up' again follows it" killed_command

# --- a host dies ---

# An update of nodes on other hosts than HAProxy's: their drains end when HAProxy says so, not at their deadline.
update_across() {
	local began
	began=$(now_ms)
	document sixth
	hosts_up 1 || return 1
	[ $(($(now_ms) - began)) -lt 120000 ] || { echo "it took $(seconds $(($(now_ms) - began)))"; return 1; }
}
checked "drains on other hosts do not last until their deadline" update_across

# fail_load WHY: ends what a case began.
fail_load() {
	echo "$1"
	load_stop
	lab_heal "$LAB"
	return 1
}

# tell_failed MS WHAT-ELSE: when requests failed, in ms after that, and what the agent of HAProxy's host logged since.
tell_failed() {
	failed_since "$1" >"$TMP/failed"
	sed -n '1,5p' "$TMP/failed"
	echo "… ${2:+$2, }the last of $(wc -l <"$TMP/failed"): $(tail -n 1 "$TMP/failed")"
	hosts_exec 1 journalctl --no-pager -o short-precise -u tepuy-agent --since "@$(($1 / 1000))" | tail -n 60
}

# An update puts new nodes where there is most room: until one of them is there.
web_on() {
	local try
	for try in 1 2 3 4; do
		[[ " $(placed web) " != *" $1 "* ]] || return 0
		document "again-$try"
		hosts_up 1 || return 1
	done
	echo "web: $(placed web)"
	return 1
}
checked "a web node is on the host that is going to die" web_on h3

host_dies() {
	local late
	load_start died "$url"
	sleep 2
	began=$(now_ms)
	lab_kill "$LAB" 3
	wait_for 180 routes_avoid h3 || { hosts_servers; fail_load "HAProxy still sends to h3"; return; }
	out_ms=$(($(now_ms) - began))
	wait_for 180 healthy_elsewhere web 3 h3 || { fail_load "web: $(placed web)"; return; }
	moved_ms=$(($(now_ms) - began))
	sleep 2
	load_stop
	table "a host with a web node is killed" "$requests" "$failures" "HAProxy leaves it out after $(seconds "$out_ms"); all nodes healthy elsewhere after $(seconds "$moved_ms") (nodes move after $RESCHEDULE s)"
	# Only what was in flight on the dead machine: no more than the load's connections, and begun at its death.
	[ "$failures" -le "$LOAD_CONNECTIONS" ] || { cat "$TMP/died.wrk"; failed_since "$began" | head -n 20; return 1; }
	late=$(failed_since $((began + 2000)))
	[ -z "$late" ] || { echo "failed though begun more than 2 s after the kill: $late"; return 1; }
}
checked "a host dies under load: only requests in flight there fail, its pages run elsewhere" host_dies

data_stays() {
	[ "$(placed_all keeper)" = h3 ] || { echo "keeper: $(placed_all keeper)"; return 1; }
	! hosts_exec 1 docker ps -a --format '{{.Names}}' | grep keeper && ! hosts_exec 2 docker ps -a --format '{{.Names}}' | grep keeper
}
checked "the node with data on the dead host is started nowhere else" data_stays

host_returns() {
	load_start returned "$url"
	lab_start "$LAB" 3 || return 1
	began=$(now_ms)
	within 180 settled || return 1
	back_ms=$(($(now_ms) - began))
	sleep 2
	load_stop
	table "the host comes back" "$requests" "$failures" "all as it should be after $(seconds "$back_ms")"
	within 180 no_ghosts || return 1
	[ "$failures" = 0 ] || { cat "$TMP/returned.wrk"; return 1; }
}
checked "it comes back: what is too much there goes, data serves again, no ghost is in the catalog, no request fails" host_returns

# --- a host is cut off ---

cut_off() {
	make_leader other 1 || return 1
	victim=$(consul_leader)
	before=$(hosts_containers "$victim")
	load_start cut "$url"
	sleep 1
	lab_cut "$LAB" "$victim"
	began=$(now_ms)
	wait_for 180 healthy_elsewhere web 3 "h$victim" || { fail_load "web: $(placed web)"; return; }
	moved_ms=$(($(now_ms) - began))
	[ "$(hosts_containers "$victim")" = "$before" ] || { echo "its nodes were touched"; return 1; }
	lab_heal "$LAB"
	within 180 settled || return 1
	load_stop
	table "the host that leads Consul is cut off, and comes back" "$requests" "$failures" "all nodes healthy elsewhere after $(seconds "$moved_ms"), its own run on"
	within 180 no_ghosts || return 1
	[ "$failures" -le "$LOAD_CONNECTIONS" ] || { cat "$TMP/cut.wrk"; return 1; }
}
checked "a host is cut off: it keeps its nodes, others take over; back again, what is too much goes" cut_off

# --- HAProxy's host is cut off from Consul ---

# A server that left may still be in HAProxy until its last session has ended.
only_ready() {
	before=$(hosts_servers)
	[ "$(grep -c ' ready$' <<<"$before")" = 3 ] && [ "$(wc -l <<<"$before")" = 3 ]
}
front_cut_off() {
	wait_for 180 only_ready || { echo "HAProxy has: $before"; return 1; }
	load_start front "$url"
	sleep 1
	cut_consul 1
	sleep 60 # Consul's view of h1 ends after six seconds, what the others make of it after $RESCHEDULE more
	during=$(hosts_servers)
	lab_heal "$LAB"
	within 180 settled || return 1
	load_stop
	table "HAProxy's host is cut off from Consul for a minute" "$requests" "$failures" "its routes stay as they were"
	[ "$during" = "$before" ] || { echo "before: $before"; echo "during: $during"; return 1; }
	[ "$failures" = 0 ] || { cat "$TMP/front.wrk"; return 1; }
}
checked "HAProxy's host is cut off from Consul: it keeps its routes, no request fails" front_cut_off

# --- agents and Consul are restarted ---

agents_restarted() {
	local i
	before=$(for i in 1 2 3; do hosts_containers "$i"; done)
	load_start agents "$url"
	sleep 1
	for i in 1 2 3; do hosts_exec "$i" systemctl kill -s KILL tepuy-agent & done
	wait_all
	wait_for 180 all_ready || return 1
	for i in 1 2 3; do hosts_exec "$i" systemctl restart tepuy-agent || return 1; done
	within 180 settled || return 1
	load_stop
	table "every agent is killed at once, and restarted one after another" "$requests" "$failures" "no node is touched"
	[ "$(for i in 1 2 3; do hosts_containers "$i"; done)" = "$before" ] || { echo "nodes were touched"; return 1; }
	[ "$failures" = 0 ] || { cat "$TMP/agents.wrk"; return 1; }
}
checked "every agent is killed and restarted: no node is touched, no request fails" agents_restarted

# A restarted Consul knows nothing of its host's nodes until its checks have run: worst when all nodes are there.
gathered() {
	WEB_HOST=h2
	document gathered
	hosts_up 1 && [ "$(placed web)" = "h2 h2 h2" ]
}
checked "all pages move to one host" gathered

consul_restarted() {
	local i
	load_start consul "$url"
	for i in 1 2 3; do
		hosts_exec "$i" systemctl restart consul || return 1
		wait_for 180 all_vote || { hosts_exec 1 consul operator raft list-peers; return 1; }
	done
	within 180 settled || return 1
	load_stop
	table "every Consul server is restarted, one after another" "$requests" "$failures" "all web nodes are on one host"
	[ "$failures" = 0 ] || { cat "$TMP/consul.wrk"; return 1; }
}
checked "every Consul server is restarted one after another: no request fails" consul_restarted

# --- no quorum ---

leaderless() {
	[ -z "$(consul_leader)" ]
}

# Consul forgets a server that died, and with it the host and all that runs there.
forgotten() {
	hosts_exec 1 consul catalog nodes >"$TMP/nodes" && ! grep -q "^h$1 " "$TMP/nodes"
}

# What is said and done without a quorum. Prints what is wrong.
told_without_quorum() {
	wait_for 120 leaderless || { echo "Consul has a leader"; return 1; }
	document fifth
	hosts_up 1 >"$TMP/out" 2>&1 && { echo "'up' said that it is done"; return 1; }
	grep -qi consul "$TMP/out" || { cat "$TMP/out"; return 1; }
	hosts_exec 1 tepuy status --json "$SERVICE" >"$TMP/out" 2>"$TMP/err"
	jq -e '.services[0].stale and (.services[0].nodes | length >= 4) and (.trouble | test("no leader"))' "$TMP/out" >/dev/null &&
		grep -q '^tepuy: Consul has no leader: ' "$TMP/err" ||
		{ echo "'status' does not say what was last known:"; cat "$TMP/err" "$TMP/out"; return 1; }
}

# HAProxy's host leads Consul: its agent does not even notice, as blocking queries on a leader that lost the others hang.
no_quorum() {
	local before wrong='' began load_began back
	make_leader 1 || return 1
	within 180 settled || return 1
	before=$(for i in 1 2 3; do hosts_containers "$i"; done)
	load_start quorum "$url"
	load_began=$(now_ms)
	hosts_exec 2 sh -c 'systemctl kill -s KILL consul; systemctl stop consul'
	wait_for 120 forgotten 2 || { echo "Consul still knows h2"; wrong=1; }
	hosts_exec 3 sh -c 'systemctl kill -s KILL consul; systemctl stop consul'
	began=$(now_ms)
	told_without_quorum >"$TMP/told" || wrong=1
	sleep "$RESCHEDULE" # as long as a leader would wait
	[ "$(for i in 1 2 3; do hosts_containers "$i"; done)" = "$before" ] || { echo "nodes were touched"; wrong=1; }
	lasted=$(seconds $(($(now_ms) - began)))
	back=$(($(now_ms) - load_began))
	hosts_exec 2 systemctl start consul
	hosts_exec 3 systemctl start consul
	wait_for 180 members_alive 3 || return 1
	within 180 settled || return 1
	load_stop
	table "Consul without quorum for $lasted" "$requests" "$failures" "HAProxy's host leads Consul, all web nodes are on one of the others, which Consul has forgotten; nothing is changed, 'up' says why"
	[ "$(for i in 1 2 3; do hosts_containers "$i"; done)" = "$before" ] || { echo "nodes were touched"; return 1; }
	[ "$failures" = 0 ] || { cat "$TMP/quorum.wrk"; tell_failed "$load_began" "Consul's servers were started at $back"; return 1; }
	[ -z "$wrong" ] || { cat "$TMP/told"; return 1; }
}
checked "Consul without quorum: nothing is changed, requests are answered, 'up' says what is wrong" no_quorum

scattered() {
	WEB_HOST=
	document scattered
	hosts_up 1
}
checked "pages may be anywhere again" scattered

# --- a host is drained, and one that is dead is removed ---

api() {
	hosts_exec 1 curl -sS --unix-socket /run/tepuy/agent.sock -X "$1" "http://x/v1/$2"
}

checked "a web node is on the host that is going to be drained" web_on h2
drained() {
	load_start drained "$url"
	sleep 1
	began=$(now_ms)
	api POST host/h2/drain | jq -e '.drained' >/dev/null || { fail_load "it is not drained"; return; }
	within 180 healthy_elsewhere web 3 h2 || { fail_load "web: $(placed web)"; return; }
	wait_for 180 nothing_runs 2 || { fail_load "h2 still runs: $(hosts_containers 2)"; return; }
	drained_ms=$(($(now_ms) - began))
	sleep 1
	load_stop
	table "a host with a web node is drained" "$requests" "$failures" "it is empty after $(seconds "$drained_ms")"
	api POST host/h2/undrain | jq -e '.drained | not' >/dev/null || return 1
	[ "$failures" = 0 ] || { cat "$TMP/drained.wrk"; failed_since "$began" | head -n 20; return 1; }
}
checked "a host is drained under load: it is emptied, no request fails" drained

removed() {
	api DELETE host/h3 | grep -q "is alive" || return 1
	lab_kill "$LAB" 3
	wait_for 180 host_is h3 '.alive | not' || return 1
	api DELETE host/h3 | grep -q "keeper/1\|nodes" || return 1
	[ -z "$(api DELETE 'host/h3?force=1')" ] || return 1
	! api GET hosts | jq -e '.hosts[] | select(.name == "h3")' >/dev/null || return 1
	[ "$(hosts_exec 1 curl -fsS http://127.0.0.1:8500/v1/catalog/node/h3 | jq '[(.Services // {})[] | select(.Meta.tepuy == "1")] | length')" = 0 ]
}
checked "a dead host is removed by force, its entries with it" removed

removed_returns() {
	lab_start "$LAB" 3 || return 1
	within 180 host_is h3 '.alive and .removed and .cordoned' || return 1
	wait_for 180 nothing_runs 3 || { hosts_exec 3 docker ps -a; hosts_exec 3 journalctl -u tepuy-agent -n 20; return 1; }
	within 180 no_ghosts || return 1
	api POST host/h3/uncordon | jq -e '(.cordoned or .removed) | not' >/dev/null
}
checked "a removed host that comes back gives up what it ran, and waits to be let in" removed_returns

# --- the document ---

write_faults() {
	cat <<-END
		# What fails when machines do

		Made by \`FAULTS_TABLE=docs/faults.md tests/e2e/hosts-failures.sh\`, not by hand: figures of its last run that
		passed, on $(date -u +%F). Three hosts of a lab (containers with systemd, sshd and addresses of their own), each a
		server of Consul $(hosts_exec 1 consul version | sed -n '1s/.*v//p') with Docker and tepuy's agent; HAProxy $(haproxy -v | sed -n '1s/.*version \([0-9.]*\).*/\1/p') on one of them, three web
		nodes behind it, one node with data. \`wrk\` keeps $LOAD_CONNECTIONS connections to HAProxy busy through each case. All on one
		machine with $(nproc) cores, whose load was $load_before at the beginning and $(cut -d ' ' -f 1 /proc/loadavg) at the end; the script took
		$((SECONDS - began_s)) s.

		A failed request is one that got no answer, or another one than 2xx or 3xx. Requests that are in flight on a machine
		that is killed or cut off can fail: there is nobody left to answer them, and asking another node could do what they
		ask for twice. So the test allows as many as there are connections in these two cases, and after a kill none that
		began more than two seconds later; in all others it allows none.

		| what happens | requests | failed | |
		|---|---:|---:|---|
	END
	cat "$TMP/rows"
}
sed 's/^/      /' "$TMP/rows"
if [ -n "${FAULTS_TABLE:-}" ]; then
	[ "$failed" = 0 ] && write_faults >"$TMP/faults.md" && cp "$TMP/faults.md" "$FAULTS_TABLE"
fi

finish
