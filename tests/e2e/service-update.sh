#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# needs: docker
# timeout: 1500
# Updates under load: a recipe that changed, one that never gets healthy, one that cannot be built, more and fewer nodes,
# two operators at once. The load goes through HAProxy; no request of it may fail.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lib-service.sh
. "$(dirname "$0")/lib-service.sh"

service_begin update
free_port
url=http://127.0.0.1:$PORT
cp -r "$test_recipes" "$TMP/recipes"

# document NODES TEXT HEALTH [FURTHER-COMPONENT]
document() {
	cat >"$TMP/service.yaml" <<-END
		service: $SERVICE
		components:
		  web:
		    recipe: e2e-web
		    nodes: $1
		    config: {text: $2, health: $3}
		    update: {order: start-first, parallel: 1, healthy_for: 1s, deadline: $([ "$3" = 200 ] && echo 300s || echo 8s)}
		  front:
		    recipe: haproxy
		    connect: {backend: web}
		    publish: {http: $PORT}
		${4:-}
	END
}

up() {
	tepuy up --yes --recipes "$recipes" --recipes "$TMP/recipes" "$TMP/service.yaml"
}

# page_says TEXT: all nodes.
page_says() {
	[ "$(for i in 1 2 3 4 5 6; do
		curl -fsS --max-time 15 "$url/" | sed -n 's|.*id="text">\([^<]*\)<.*|\1|p'
	done | sort -u)" = "$1" ]
}

# answer NODES: these and no others. Under load eight requests may miss one of them.
answer() {
	[ "$(served_by "$url/")" = "$1" ]
}

# servers_are SERVERS: HAProxy's, an old one being there until its last session ended.
servers_are() {
	[ "$(servers | cut -d' ' -f1,2 | paste -sd ' ')" = "$1" ]
}

webs() {
	containers | grep "^$SERVICE/web/"
}

# no_failures: of the load that was stopped; a case of its own.
no_failures() {
	case_begin "$1"
	if [ "$failures" = 0 ] && [ "$requests" -gt 100 ]; then
		ok
	else
		not_ok "$failures of $requests requests failed"
		sed 's/^/      /' "$TMP/$load_name.wrk"
	fi
}

# ids: of the containers of `web`, one a line.
ids() {
	webs | cut -d' ' -f2
}

document 2 first 200
check "two nodes come up" up
check "both answer" wait_for 60 answer $'web/1\nweb/2'

# --- a recipe that changed ---

old=$(ids)
front=$(container front/1)
sed -i 's|<title>e2e</title>|<title>changed</title>|' "$TMP/recipes/e2e-web/templates/index.html"
load_start changed "$url/"
check "a changed recipe comes up" up
load_stop
no_failures "no request failed while both nodes were replaced"
check "the page is the new recipe's" sh -c "curl -fsS '$url/' | grep -q '<title>changed'"
refuse "no old container is left" sh -c "docker ps --all --quiet --no-trunc | grep -F '$old'"
equal "there are two new ones" 2 "$(ids | wc -l)"
equal "HAProxy's was not touched" "$front" "$(container front/1)"
check "HAProxy has the new nodes only, ready" wait_for 60 servers_are "web-1.2 ready web-2.2 ready"

# --- one that never gets healthy ---

before=$(webs)
document 2 unwell 503
load_start unwell "$url/"
case_begin "up of a revision whose nodes never get healthy says 1"
up >"$TMP/unwell" 2>&1
status=$?
[ $status -eq 1 ] && ok || not_ok "exit status $status"
load_stop
no_failures "no request failed while it was tried and taken back"
check "up shows the failing check's last output" grep -q 'the health of web/1 is 503' "$TMP/unwell"
check "and the node's last lines" grep -q 'e2e-web: the site begins' "$TMP/unwell"
equal "the nodes before it run on, untouched" "$before" "$(webs)"
check "the page is the old one" page_says first
equal "status says that it was taken back" rolled-back "$(phase)"
check "and why" sh -c "'$TEPUY' status --json $SERVICE | jq -e '.services[0].status.reason | length > 10'"
case_begin "up again tries it again"
up >"$TMP/unwell" 2>&1
status=$?
[ $status -eq 1 ] && grep -q 503 "$TMP/unwell" && ok || not_ok "exit status $status: $(cat "$TMP/unwell")"

document 2 mended 200
check "up of a good document comes up after that" up
check "with its page" page_says mended

# --- one that cannot be built ---

before=$(containers)
cp -r "$TMP/recipes/e2e-web" "$TMP/good-web"
sed -i 's|^config:|build:\n  - [sh, -c, "echo the moon is full >\&2; exit 3"]\nconfig:|' "$TMP/recipes/e2e-web/recipe.yaml"
case_begin "up of a recipe that cannot be built says 1"
up >"$TMP/unbuilt" 2>&1
status=$?
[ $status -eq 1 ] && ok || not_ok "exit status $status: $(cat "$TMP/unbuilt")"
check "and shows the end of the build's output" grep -q 'the moon is full' "$TMP/unbuilt"
equal "and touches no container" "$before" "$(containers)"
check "the page is the old one after it" page_says mended
rm -r "$TMP/recipes/e2e-web"
mv "$TMP/good-web" "$TMP/recipes/e2e-web"
check "up of the recipe as it was is well again" up
equal "and touches none either" "$before" "$(containers)"

# --- more and fewer nodes ---

load_start scale "$url/"
document 4 mended 200
check "two nodes more" up
check "all four answer" wait_for 60 answer $'web/1\nweb/2\nweb/3\nweb/4'
equal "the first two were not touched" "$(echo "$before" | grep /web/)" "$(webs | head -n 2)"
document 1 mended 200
check "and three fewer" up
check "one answers" wait_for 60 answer web/1
load_stop
no_failures "no request failed while nodes came and went"
equal "the one that stayed was not touched" "$(echo "$before" | grep /web/1)" "$(webs)"

# --- a component more and fewer ---

document 1 mended 200 '  watch: {recipe: e2e-watcher, connect: {site: web}}'
check "a component more" up
check "it runs" test -n "$(container watch/1)"
document 1 mended 200
check "and fewer" up
equal "it is gone" '' "$(containers | grep /watch/)"
equal "the others were not touched" "$(echo "$before" | grep -e /web/1 -e /front/)" "$(containers)"

# --- limits that change while a node runs ---

# watcher MEMORY CPUS
watcher() {
	echo "  watch: {recipe: e2e-watcher, connect: {site: web}, memory: $1, memory_max: 1G, cpus: $2, cpus_max: 2}"
}

# limits_are BYTES NANO-CPUS: of the container's, which may be unknown while Docker writes them down.
limits_are() {
	[ "$(docker inspect --format '{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}' "$(container watch/1)")" = "$1 $2" ]
}

# runs_anew PID: its main process is another one.
runs_anew() {
	local now
	now=$(docker inspect -f '{{.State.Pid}}' "$watch") && [ "$now" != 0 ] && [ "$now" != "$1" ]
}

document 1 mended 200 "$(watcher 128M 0.5)"
check "a component with limits that may change" up
watch=$(container watch/1)
check "has them" limits_are $((128 << 20)) 500000000
document 1 mended 200 "$(watcher 192M 1)"
check "other limits are told as what changes" sh -c \
	"'$TEPUY' up --dry-run --recipes '$recipes' --recipes '$TMP/recipes' '$TMP/service.yaml' | grep -q 'memory: 134217728 → 201326592'"
check "other limits come up" up
check "it gets them" wait_for 60 limits_are $((192 << 20)) 1000000000
equal "while it runs" "$watch" "$(container watch/1)"
kill_agent
document 1 mended 200 "$(watcher 160M 1)"
start_agent
check "again, with an agent that has just begun" up
check "which gives them to it" wait_for 60 limits_are $((160 << 20)) 1000000000
pid=$(docker inspect -f '{{.State.Pid}}' "$watch")
docker kill "$watch" >/dev/null
check "one that ended starts again" wait_for 60 runs_anew "$pid"
check "with the limits that it has now" limits_are $((160 << 20)) 1000000000
equal "in the same container" "$watch" "$(container watch/1)"
document 1 mended 200
check "it goes" up

# --- two operators ---

index=$(curl -fsS --unix-socket "$TEPUY_SOCKET" "http://tepuy/v1/service/$SERVICE" | jq .index)
spec=$(curl -fsS --unix-socket "$TEPUY_SOCKET" "http://tepuy/v1/service/$SERVICE" | jq .spec)
document 1 other 200
check "one operator submits" up
case_begin "the other, who has not seen that, is told 409 and a sentence"
status=$(jq -n --argjson spec "$spec" --argjson index "$index" '{spec: $spec, index: $index, secrets: {}}' |
	curl -sS -o "$TMP/refused" -w '%{http_code}' --unix-socket "$TEPUY_SOCKET" -X PUT -H 'Content-Type: application/json' \
		--data-binary @- "http://tepuy/v1/service/$SERVICE")
[ "$status" = 409 ] && jq -e '.error | length > 10' "$TMP/refused" >/dev/null && ok || not_ok "$status $(cat "$TMP/refused")"
check "and what the first one submitted stands" page_says other

check "down" tepuy down --yes "$SERVICE"
check "leaves nothing" no_containers

finish
