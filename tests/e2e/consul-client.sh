#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# src/consul against a real Consul on loopback: the blocking client, watches and locks, with Consul killed, stopped and
# brought back under them. Needs consul, curl.
#   tests/e2e/consul-client.sh [BUILD-DIRECTORY]
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

build=$(cd "${1:-${BUILD:-$(dirname "$0")/../../build}}" && pwd) || exit 1
loop=$build/tests/e2e/consul-loop

# shellcheck disable=SC2317  # it is called through wait_for
# last FILE PATTERN: the last line of it fits the pattern (of grep -E).
last() {
	tail -n 1 "$TMP/$1.log" | grep -qE "$2"
}

# soon NAME SECONDS FILE PATTERN: a whole case.
soon() {
	case_begin "$1"
	if wait_for "$2" last "$3" "$4"; then
		ok
	else
		not_ok "after $2 s the last line of $3 is: $(tail -n 1 "$TMP/$3.log")"
	fi
}

# lines FILE PATTERN: how many there are.
lines() {
	grep -cE "$2" "$TMP/$1.log"
}

# processor_ms PID: time that it used, in milliseconds.
processor_ms() {
	local stat
	stat=$(cat "/proc/$1/stat")
	read -r -a stat <<<"${stat##*) }"
	echo $(((stat[11] + stat[12]) * 10))
}

start_consul -log-level=debug # in its log are renewals of sessions

echo "-- the blocking client"
"$build/tests/e2e/consul-client" "$CONSUL_URL" | tee "$TMP/client.out"
count_results "$TMP/client.out"

echo "-- watches"
start_process watch "$loop" watch "$CONSUL_URL" "/v1/kv/w/?recurse"
watch_pid=$pid
soon "an absent prefix is told as none" 60 watch '^value [0-9]+ none$'
check "a key is written" consul kv put w/a one
soon "the change is told" 60 watch '"Value":"b25l"'
before=$(lines watch .)
check "another key is written" consul kv put elsewhere 1
check "the watched key is written again" consul kv put w/a two
soon "the second change is told" 60 watch '"Value":"dHdv"'
equal "nothing is told of the other key" $((before + 1)) "$(lines watch .)"
kill_consul
soon "Consul killed is told" 60 watch '^away .*Cannot watch'
run_consul
wait_for 60 consul_ready
soon "Consul back is told with the value, unchanged as it is" 60 watch '"Value":"dHdv"'
equal "away was told once" 1 "$(lines watch ^away)"
check "a change after that" consul kv put w/a three
soon "is told" 60 watch '"Value":"dGhyZWU="'
stop_consul
soon "Consul stopped is told" 60 watch '^away '
rm -rf "$TMP/consul"
mkdir "$TMP/consul"
run_consul
wait_for 60 consul_ready
soon "Consul without its data is told" 60 watch '^value [0-9]+ none$'
check "a key with a lower index" consul kv put w/b four
soon "is told too" 60 watch '"Value":"Zm91cg=="'
used=$(processor_ms "$watch_pid")
case_begin "the watch used next to no processor time"
if [ "$used" -lt "$(most 300)" ]; then ok; else not_ok "$used ms"; fi
kill -STOP "$watch_pid"
for i in 1 2 3 4 5 6 7 8 9 10; do consul kv put w/b "$i" >/dev/null; done
kill -CONT "$watch_pid"
soon "after a pause of the watcher the last of ten changes is told" 60 watch '"Value":"MTA="'
end_process "$watch_pid"

echo "-- locks"
# shellcheck disable=SC2317  # called by name
says_nothing() {
	[ "$(lines "$1" .)" -eq 0 ]
}
start_process one "$loop" lock "$CONSUL_URL" leader one
one_pid=$pid
soon "the first is elected" 60 one '^elected'
equal "the key says who" one "$(consul kv get leader)"
start_process two "$loop" lock "$CONSUL_URL" leader two
two_pid=$pid
case_begin "the second is not"
if throughout 1 says_nothing two; then ok; else not_ok "$(cat "$TMP/two.log")"; fi
end_process "$one_pid"
# Less than the session's TTL of 10 s, after which it would be without being told.
soon "the second is elected at once when the first gives up" 8 two '^elected'
start_process three "$loop" lock "$CONSUL_URL" leader three
three_pid=$pid
wait_for 60 grep -q . "$TMP/two.log"
losses=$(lines two ^lost)
session=$(curl -sS "$CONSUL_URL/v1/kv/leader" | grep -o '"Session":"[^"]*"' | cut -d '"' -f 4)
curl -sS -X PUT "$CONSUL_URL/v1/session/destroy/$session" >/dev/null
# shellcheck disable=SC2317  # called by name
lost_again() {
	[ "$(lines two ^lost)" -gt "$losses" ]
}
check "the holder learns that its session was destroyed" wait_for 60 lost_again
case_begin "somebody is elected again after the lock-delay"
# shellcheck disable=SC2317  # as above
elected() {
	[ "$(($(lines two ^elected) + $(lines three ^elected) - $(lines two ^lost) - $(lines three ^lost)))" -eq 1 ]
}
if wait_for 60 elected && throughout 2 elected; then ok; else not_ok "$(cat "$TMP/two.log" "$TMP/three.log")"; fi
end_process "$three_pid"
soon "and the second in the end" 60 two '^elected'
renewals() {
	grep -c 'session/renew' "$TMP/consul.log"
}
# shellcheck disable=SC2317  # called by name
renewed_again() {
	[ "$(renewals)" -gt "$before" ]
}
# From one renewal on it is shorter than the session's TTL of 10 s, and than the pauses between the next tries to renew it, its
# start and first election included: on a busy machine not at the first try.
short_absence() {
	local i start

	for ((i = 0; i < 10; i++)); do
		wait_for 60 two_is_elected || return 1
		before=$(renewals)
		wait_for 60 renewed_again || return 1
		start=$(now_ms) losses=$(lines two ^lost)
		kill_consul
		sleep 3 # so long it is away
		run_consul
		wait_for 60 consul_ready
		[ $(($(now_ms) - start)) -ge 7000 ] || return 0
	done
	echo "Consul was never back within 7 s"
	return 1
}
# shellcheck disable=SC2317  # as above
two_is_elected() {
	tail -n 1 "$TMP/two.log" | grep -q '^elected'
}
case_begin "three seconds without Consul do not cost the lock"
if short_absence && throughout 3 two_is_elected && [ "$(lines two ^lost)" -eq "$losses" ]; then ok; else not_ok "$(cat "$TMP/two.log")"; fi
losses=$(lines two ^lost)
kill_consul
soon "it is lost when the session was not renewed for its TTL" 20 two '^lost'
equal "and told once" $((losses + 1)) "$(lines two ^lost)"
run_consul
wait_for 60 consul_ready
soon "and held again after Consul is back" 60 two '^elected'
end_process "$two_pid" KILL
start_process four "$loop" lock "$CONSUL_URL" leader four
soon "a killed holder's lock is taken over when its session ends" 90 four '^elected'
end_process "$pid"

refuse "no sanitizer found anything" grep -l 'Sanitizer' "$TMP"/*.log

finish
