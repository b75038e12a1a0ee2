# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash disable=SC2034,SC2119,SC2120 # set, and called with arguments, by the scripts
# For the end-to-end scripts that bring services up: source it after lib.sh. An own Consul, an own agent, services whose
# names nobody else uses; what is left of them is removed by name at the end.
#
#   . "$(dirname "$0")/lib.sh"
#   . "$(dirname "$0")/lib-service.sh"
#   service_begin portal            # sets $SERVICE, starts Consul and the agent
#   tepuy up --yes "$TMP/service.yaml"
#
# Images are kept between scripts in $TEPUY_TEST_STORE, so that each base and each recipe is built once.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
recipes=$root/recipes
test_recipes=$root/tests/e2e/recipes
TEPUY=${TEPUY:-${BUILD:-$root/build}/src/cli/tepuy}
TEPUY_TEST_STORE=${TEPUY_TEST_STORE:-/var/cache/tepuy-tests/store}
HOST_NAME=e2e
NO_COLOR=1
export NO_COLOR

# The CLI that a script calls. TEPUY_SOCKET says which agent it talks to.
tepuy() {
	"$TEPUY" "$@"
}

# service_begin NAME: a Consul and an agent of its own; $SERVICE is a name for the script's service that is free.
service_begin() {
	SERVICE=tt-$1-$$
	STATE=$TMP/state
	ADDRESS=$(bridge_address)
	export TEPUY_SOCKET=$TMP/run/agent.sock
	mkdir -p "$STATE" "$TMP/run" "$TEPUY_TEST_STORE"
	ln -sfn "$TEPUY_TEST_STORE" "$STATE/store"
	at_exit service_cleanup
	start_consul
	start_agent || {
		echo "The agent did not start; the end of its log:"
		tail -n 20 "$TMP/agent.log"
		exit 1
	} >&2
}

# The address of Docker's bridge: nodes and this machine reach each other there.
bridge_address() {
	ip -4 -oneline address show dev docker0 | sed -n 's|.* inet \([0-9.]*\)/.*|\1|p' | head -n 1
}

# run_agent [ARGUMENT…]: starts it without waiting. Sets AGENT_PID. Its log is $TMP/agent.log.
run_agent() {
	start_process agent "$TEPUY" agent --socket "$TEPUY_SOCKET" --state-dir "$STATE" --consul "$CONSUL_URL" \
		--address "$ADDRESS" --name "$HOST_NAME" --log-level debug "$@"
	AGENT_PID=$pid
}

# start_agent: and waits until it answers and leads.
start_agent() {
	run_agent "$@"
	wait_for 120 agent_ready
}

agent_ready() {
	tepuy version --json | jq -e '.agent.host != null' && [ -n "$(consul kv get tepuy/leader)" ]
}

stop_agent() {
	end_process "$AGENT_PID"
}

kill_agent() {
	end_process "$AGENT_PID" KILL
}

# --- what is there ---

# container NODE: the id of the container that runs it now (`web/1`).
container() {
	docker ps --no-trunc --format '{{.ID}} {{.Label "tepuy.instance"}}' --filter label=tepuy.instance |
		sed -n "s|^\([^ ]*\) $SERVICE/$1\.[0-9]*$|\1|p" | head -n 1
}

# containers: `INSTANCE ID STARTED-AT` of all of the service, sorted: equal before and after means untouched.
containers() {
	# shellcheck disable=SC2046 # ids
	docker inspect -f '{{index .Config.Labels "tepuy.instance"}} {{.Id}} {{.State.StartedAt}}' \
		$(service_containers) 2>/dev/null | sort
}

service_containers() {
	docker ps --all --no-trunc --format '{{.ID}} {{.Label "tepuy.instance"}}' --filter label=tepuy.instance |
		sed -n "s|^\([^ ]*\) $SERVICE/.*|\1|p"
}

# No container of it is there, running or not.
no_containers() {
	[ -z "$(service_containers)" ]
}

# phase [IS]: of the service's status; with IS, whether it is that.
phase() {
	local now
	now=$(tepuy status --json "$SERVICE" | jq -r '.services[0].status.phase')
	if [ $# -gt 0 ]; then [ "$now" = "$1" ]; else echo "$now"; fi
}

# node_is NODE JQ-EXPRESSION: of docs/api.md's node, its present instance.
node_is() {
	tepuy status --json "$SERVICE" |
		jq -e --arg node "$1" "[.services[0].nodes[] | select(.node == \$node)] | last | $2" >/dev/null
}

# haproxy_says COMMAND: what the service's HAProxy (node front/1) answers on its runtime socket.
haproxy_says() {
	local pid
	pid=$(docker inspect -f '{{.State.Pid}}' "$(container front/1)") || return
	python3 - "/proc/$pid/root/run/haproxy/admin.sock" "$1" <<-'END'
		import socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.settimeout(20)
		s.connect(sys.argv[1])
		s.sendall(sys.argv[2].encode() + b"\n")
		while data := s.recv(65536):
		    sys.stdout.buffer.write(data)
	END
}

# servers: `SERVER STATE SESSIONS` of HAProxy's servers (`web-1.5 ready 0`), sorted; STATE is ready, drain or maint.
servers() {
	haproxy_says 'show stat' | awk -F, '$1 == "backend" && $2 != "BACKEND" {
		print $2, $18 ~ /^MAINT/ ? "maint" : $18 ~ /^DRAIN/ ? "drain" : "ready", $5 }' | sort
}

# served_by URL: the names of the nodes that answer there in the page's element `node`, sorted, each once.
served_by() {
	local i
	for ((i = 0; i < 8; i++)); do
		curl -fsS --max-time 15 "$1" | sed -n 's|.*id="node">\([^<]*\)<.*|\1|p'
	done | sort -u
}

# --- load ---

# load_start NAME URL [CONNECTIONS]: wrk in the background until load_stop; its report in $TMP/NAME.wrk.
load_start() {
	wrk -t 1 -c "${3:-16}" -d 600s --timeout "${LOAD_TIMEOUT:-15s}" -s "$root/tests/e2e/load.lua" "$2" >"$TMP/$1.wrk" 2>&1 </dev/null &
	load_pid=$!
	lib_pids+=("$load_pid")
	load_name=$1
}

# load_stop: ends it. Sets $requests and $failures: answers other than 2xx and 3xx, and connections that were cut,
# refused or timed out.
load_stop() {
	kill -INT "$load_pid" 2>/dev/null
	wait "$load_pid" 2>/dev/null
	requests=$(sed -n 's/^requests \([0-9]*\)$/\1/p' "$TMP/$load_name.wrk")
	failures=$(sed -n 's/^failures \([0-9]*\)$/\1/p' "$TMP/$load_name.wrk")
	requests=${requests:-0}
	failures=${failures:-unknown}
}

# --- the end ---

# Whatever became of the agent, nothing of the service stays: containers, the secrets' tmpfs; volumes are below $TMP.
service_cleanup() {
	local id
	[ -z "${AGENT_PID:-}" ] || gone_or_zombie "$AGENT_PID" || end_process "$AGENT_PID"
	for id in $(service_containers); do
		docker rm --force --volumes "$id" >/dev/null
	done
	! mountpoint -q "$TMP/run/secrets" || umount "$TMP/run/secrets"
}
