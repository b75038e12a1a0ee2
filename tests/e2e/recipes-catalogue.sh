#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# lane: built
# The shipped recipes as nodes of one service, made by the product from nothing but the apt mirror: what each recipe
# promises in its own file. Agent, Consul and store are this script's own; needs root, Docker, curl.
# needs: docker
# timeout: 1800
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

top=$(cd "$(dirname "$0")/../.." && pwd)
tepuy=${TEPUY:-$top/build/src/cli/tepuy}
service=tt-catalogue-$$
export TEPUY_SOCKET=$TMP/agent.sock LC_ALL=C NO_COLOR=1

free_port
front=127.0.0.1:$PORT
cat >"$TMP/service.yaml" <<END
service: $service
components:
  db:
    recipe: postgresql
    config: {database: site, user: site, password: {secret: password}}
    volumes: {data: {path: $TMP/db}}
    update: {deadline: 600s}
  web:
    recipe: php-site
    nodes: 2
    config: {title: "O'Higgins & <Sons>", database: site, user: site, password: {secret: password}}
    connect: {database: db}
    update: {deadline: 600s}
  page: {recipe: static-site, config: {title: Static, text: "A <em>page</em>."}, update: {deadline: 600s}}
  front:
    recipe: haproxy
    connect: {backend: web}
    publish: {http: $PORT}
    update: {deadline: 600s}
secrets: {password: {required: true}}
END
# Everything that a quoting mistake would show by.
printf '%s' "p'a\"s\\s w\$(x)\`y\`;=#" >"$TMP/password"

remove_all() {
	"$tepuy" down "$service" --yes >/dev/null 2>&1
	docker ps -aq --filter "name=^tepuy\\.$service\\." | xargs -r docker rm -fv >/dev/null
}

# Its secrets' tmpfs outlives it.
end_agent() {
	end_process "$agent_pid"
	! mountpoint -q "$TMP/secrets" || umount "$TMP/secrets"
}

container() { # db 1
	docker ps -q --filter "name=^tepuy\\.$service\\.$1\\.$2\\."
}

up() {
	"$tepuy" up "$TMP/service.yaml" --yes --recipes "$top/recipes" --secret "password=@$TMP/password"
}

page() {
	curl -fsS --max-time 30 "http://$front$1"
}

visits() {
	page / | sed -n 's|.*id="visits">\([0-9]*\)<.*|\1|p'
}

both_answer() {
	[ "$(for _ in 1 2 3 4 5 6; do page /node; done | sort -u | tr '\n' ' ')" = 'web/1 web/2 ' ]
}

counts() { # the counter goes up by one a visit, wherever it is made
	local first
	first=$(visits) && [ -n "$first" ] || return 1
	[ "$(visits) $(visits)" = "$((first + 1)) $((first + 2))" ]
}

title_is_escaped() {
	page / | grep -q '<h1>O&#039;Higgins &amp; &lt;Sons&gt;</h1>'
}

secret_is_nowhere() { # in what Docker, the process table and the logs show
	local id
	for id in $(docker ps -aq --filter "name=^tepuy\\.$service\\."); do
		! { docker inspect "$id"; docker logs "$id"; docker top "$id" -eo args; } 2>&1 | grep -qF "p'a\"s" || return 1
	done
	! grep -qF "p'a\"s" "$TMP/agent.log" && ! "$tepuy" events "$service" | grep -qF "p'a\"s"
}

secret_is_for_its_owner() {
	[ "$(docker exec "$(container web 1)" stat -c '%U %a' /run/secrets/password)" = 'www-data 400' ]
}

database_survives_kill() {
	local before
	before=$(visits) && docker kill "$(container db 1)" >/dev/null || return 1
	wait_for 60 visits_above "$before"
}

visits_above() {
	local now
	now=$(visits) && [ -n "$now" ] && [ "$now" -gt "$1" ]
}

second_server_is_refused() { # on the same volume, while the first one runs
	local image
	image=$(docker inspect --format '{{.Image}}' "$(container db 1)")
	docker run --rm --name "tt-catalogue-second-$$" -v "$TMP/db:/var/lib/postgresql" --entrypoint /bin/sh "$image" \
		-c 'mkdir -p /run/secrets && echo x >/run/secrets/password && exec timeout 40 /srv/postgresql/start' 2>&1 |
		grep -q 'another server still has the volume in use'
}

wrong_user_is_refused() { # the server's own user cannot come in from the network
	local address
	address=$(docker inspect --format '{{.NetworkSettings.IPAddress}}' "$(container db 1)")
	docker exec "$(container db 1)" env PGPASSWORD=x psql -h "$address" -U postgres postgres -c 'select 1' 2>&1 |
		grep -q 'no pg_hba.conf entry'
}

backup_and_restore() {
	local before
	before=$(visits)
	docker exec "$(container db 1)" /srv/postgresql/backup >"$TMP/backup" && [ -s "$TMP/backup" ] || return 1
	visits >/dev/null && visits >/dev/null
	docker exec -i "$(container db 1)" /srv/postgresql/restore <"$TMP/backup" || return 1
	[ "$(visits)" = "$((before + 1))" ]
}

download_outlives_stop() { # QUIT lets what is under way finish
	local address
	address=$(docker inspect --format '{{.NetworkSettings.IPAddress}}' "$(container web 1)")
	curl -fsS --max-time 60 -o "$TMP/big" "http://$address/big?mb=4" &
	wait_for 60 test -s "$TMP/big" || return
	docker kill --signal QUIT "$(container web 1)" >/dev/null
	wait $! && [ "$(stat -c %s "$TMP/big")" = $((4 * 1024 * 1024)) ]
}

half_a_site_ends() { # php-fpm dies: the node ends and comes back whole
	local id started
	id=$(container web 2)
	started=$(docker inspect --format '{{.State.StartedAt}}' "$id")
	docker exec "$id" sh -c 'for p in /proc/[0-9]*; do
		if grep -q "php-fpm: master" "$p/cmdline"; then kill -9 "${p#/proc/}"; fi
	done' 2>/dev/null
	wait_for 60 started_again "$id" "$started" && wait_for 60 both_answer
}

started_again() {
	[ "$(docker inspect --format '{{.State.StartedAt}} {{.State.Running}}' "$1")" != "$2 true" ] &&
		[ "$(docker inspect --format '{{.State.Running}}' "$1")" = true ]
}

without_database() { # the page says what is wrong, and the web nodes stay healthy
	docker pause "$(container db 1)" >/dev/null || return 1
	curl -sS --max-time 60 "http://$front/" >"$TMP/away"
	page /health >/dev/null
	local health=$?
	docker unpause "$(container db 1)" >/dev/null
	grep -q 'The database does not answer' "$TMP/away" && [ "$health" -eq 0 ] && wait_for 60 visits_above 0
}

status_port() {
	docker inspect --format '{{(index (index .NetworkSettings.Ports "8404/tcp") 0).HostIp}}:{{(index (index .NetworkSettings.Ports "8404/tcp") 0).HostPort}}' \
		"$(container front 1)"
}

forged_address_is_dropped() { # HAProxy says who asked, whatever the client claims
	for _ in 1 2; do
		curl -fsS -H 'X-Forwarded-For: 192.0.2.66' "http://$front/node?forged" >/dev/null || return 1
	done
	wait_for 60 forged_is_logged || return 1
	grep -qE '^[0-9]+\.' "$TMP/forged" && ! grep -q 192.0.2.66 "$TMP/forged"
}

forged_is_logged() { # by one of the two
	local n
	for n in 1 2; do docker logs "$(container web "$n")"; done 2>&1 | grep 'GET /node?forged' >"$TMP/forged"
}

static_page() {
	local address
	address=$(docker inspect --format '{{.NetworkSettings.IPAddress}}' "$(container page 1)")
	curl -fsS --max-time 10 "http://$address/" | grep -q '<p>A <em>page</em>.</p>'
}

reloads_lose_nothing() {
	local code
	(
		for _ in 1 2 3 4 5; do
			docker exec "$(container front 1)" /srv/haproxy/reload
			docker exec "$(container web 1)" /srv/site/reload
			docker exec "$(container db 1)" /srv/postgresql/reload
		done >/dev/null 2>&1
	) &
	for _ in $(seq 200); do
		code=$(curl -sS --max-time 30 -o /dev/null -w '%{http_code}' "http://$front/") && [ "$code" = 200 ] || return 1
	done
	wait $!
}

empty_backend() {
	"$tepuy" disconnect "$service/web" --yes >/dev/null 2>&1 || "$tepuy" disconnect "$service/web" >/dev/null || return 1
	wait_for 60 answers_503
	local status=$?
	"$tepuy" connect "$service/web" >/dev/null && wait_for 60 both_answer && return "$status"
}

answers_503() {
	[ "$(curl -sS -o "$TMP/503" -w '%{http_code}' "http://$front/")" = 503 ] && grep -q 'ningún nodo' "$TMP/503"
}

no_container() {
	[ -z "$(docker ps -aq --filter "name=^tepuy\\.$service\\.")" ]
}

data_outlives_down() {
	local before
	before=$(visits) && "$tepuy" down "$service" --yes >/dev/null || return 1
	no_container && [ -e "$TMP/db/15/main/PG_VERSION" ] || return 1
	# A busy machine's Consul may find a node ill for a moment; pages that are not counted are asked for until it does not.
	up >/dev/null && wait_for 60 both_answer && [ "$(visits)" = "$((before + 1))" ]
}

for recipe in "$top"/recipes/*/; do
	check "$(basename "$recipe") lints" "$tepuy" recipe lint "$recipe"
done
check "the portal example lints" "$tepuy" service lint "$top/examples/portal/service.yaml" --recipes "$top/recipes"

start_consul
address=$(ip -4 -oneline address show dev docker0 | sed -n 's|.* inet \([0-9.]*\)/.*|\1|p')
start_process agent "$tepuy" agent --socket "$TEPUY_SOCKET" --state-dir "$TMP/state" --consul "$CONSUL_URL" \
	--address "$address" --name e2e
agent_pid=$pid
at_exit end_agent
at_exit remove_all
wait_for 60 curl -fsS --unix-socket "$TEPUY_SOCKET" http://tepuy/v1/version || {
	cat "$TMP/agent.log"
	exit 1
}

check "the service comes up" up
check "both web nodes answer through HAProxy" wait_for 60 both_answer
check "the counter counts over both nodes" counts
check "text from the configuration is escaped" title_is_escaped
check "the password is nowhere to be seen" secret_is_nowhere
check "the password's file is for its owner alone" secret_is_for_its_owner
check "postgresql: a second server on the volume is refused" second_server_is_refused
check "postgresql: its own user cannot come in from the network" wrong_user_is_refused
check "postgresql: what was counted survives a kill" database_survives_kill
check "postgresql: a backup restores what was" backup_and_restore
check "php-site: the node stays healthy without the database and says so" without_database
check "php-site: a node whose PHP died comes back whole" half_a_site_ends
check "php-site: a download outlives the stop signal" download_outlives_stop
check "php-site: both nodes are back" wait_for 60 both_answer
check "haproxy: figures on the status port" sh -c "curl -fsS http://$(status_port)/metrics | grep -q ^haproxy_"
check "haproxy: a forged X-Forwarded-For is dropped" forged_address_is_dropped
check "static-site: the page as configured" static_page
check "reloads of all lose no request" reloads_lose_nothing
check "haproxy: without nodes, a page that says so" empty_backend
check "the counter survives down and up" data_outlives_down
finish
