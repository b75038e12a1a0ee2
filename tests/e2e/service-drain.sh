#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# needs: docker
# timeout: 1500
# Nodes that go and come back: killed under load, disconnected and connected again and again with a download under way,
# stopped; checks added and removed while all runs; a template that is refused.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lib-service.sh
. "$(dirname "$0")/lib-service.sh"

service_begin drain
free_port
url=http://127.0.0.1:$PORT

# document NODES
document() {
	cat >"$TMP/service.yaml" <<-END
		service: $SERVICE
		components:
		  web:
		    recipe: e2e-web
		    nodes: $1
		    update: {order: start-first, parallel: 1, healthy_for: 1s, deadline: 60s}
		  front:
		    recipe: haproxy
		    connect: {backend: web}
		    publish: {http: $PORT}
		  watch:
		    recipe: e2e-watcher
		    connect: {site: web}
	END
}

up() {
	tepuy up --yes --recipes "$recipes" --recipes "$test_recipes" "$TMP/service.yaml"
}

no_failures() {
	case_begin "$1"
	if [ "$failures" = 0 ] && [ "$requests" -gt 100 ]; then
		ok
	else
		not_ok "$failures of $requests requests failed"
		sed 's/^/      /' "$TMP/$load_name.wrk"
	fi
}

# status_of COMMAND…: its exit status, on standard output.
status_of() {
	"$@" >/dev/null 2>&1
	echo $?
}

# checks_say STATUS: of `tepuy checks`; a machine that is busy may make a check late for a moment.
checks_say() {
	[ "$(status_of tepuy checks "$SERVICE/web")" = "$1" ]
}

# server_is NODE STATE: HAProxy's server of that node.
server_is() {
	servers | grep -q "^$1\.[0-9]* $2 "
}

server_is_not() {
	! server_is "$@"
}

both_answer() {
	[ "$(served_by "$url/")" = $'web/1\nweb/2' ]
}

document 2
check "two nodes come up" up
check "both answer" wait_for 60 both_answer

# --- killed under load ---

pid=$(docker inspect -f '{{.State.Pid}}' "$(container front/1)")
start_process states python3 "$root/tests/e2e/server-states.py" "/proc/$pid/root/run/haproxy/admin.sock"
states_pid=$pid
wait_for 60 grep -q 'web-2.* ready' "$TMP/states.log"
load_start killed "$url/"
victim=$(container web/2)

# killed: sets $took, the milliseconds from Docker's event to HAProxy's server being out.
killed() {
	local before died out mark
	took=
	mark=$(wc -l <"$TMP/states.log")
	before=$(date +%s)
	docker kill "$victim" >/dev/null
	wait_for 60 went_out "$mark" || return
	died=$(docker events --since "$before" --until "$(($(date +%s) + 1))" --filter "container=$victim" \
		--filter event=die --format '{{.TimeNano}}' | head -n 1)
	out=$(went_out "$mark")
	[ -n "$died" ] && [ -n "$out" ] && took=$(((out - died) / 1000000))
}

# went_out LINES: when it did, after so many lines.
went_out() {
	tail -n "+$(($1 + 1))" "$TMP/states.log" | sed -n 's/ web-2[^ ]* out$//p' | head -n 1 | grep .
}

# Again when others kept this machine busy: what is asked is what tepuy takes.
for _ in 1 2 3 4 5 6 7 8; do
	check "a node is killed: HAProxy takes it out" killed
	check "the node is back by itself" wait_for 60 node_is web/2 '.health == "passing"'
	check "and HAProxy sends it requests again" wait_for 60 server_is web-2 ready
	[ "${took:-0}" -ge "$(most 1000)" ] || break
done
case_begin "HAProxy sent it nothing within 1 s of Docker's event"
[ -n "$took" ] && [ "$took" -lt "$(most 1000)" ] && ok || not_ok "${took:-no} ms"
echo "      it took $took ms"
check "both answer" wait_for 60 both_answer
load_stop
end_process "$states_pid"
no_failures "no request failed when it was killed"
equal "it is the same container" "$victim" "$(container web/2)"

# --- disconnected and connected, with a download under way ---

# download: one of /big that web/1 answers, slow until hurry is called. Sets $download_pid.
download() {
	local i
	rm -f "$TMP/hurry" "$TMP/head"
	for ((i = 0; i < 10; i++)); do
		python3 "$root/tests/e2e/slow-download.py" "$url/big" "$TMP/head" "$TMP/hurry" >"$TMP/download" 2>&1 &
		download_pid=$!
		lib_pids+=("$download_pid")
		wait_for 60 test -s "$TMP/head"
		! grep -qi '^X-Node: web/1' "$TMP/head" || return 0
		end_process "$download_pid"
		rm -f "$TMP/head"
	done
	return 1
}

before=$(containers)
check "a long download from web/1 begins" download
load_start drains "$url/"
case_begin "web/1 is disconnected and connected twenty times"
why='' during=0
for ((i = 1; i <= 20 && ${#why} == 0; i++)); do
	tepuy disconnect --deadline 1s "$SERVICE/web/1" >"$TMP/out" 2>&1 || why="disconnect $i: $(cat "$TMP/out")"
	wait_for 60 server_is_not web-1 ready || why="after disconnect $i HAProxy still sends it requests"
	tepuy connect "$SERVICE/web/1" >"$TMP/out" 2>&1 || why="$why connect $i: $(cat "$TMP/out")"
	gone_or_zombie "$download_pid" || during=$i
	wait_for 60 server_is web-1 ready || why="$why after connect $i HAProxy sends it none"
done
[ -z "$why" ] && ok || not_ok "$why"
load_stop
no_failures "no request failed meanwhile"
equal "the download was under way all that time" 20 "$during"
: >"$TMP/hurry"
check "it ends by itself" wait_for 180 gone_or_zombie "$download_pid"
equal "whole" "200 $((256 << 20))" "$(cat "$TMP/download")"
equal "no container was touched" "$before" "$(containers)"

# --- a drain that is taken back, and one that stops ---

check "another download from web/1 begins" download
check "disconnect --detach with a long deadline returns" tepuy disconnect --detach --deadline 300s "$SERVICE/web/1"
check "HAProxy takes the node out" wait_for 60 server_is web-1 drain
check "the session goes on" throughout 1 alive "$download_pid"
check "connect takes it back" tepuy connect "$SERVICE/web/1"
check "HAProxy sends it requests" wait_for 60 server_is web-1 ready
end_process "$download_pid"

check "disconnect --stop ends" tepuy disconnect --stop --deadline 5s "$SERVICE/web/1"
equal "and has stopped the node" '' "$(container web/1)"
equal "the other one answers alone" web/2 "$(served_by "$url/")"
check "connect starts it again" tepuy connect "$SERVICE/web/1"
check "both answer" wait_for 60 both_answer

# --- checks at run time ---

# has_check ID STATUS: all nodes of web have it so.
has_check() {
	tepuy checks --json "$SERVICE/web" | jq -e --arg id "$1" --arg status "$2" --argjson n "${3:-2}" \
		'[.checks[] | select(.id == $id and .status == $status and .added)] | length == $n' >/dev/null
}

before=$(containers)
check "checks says 0 when all pass" wait_for 60 checks_say 0

# added_in_time ID STATUS ARGUMENT…: every node has the check within a second. Taken away and added again when others kept
# this machine busy: what is asked is what tepuy takes.
added_in_time() {
	local id=$1 status=$2 start
	shift 2
	for _ in {1..15}; do
		tepuy check add --id "$id" "$@" || return
		start=$(now_ms)
		wait_for 60 has_check "$id" "$status" || { tepuy checks "$SERVICE/web"; return 1; }
		took=$(($(now_ms) - start))
		[ "$took" -ge "$(most 1000)" ] || return 0
		tepuy check remove "$SERVICE" "$id" || return
		wait_for 60 has_check "$id" "$status" 0
	done
	echo "it took $took ms"
	return 1
}

check "a http check that is added is on every node within 1 s" added_in_time page passing --http / --interval 1s --timeout 20s "$SERVICE/web"
check "a tcp check too" added_in_time port passing --tcp http --interval 1s --timeout 20s "$SERVICE/web"
check "an exec check too" added_in_time file passing --exec --interval 1s --timeout 20s "$SERVICE/web" -- \
	sh -c 'test ! -e /tmp/ill || { echo it is ill; exit "$(cat /tmp/ill)"; }'
check "a ttl check too, as a warning before the first report" added_in_time heart warning --ttl 30m "$SERVICE/web"
check "checks says 1 then" wait_for 60 checks_say 1
check "a report is taken" tepuy check report "$SERVICE/web" heart passing
check "and makes it pass" wait_for 60 has_check heart passing
equal "no container was touched" "$before" "$(containers)"

tepuy exec "$SERVICE/web/1" -- sh -c 'echo 1 >/tmp/ill'
check "an exec check that ends with 1 is a warning" wait_for 60 checks_say 1
check "with its output" sh -c "'$TEPUY' checks --json $SERVICE/web/1 | jq -e '.checks[] | select(.id == \"file\") | .output | contains(\"it is ill\")'"
tepuy exec "$SERVICE/web/1" -- sh -c 'echo 2 >/tmp/ill'
check "one that ends with 2 is critical" wait_for 60 checks_say 2
check "and HAProxy sends the node nothing" wait_for 60 server_is web-1 maint
check "--wait passing gives up after its time" sh -c "'$TEPUY' checks --wait passing --timeout 1s $SERVICE/web; [ \$? = 2 ]"
tepuy exec "$SERVICE/web/1" -- rm /tmp/ill
check "--wait passing ends when all pass" tepuy checks --wait passing --timeout 60s "$SERVICE/web"
equal "checks of what is not there says 3" 3 "$(status_of tepuy checks "$SERVICE/nothing")"

document 3
check "a node more" up
check "it has the added checks" wait_for 60 has_check file passing 3
check "both kinds" wait_for 60 has_check page passing 3

stop_agent
check "the agent is started again" start_agent
check "the checks are still there" wait_for 60 has_check file passing 3
equal "and known as added" 4 "$(tepuy checks --json "$SERVICE/web/1" | jq '[.checks[] | select(.added)] | length')"

for id in page port file heart; do
	check "check $id is removed" tepuy check remove "$SERVICE" "$id"
done
check "no node has them then" wait_for 60 sh -c \
	"'$TEPUY' checks --json $SERVICE/web | jq -e '[.checks[] | select(.added)] | length == 0'"
refuse "a check that is not there cannot be removed" tepuy check remove "$SERVICE" page
equal "no container was touched by all this" "$before" "$(containers | grep -v /web/3)"

# --- a template that is refused ---

# watch_has NODES: they are in the list that was put in place.
watch_has() {
	[ "$(tepuy exec "$SERVICE/watch/1" -- grep -c '^node ' /srv/e2e/list)" = "$1" ]
}

check "status says why a list is refused" wait_for 60 sh -c "'$TEPUY' status $SERVICE | grep -q 'this list is too long'"
check "it is not put in place" wait_for 60 watch_has 2
document 2
check "fewer nodes again" up
check "its list is taken, and nothing complains" wait_for 60 sh -c "! '$TEPUY' status $SERVICE | grep -q 'too long'"
check "with both nodes" wait_for 60 watch_has 2

check "down" tepuy down --yes "$SERVICE"
check "leaves nothing" no_containers

finish
