# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# For the end-to-end scripts: source it. Counts cases, waits with a bound, starts programs and ends them by their pid.
#
#   . "$(dirname "$0")/lib.sh"
#   start_consul
#   case_begin "a key is read back"
#   consul kv put a 1 >/dev/null && [ "$(consul kv get a)" = 1 ] && ok || not_ok "got something else"
#   finish
#
# $TMP is a directory of this run, removed at the end. KEEP=1 keeps it (and its logs). A script that ends before
# `finish` counts as failed. Functions given to at_exit run first at the end, the last given first.
#
# A bound of wait_for is there so that a test ends, not to measure: 60 s where a daemon works, whatever it usually takes.
# What is a promise of the product about time is measured, and held against `most MILLISECONDS`. $SLOWER (1) multiplies
# both; only ./check --sanitizers sets it, for programs that are slower by their build. A `sleep` in a script is as long as
# what is asked about lasts, and a comment says so.

set -u

passed=0 failed=0 case_name='' finished=0
lib_pids=() lib_at_exit=()

SLOWER=${SLOWER:-1}
TMP=$(mktemp -d "${TMPDIR:-/tmp}/tt-e2e-$(basename "$0" .sh).XXXXXX")

# case_begin NAME: what follows is about this, until ok or not_ok.
case_begin() {
	[ -z "$case_name" ] || not_ok "neither ok nor not_ok was said"
	case_name=$1
}

ok() {
	passed=$((passed + 1))
	printf 'ok    %s\n' "$case_name"
	case_name=''
}

# not_ok [WHY]
not_ok() {
	failed=$((failed + 1))
	printf 'FAIL  %s%s\n' "$case_name" "${1:+: $1}"
	case_name=''
}

# check NAME COMMAND…: a whole case; passes if the command succeeds. Its output is shown when it fails.
check() {
	case_begin "$1"
	shift
	if "$@" >"$TMP/check.out" 2>&1; then
		ok
	else
		not_ok "exit status $?: $*"
		sed 's/^/      /' "$TMP/check.out"
	fi
}

# refuse NAME COMMAND…: a whole case; passes if the command fails.
refuse() {
	case_begin "$1"
	shift
	if "$@" >"$TMP/check.out" 2>&1; then
		not_ok "it succeeded: $*"
		sed 's/^/      /' "$TMP/check.out"
	else
		ok
	fi
}

# equal NAME WANTED GOT: a whole case.
equal() {
	case_begin "$1"
	if [ "$2" = "$3" ]; then ok; else not_ok "wanted '$2', got '$3'"; fi
}

# count_results FILE: adds what another program's `N passed, N failed` line says.
count_results() {
	local line p f
	line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$1" | tail -n 1)
	if [ -z "$line" ]; then
		case_name=$1
		not_ok "it printed no result"
		return
	fi
	read -r p _ f _ <<<"$line"
	passed=$((passed + p))
	failed=$((failed + f))
}

# finish: the last command of every script. Exit status 0 only if something passed and nothing failed.
finish() {
	[ -z "$case_name" ] || not_ok "neither ok nor not_ok was said"
	finished=1
	[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
	exit
}

# now_ms: monotonic enough for durations.
now_ms() {
	local now=$EPOCHREALTIME
	now=${now/[.,]/}
	echo $((now / 1000))
}

# most MILLISECONDS: what a promise about time is held against.
most() {
	echo $(($1 * SLOWER))
}

# wait_for SECONDS COMMAND…: runs it every 50 ms until it succeeds; 1 when the time is over.
wait_for() {
	local until=$(($(now_ms) + $1 * 1000 * SLOWER))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(now_ms)" -lt "$until" ] || return 1
		sleep 0.05
	done
}

# throughout SECONDS COMMAND…: whether it succeeds all that time, asked every half second; what it says is shown when not.
throughout() {
	local until=$(($(now_ms) + $1 * 1000))
	shift
	while :; do
		"$@" || return
		[ "$(now_ms)" -lt "$until" ] || return 0
		sleep 0.5
	done
}

# at_exit COMMAND…
at_exit() {
	lib_at_exit+=("$(printf '%q ' "$@")")
}

alive() {
	kill -0 "$1" 2>/dev/null
}

gone() {
	! alive "$1"
}

# start_process NAME COMMAND…: in the background, its output in $TMP/NAME.log. Sets $pid.
start_process() {
	local name=$1
	shift
	: >>"$TMP/$name.log" # there at once for who reads it
	"$@" >>"$TMP/$name.log" 2>&1 </dev/null &
	pid=$!
	lib_pids+=("$pid")
}

# end_process PID [SIGNAL [SECONDS]]: sends it (TERM), waits (30), then KILL. Waits until it is gone. One that ended
# before and was waited for is left alone: its number may be another program's by now.
end_process() {
	is_child "$1" || return 0
	{ # bash's own "Killed" is no news
		kill -"${2:-TERM}" "$1"
		kill -CONT "$1"
		wait_for "${3:-30}" gone_or_zombie "$1" || kill -KILL "$1"
		wait "$1"
	} 2>/dev/null
	return 0
}

is_child() {
	local stat
	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
	stat=${stat##*) }
	stat=${stat#* }
	[ "${stat%% *}" = "$$" ]
}

# A child that ended stays in the process table until `wait`.
gone_or_zombie() {
	local stat
	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
	stat=${stat##*) }
	[ "${stat%% *}" = Z ]
}

# free_port: a TCP port that nobody listens on now, below the range of outgoing connections. Never the same one twice in a
# script, nor that of another script that runs now: one that is not in use yet, or just not, would be found free there.
free_port() {
	while :; do
		[ $((lib_port % 50)) -ne 0 ] || take_ports
		PORT=$lib_port
		lib_port=$((lib_port + 1))
		port_open "$PORT" || break
	done
}

# take_ports: fifty of them, for this script alone as long as it, or what it started, lives.
lib_port=0
take_ports() {
	local block lock locks=${TMPDIR:-/tmp}/tt-e2e-ports
	mkdir -p "$locks"
	for ((block = $$ % 240; ; block = (block + 1) % 240)); do
		exec {lock}>"$locks/$block"
		flock -n "$lock" && break
		exec {lock}>&-
		sleep 0.05
	done
	lib_port=$((20000 + block * 50))
}

port_open() {
	(exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# start_consul [EXTRA-ARGUMENT…]: a single server with ports and a data directory of its own, waits for its leader.
# Sets and exports CONSUL_HTTP_ADDR; CONSUL_PORT, CONSUL_PID, CONSUL_URL. Its log is $TMP/consul.log.
start_consul() {
	local server lan wan
	free_port
	CONSUL_PORT=$PORT
	free_port
	server=$PORT
	free_port
	lan=$PORT
	free_port
	wan=$PORT
	mkdir -p "$TMP/consul"
	cat >"$TMP/consul.json" <<-END
		{"node_name": "e2e", "datacenter": "e2e", "server": true, "bootstrap_expect": 1, "data_dir": "$TMP/consul",
		 "bind_addr": "127.0.0.1", "client_addr": "127.0.0.1", "leave_on_terminate": false, "skip_leave_on_interrupt": true,
		 "disable_update_check": true, "performance": {"raft_multiplier": 1},
		 "ports": {"http": $CONSUL_PORT, "server": $server, "serf_lan": $lan, "serf_wan": $wan, "dns": -1, "grpc": -1}}
	END
	lib_consul_arguments=("$@")
	export CONSUL_HTTP_ADDR=127.0.0.1:$CONSUL_PORT
	# shellcheck disable=SC2034  # for the scripts
	CONSUL_URL=http://127.0.0.1:$CONSUL_PORT
	run_consul
	wait_for 120 consul_ready || {
		echo "Consul did not start; the end of its log:"
		tail -n 20 "$TMP/consul.log"
		exit 1
	} >&2
}

# run_consul: starts it again with the same ports and data, without waiting. Sets CONSUL_PID.
run_consul() {
	start_process consul consul agent -config-file="$TMP/consul.json" ${lib_consul_arguments[@]+"${lib_consul_arguments[@]}"}
	CONSUL_PID=$pid
}

consul_ready() {
	consul kv put e2e/ready 1
}

# Stopped as an administrator does; killed as by a power cut; both leave the data.
stop_consul() {
	end_process "$CONSUL_PID" INT
}

kill_consul() {
	end_process "$CONSUL_PID" KILL
}

# restart_consul: with the same data; waits for its leader.
restart_consul() {
	alive "$CONSUL_PID" && stop_consul
	run_consul
	wait_for 60 consul_ready
}

lib_cleanup() {
	local i status=$?
	trap - EXIT
	for ((i = ${#lib_at_exit[@]} - 1; i >= 0; i--)); do
		eval "${lib_at_exit[i]}"
	done
	for ((i = ${#lib_pids[@]} - 1; i >= 0; i--)); do
		gone_or_zombie "${lib_pids[i]}" || end_process "${lib_pids[i]}"
	done
	if [ -n "${KEEP:-}" ]; then echo "kept: $TMP"; else rm -rf "$TMP"; fi
	if [ "$finished" -eq 0 ]; then
		failed=$((failed + 1))
		[ "$status" -ne 0 ] || status=1
	fi
	printf '%d passed, %d failed\n' "$passed" "$failed"
	exit "$status"
}

trap lib_cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
