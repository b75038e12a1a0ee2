# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# For the figures: source it. A Consul and an agent of their own (tests/e2e/lib-service.sh), a service to measure with,
# medians. Needs root and a Docker that runs. BUILD is the build directory (build), ROUNDS how often a thing is measured.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/../tests/e2e/lib.sh"
BUILD=$(cd "${BUILD:-$(dirname "${BASH_SOURCE[0]}")/../build}" && pwd) || exit 1
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/../tests/e2e/lib-service.sh"

# start_agent: as lib-service.sh has it, without the cost of a debug log.
run_agent() {
	start_process agent "$TEPUY" agent --socket "$TEPUY_SOCKET" --state-dir "$STATE" --consul "$CONSUL_URL" \
		--address "$ADDRESS" --name "$HOST_NAME" --log-level "${LOG_LEVEL:-info}" "$@"
	AGENT_PID=$pid
}

# up: of $TMP/service.yaml, quietly; what it said when it fails.
up() {
	tepuy up --recipes "$recipes" --yes --timeout 90s "$TMP/service.yaml" >"$TMP/up.out" 2>&1 ||
		{ cat "$TMP/up.out" >&2; exit 1; }
}

# site_service NODES: static pages behind HAProxy, written to $TMP/service.yaml.
site_service() {
	[ -n "${front_port:-}" ] || { free_port; front_port=$PORT; }
	cat >"$TMP/service.yaml" <<-END
		service: $SERVICE
		components:
		  web: {recipe: static-site, nodes: $1}
		  front: {recipe: haproxy, connect: {backend: web}, publish: {http: $front_port}}
	END
}

# haproxy_socket: the runtime socket of its front, as this machine sees it.
haproxy_socket() {
	printf '/proc/%s/root/run/haproxy/admin.sock\n' "$(docker inspect --format '{{.State.Pid}}' "$(container front/1)")"
}

# now_us
now_us() {
	local now=$EPOCHREALTIME

	echo "${now/[.,]/}"
}

# time_us COMMAND…: prints the microseconds that it takes; its output is thrown away.
time_us() {
	local start

	start=$(now_us)
	"$@" >/dev/null 2>&1 || { echo "it failed: $*" >&2; exit 1; }
	echo $(($(now_us) - start))
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

# ratio NAME A B: of the medians of two files.
ratio() {
	awk -v name="$1" -v a="$(median <"$2")" -v b="$(median <"$3")" 'BEGIN { printf "%-34s %.2f\n", name, a / b }'
}
