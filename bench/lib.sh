# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# For the figures: source it. A Consul and an agent of their own, a service to measure with, medians. Needs root and a
# Docker that runs. BUILD is the build directory (build), ROUNDS how often a thing is measured.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/../tests/e2e/lib.sh"

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=$(cd "${BUILD:-$root/build}" && pwd) || exit 1
tepuy=$BUILD/src/cli/tepuy
# Images are built once for all runs.
store=${TEPUY_TEST_STORE:-/var/cache/tepuy-tests/store}

# drop_nodes SERVICE: its containers, whatever became of the agent.
drop_nodes() {
	local ids

	ids=$(docker ps -aq --filter "name=^tepuy\.$1\.")
	# shellcheck disable=SC2086 # words
	[ -z "$ids" ] || docker rm -f $ids >/dev/null
}

agent_answers() {
	curl -fsS --unix-socket "$TEPUY_SOCKET" http://tepuy/v1/version
}

# start_agent SERVICE: the agent that SERVICE is to run on. Sets AGENT_PID, HOST_ADDRESS.
start_agent() {
	HOST_ADDRESS=$(ip -4 -oneline address show dev docker0 | sed -n 's|.* inet \([0-9.]*\)/.*|\1|p' | head -n 1)
	export TEPUY_SOCKET=$TMP/run/agent.sock
	mkdir -p "$TMP/run" "$TMP/state" "$store"
	ln -s "$store" "$TMP/state/store"
	at_exit drop_nodes "$1"
	start_process agent "$tepuy" agent --socket "$TEPUY_SOCKET" --state-dir "$TMP/state" --consul "$CONSUL_URL" \
		--address "$HOST_ADDRESS" --name bench --log-level "${LOG_LEVEL:-info}"
	AGENT_PID=$pid
	wait_for 30 agent_answers || { tail -n 20 "$TMP/agent.log" >&2; exit 1; }
}

# up ARGUMENT…: tepuy up, quietly; what it said when it fails.
up() {
	"$tepuy" up --recipes "$root/recipes" --yes --timeout 60s "$@" >"$TMP/up.out" 2>&1 || { cat "$TMP/up.out" >&2; exit 1; }
}

# site_service SERVICE NODES PORT: static pages behind HAProxy, written to $TMP/service.yaml.
site_service() {
	cat >"$TMP/service.yaml" <<-END
		service: $1
		components:
		  web: {recipe: static-site, nodes: $2}
		  front:
		    recipe: haproxy
		    connect: {backend: web}
		    publish: {http: $3}
	END
}

# haproxy_socket SERVICE: the runtime socket of its front, as this machine sees it.
haproxy_socket() {
	local id

	id=$(docker ps -q --filter "name=^tepuy\.$1\.front\.")
	printf '/proc/%s/root/run/haproxy/admin.sock\n' "$(docker inspect --format '{{.State.Pid}}' "$id")"
}

# now_us
now_us() {
	local now=$EPOCHREALTIME

	echo "${now/[.,]/}"
}

# summary NAME: of microseconds, one a line, from standard input.
summary() {
	sort -n | awk -v name="$1" '{ us[NR] = $1 }
		END { printf "%-34s n %-4d least %.2f  median %.2f  p99 %.2f  most %.2f ms\n", name, NR, us[1] / 1000,
			us[int((NR + 1) / 2)] / 1000, us[int(NR * 0.99 + 0.5)] / 1000, us[NR] / 1000 }'
}

# median: of the numbers on standard input.
median() {
	sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

# ratio NAME A B
ratio() {
	awk -v name="$1" -v a="$2" -v b="$3" 'BEGIN { printf "%-34s %.2f\n", name, a / b }'
}
