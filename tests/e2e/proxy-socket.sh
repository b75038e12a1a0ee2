#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# src/proxy against a real HAProxy on loopback with two web servers: add, drain under a long download, remove, weights,
# guard, refusal, under load without a failed request. Needs haproxy, wrk, curl.
#   tests/e2e/proxy-socket.sh [BUILD-DIRECTORY]
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
program=$(cd "${1:-${BUILD:-$top/build}}" && pwd)/tests/unit/proxy/proxy-e2e
slower=${SLOWER:-1} # lib.sh says what it is
# Four ports that nobody has, below those that lib.sh gives to scripts that run beside.
front=${PROXY_PORT:-$((19000 + $$ % 200 * 4))}
while ss -Hltn "sport >= :$front and sport <= :$((front + 3))" | grep -q .; do
	front=$((front + 4))
done
one=$((front + 1)) two=$((front + 2)) fixed=$((front + 3))
dir=$(mktemp -d "${TMPDIR:-/tmp}/tt-proxy-XXXXXX")
socket=$dir/socket
passed=0 failed=0 pids='' wrk='' download=''

finish() {
	for pid in $pids $wrk $download; do
		kill "$pid" 2>/dev/null || :
	done
	wait
	rm -rf "$dir"
}
trap finish EXIT
trap 'exit 1' INT TERM HUP

# is WHAT WANTED GOT: one outcome.
is() {
	if [ "$2" = "$3" ]; then
		passed=$((passed + 1))
		echo "ok: $1"
	else
		failed=$((failed + 1))
		printf 'FAILED: %s\n  wanted: %s\n  got:    %s\n' "$1" "$2" "$3"
	fi
}

# until_is WHAT WANTED COMMAND…: asks again for up to a minute.
until_is() {
	what=$1 wanted=$2 until=$(($(date +%s) + 60 * slower))
	shift 2
	while got=$("$@" 2>&1 | tr '\n' '|') && [ "$got" != "$wanted" ] && [ "$(date +%s)" -lt "$until" ]; do
		sleep 0.05
	done
	is "$what" "$wanted" "$got"
}

run_sync() {
	"$program" sync "$socket" "$@"
}

sync_now() {
	run_sync "$@" 2>&1 | tr '\n' '|'
}

# Who answers 20 requests, each name once.
who() {
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		curl -s -m 20 "http://127.0.0.1:$front/?$i"
		echo
	done | sort -u | tr '\n' ' '
}

# The server's address and port in HAProxy, or nothing.
row() {
	"$program" state "$socket" web "$1"
}

# Begins a download through HAProxy, which ends at end_download.
begin_download() {
	rm -f "$dir/download" "$dir/release"
	curl -sN -m 600 -o "$dir/download" -w '%{http_code} %{size_download}' "http://127.0.0.1:$front/hold" \
		>"$dir/download.result" 2>&1 &
	download=$!
}

end_download() {
	: >"$dir/release"
	wait "$download" || :
	download=
}

"$program" serve "$one" one "$dir/release" &
pids="$pids $!"
"$program" serve "$two" two "$dir/release" &
pids="$pids $!"
cat >"$dir/haproxy.cfg" <<END
global
	stats socket $socket level admin
defaults
	mode http
	timeout connect 10s
	timeout client 600s
	timeout server 600s
	option redispatch
frontend front
	bind 127.0.0.1:$front
	default_backend web
frontend fixed
	bind 127.0.0.1:$fixed
	default_backend fixed
backend web
	balance roundrobin
	server web-1.1 127.0.0.1:$one check inter 1s
	server sorry 127.0.0.1:$two backup
backend fixed
	balance source
END
haproxy -db -f "$dir/haproxy.cfg" >"$dir/haproxy.log" 2>&1 &
pids="$pids $!"
until_is "HAProxy answers" "one " who
is "its version is read" 1 "$("$program" info "$socket" | grep -c '^version=[0-9].* stopping=0$')"

first=web-1.1=127.0.0.1:$one,check second=web-2.1=127.0.0.1:$two,check

# Load runs until everything but the latency was tried.
wrk -t 1 -c 8 -d 600s --timeout 15s "http://127.0.0.1:$front/" >"$dir/wrk" 2>&1 &
wrk=$!

is "what is as wanted changes nothing" "reload=0 settled=1|" "$(sync_now web "$first")"
is "a server is added with its checks" \
	"add web/web-2.1|check web/web-2.1|ready web/web-2.1|reload=0 settled=1|" "$(sync_now web "$first" "$second")"
until_is "both answer" "one two " who
is "once more changes nothing" "reload=0 settled=1|" "$(sync_now web "$first" "$second")"
is "its weight is set" "weight web/web-2.1|reload=0 settled=1|" "$(sync_now web "$first" "$second,weight=7")"
is "its weight is set back" "weight web/web-2.1|reload=0 settled=1|" "$(sync_now web "$first" "$second")"

# A long download on web-2.1, which then drains: it goes on, and is the last session.
is "drain of the first" "drain web/web-1.1|" "$(run_sync web "$first,drain" "$second" | grep ^drain | tr '\n' '|')"
until_is "only the second answers" "two " who
begin_download
until_is "the download runs" 1 sh -c "[ -s '$dir/download' ] && printf 1"
run_sync web "$first" "$second,drain" >"$dir/sync"
is "ready again, and drain of the second" "ready web/web-1.1|drain web/web-2.1|" \
	"$(grep -E '^(ready|drain)' "$dir/sync" | tr '\n' '|')"
until_is "one session is left" "leaving web/web-2.1 sessions=1|reload=0 settled=1|" run_sync web "$first" "$second,drain"
is "only the first answers" "one " "$(who)"
end_download
until_is "no session is left" "leaving web/web-2.1 sessions=0|reload=0 settled=1|" run_sync web "$first" "$second,drain"
is "the download is whole" "200 20" "$(cat "$dir/download.result")"
is "the drain is undone" "ready web/web-2.1|reload=0 settled=1|" "$(sync_now web "$first" "$second")"
until_is "both answer again" "one two " who

# The same, but it is taken from the list while the download runs.
run_sync web "$first,drain" "$second" >"$dir/sync"
begin_download
until_is "another download runs" 1 sh -c "[ -s '$dir/download' ] && printf 1"
run_sync web "$first" >"$dir/sync"
is "a server with a session is not removed" 0 "$(grep -c '^remove' "$dir/sync" || :)"
until_is "it waits for its session" "leaving web/web-2.1 sessions=1 removing|reload=0 settled=1|" run_sync web "$first"
end_download
is "this download is whole too" "200 20" "$(cat "$dir/download.result")"
until_is "then it is removed, and all is done" "reload=0 settled=1|" run_sync web "$first"
is "it is gone" "" "$(row web-2.1)"
is "a person's server is still there" "127.0.0.1:$two" "$(row sorry)"

# A server that moves, the guard, and what the socket cannot do.
is "a new generation replaces the old one" \
	"add web/web-1.2|ready web/web-1.2|maint web/web-1.1|" \
	"$(run_sync web "web-1.2=127.0.0.1:$two" | grep -E '^(add|ready|maint)' | tr '\n' '|')"
until_is "the new generation answers" "two " who
until_is "the old one is gone" "reload=0 settled=1|" run_sync web "web-1.2=127.0.0.1:$two"
is "it moves to another port" "address web/web-1.2|reload=0 settled=1|" "$(sync_now web "web-1.2=127.0.0.1:$one")"
until_is "it answers from there" "one " who
is "an empty list while Consul is unwell is held" "held web|reload=0 settled=1|" "$(sync_now --unwell web)"
is "and the server still answers" "one " "$(who)"
is "a refused server asks for a reload" 1 "$(sync_now fixed "$first" | grep -c 'refused: .*|reload=1 settled=0|')"
is "an unknown backend asks for a reload" "missing nothing|reload=1 settled=0|" "$(sync_now nothing "$first")"
is "a name that breaks out is not sent" 1 "$(sync_now web 'web-1.1;shutdown=127.0.0.1:80' | grep -c 'does not take')"

kill -INT "$wrk"
wait "$wrk" || :
wrk=
is "no request failed under load" 0 "$(grep -cE 'Non-2xx|Socket errors' "$dir/wrk" || :)"
requests=$(awk '/requests in/ { print $1 }' "$dir/wrk")
is "there was load" yes "$([ "${requests:-0}" -gt 100 ] && echo yes || echo "only ${requests:-0} requests")"

# What it takes, and not what others on this machine take: again when they kept it busy, for up to a minute.
until=$(($(date +%s) + 60 * slower))
while :; do
	times=$("$program" bench "$socket" web "web-1.2=127.0.0.1:$one")
	median=${times#median=}
	median=${median%% *}
	[ "${median:-9999999}" -ge $((2000 * slower)) ] && [ "$(date +%s)" -lt "$until" ] || break
	sleep 0.5
done
is "a change takes less than 2 ms at the median" yes \
	"$([ "${median:-9999999}" -lt $((2000 * slower)) ] && echo yes || echo "$times us")"
echo "change (read, plan, apply, read back), microseconds: $times; $requests requests under load"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
