# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# For the faults-*.sh scripts, sourced after lib.sh: an agent of their own, recipes that build in a moment without a
# mirror (busybox and the host's HAProxy in an archive), and what there is of a service.
#
#   faults_begin NAME          directories, recipes; the service is $SERVICE (tt-faults-NAME)
#   start_agent [ARGUMENT…]    sets AGENT_PID; restart with the same call
#   kill_agent                 as a power cut does
#
# shellcheck disable=SC2034,SC2154,SC2317 # for the scripts; from lib.sh; called by name

tepuy=${TEPUY:-${BUILD:-$(dirname "$0")/../../build}/src/cli/tepuy}
tepuy=$(realpath "$tepuy")
shipped=$(realpath "$(dirname "$0")/../../recipes")

faults_begin() {
	SERVICE=tt-faults-$1
	DOCKER_SOCKET=${DOCKER_SOCKET:-/run/docker.sock}
	export TEPUY_SOCKET=$TMP/run/agent.sock XDG_CACHE_HOME=$TMP/cache DOCKER_HOST=unix://$DOCKER_SOCKET NO_COLOR=1
	recipes=$TMP/recipes
	mkdir -p "$TMP/run" "$TMP/state" "$recipes"
	at_exit faults_tidy
	make_tiny
}

# copy_program ROOT PROGRAM…: with the libraries that it is linked with.
copy_program() {
	local root=$1 program path
	shift
	for program; do
		path=$(command -v "$program")
		install -D "$path" "$root/usr/bin/$program"
		for path in $(ldd "$path" | grep -oE '/[^ ]+'); do
			[ -e "$root$path" ] || install -D "$path" "$root$path"
		done
	done
}

bare_root() {
	mkdir -p "$1"/{usr/bin,etc,tmp,run,srv/www,dev,proc,sys,var/lib,root}
	ln -s usr/bin "$1/bin"
	ln -s usr/bin "$1/sbin"
	cp "$(command -v busybox)" "$1/usr/bin/busybox"
	local applet
	for applet in sh cat chown sleep httpd install kill false; do
		ln -s busybox "$1/usr/bin/$applet"
	done
	printf 'root:x:0:0:root:/:/bin/sh\n' >"$1/etc/passwd"
	printf 'root:x:0:\n' >"$1/etc/group"
}

# pack_root ROOT FILE: the same bytes in each run, so that images are the same.
pack_root() {
	tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$1" -cf "$2" .
	rm -rf "$1"
}

# The recipe `tiny`: a web server of busybox that says its name and its text.
make_tiny() {
	bare_root "$TMP/root"
	mkdir -p "$recipes/tiny/templates"
	pack_root "$TMP/root" "$recipes/tiny/root.tar"
	printf '{{config.text}} {{node.name}}\n' >"$recipes/tiny/templates/index.html"
	cat >"$recipes/tiny/recipe.yaml" <<-'END'
		recipe: tiny
		version: "1.0"
		summary: {en: A page, es: Una página}
		base: {archive: root.tar}
		config: {text: {type: string, default: hello}}
		provides: {http: {port: 80, interface: http}}
		templates: [{from: templates/index.html, to: /srv/www/index.html, on_change: none}]
		start: [busybox, httpd, -f, -p, "80", -h, /srv/www]
		stop: {signal: KILL, timeout: 1s}
		checks: [{http: /, port: http, interval: 2s, timeout: 2s}]
	END
}

# The shipped recipe `haproxy` on an archive that is made of the host's own HAProxy.
make_haproxy() {
	local root=$TMP/root
	bare_root "$root"
	rm "$root/usr/bin/install" "$root/usr/bin/kill" "$root/usr/bin/sleep"
	copy_program "$root" haproxy bash install kill sleep
	mkdir -p "$root/var/lib/haproxy" "$root/etc/haproxy"
	printf 'haproxy:x:100:100::/var/lib/haproxy:/bin/sh\n' >>"$root/etc/passwd"
	printf 'haproxy:x:100:\n' >>"$root/etc/group"
	cp -r "$shipped/haproxy" "$recipes/haproxy"
	pack_root "$root" "$recipes/haproxy/root.tar"
	sed -i -e 's/^base: .*/base: {archive: root.tar}/' -e '/^packages:/d' "$recipes/haproxy/recipe.yaml"
}

# write_service [TEXT [NODES]]: web nodes behind HAProxy on $WEB_PORT, or `web` and `other` without one.
write_service() {
	local text=${1:-hello} nodes=${2:-2}
	cat >"$TMP/service.yaml" <<-END
		service: $SERVICE
		components:
		  web:
		    recipe: tiny
		    nodes: $nodes
		    config: {text: $text}
		    update: {order: start-first, parallel: 1, healthy_for: 1s, deadline: 30s, on_failure: rollback}
	END
	[ -z "${WEB_PORT:-}" ] || cat >>"$TMP/service.yaml" <<-END
		  front:
		    recipe: haproxy
		    connect: {backend: web}
		    publish: {http: $WEB_PORT}
	END
}

agent_answers() {
	curl -fsS --max-time 5 --unix-socket "$TEPUY_SOCKET" http://tepuy/v1/version
}

run_agent() {
	start_process agent "$tepuy" agent --socket "$TEPUY_SOCKET" --state-dir "$TMP/state" --consul "$CONSUL_URL" \
		--address "${ADDRESS:-$(docker_address)}" --name faults --log-level debug \
		--runtime-endpoint "$DOCKER_SOCKET" "$@"
	AGENT_PID=$pid
}

start_agent() {
	run_agent "$@"
	wait_for 30 agent_answers || { echo "the agent does not answer:"; tail -n 5 "$TMP/agent.log"; return 1; }
}

kill_agent() {
	end_process "$AGENT_PID" KILL
}

docker_address() {
	ip -4 -oneline address show dev docker0 | sed -n 's|.* inet \([0-9.]*\)/.*|\1|p' | head -n 1
}

up() {
	"$tepuy" up "$TMP/service.yaml" --recipes "$recipes" --yes "$@"
}

down() {
	"$tepuy" down "$SERVICE" --yes
}

# phase_is PHASE…, also of a status that is not there: ''.
phase() {
	"$tepuy" status --json "$SERVICE" | jq -r '(.services[0]? // .).status.phase // ""'
}

phase_is() {
	local now wanted
	now=$(phase 2>/dev/null)
	for wanted; do
		[ "$now" != "$wanted" ] || return 0
	done
	return 1
}

# containers [FORMAT]: the service's, running or not.
containers() {
	docker ps --all --no-trunc --filter "label=tepuy.instance" --format "{{.Label \"tepuy.instance\"}} ${1:-{{.ID\}\}}" |
		grep "^$SERVICE/" | sort
}

# When each was started: changes when it is touched.
starts() {
	local id
	containers | while read -r name id; do
		printf '%s %s\n' "$name" "$(docker inspect --format '{{.Id}} {{.State.StartedAt}} {{.State.Status}}' "$id")"
	done
}

nodes_running() {
	containers '{{.State}}' | awk '$2 == "running" { sub(/\.[0-9]+ .*/, ""); print }'
}

# Exactly these nodes, one running container each and none besides, and as many registrations and assignments.
only_nodes() {
	local wanted
	wanted=$(printf "$SERVICE/%s\n" "$@" | sort)
	[ "$(nodes_running)" = "$wanted" ] || { echo "running: $(nodes_running)"; return 1; }
	[ "$(containers | wc -l)" = $# ] || { echo "containers: $(containers)"; return 1; }
	[ "$(registrations | wc -l)" = $# ] || { echo "registered: $(registrations)"; return 1; }
	[ "$(keys node | wc -l)" = $# ] || { echo "assigned: $(keys node)"; return 1; }
	[ "$(keys state | wc -l)" = $# ] || { echo "states: $(keys state)"; return 1; }
}

registrations() {
	curl -fsS "$CONSUL_URL/v1/agent/services" | jq -r --arg s "$SERVICE" '.[] | select(.Meta.service == $s) | .ID'
}

# keys KIND: the service's below tepuy/host/faults/KIND (node, state, ack).
keys() {
	curl -sS "$CONSUL_URL/v1/kv/tepuy/host/faults/$1/$SERVICE/?keys" | jq -r '.[]' 2>/dev/null
}

fetch() {
	curl -fsS --max-time 5 "http://127.0.0.1:$WEB_PORT/"
}

# Requests one after another until load_ends; the failed ones are in $TMP/load.failed.
load_begins() {
	: >"$TMP/load.failed"
	: >"$TMP/load.count"
	(
		trap 'exit 0' TERM
		while :; do
			curl -fsS --max-time 5 "http://127.0.0.1:$WEB_PORT/" >/dev/null 2>"$TMP/load.err" ||
				printf '%s %s\n' "$(date +%T.%3N)" "$(cat "$TMP/load.err")" >>"$TMP/load.failed"
			printf . >>"$TMP/load.count"
			sleep 0.02
		done
	) &
	load_pid=$!
	lib_pids+=("$load_pid")
}

# load_ends: at least some requests, none failed.
load_ends() {
	end_process "$load_pid"
	[ "$(wc -c <"$TMP/load.count")" -gt 20 ] || { echo "only $(wc -c <"$TMP/load.count") requests"; return 1; }
	[ ! -s "$TMP/load.failed" ] || { cat "$TMP/load.failed"; return 1; }
}

# show_on_failure: the end of the agent's log, for a case that failed.
agent_tail() {
	tail -n "${1:-15}" "$TMP/agent.log" | sed 's/^/      /'
}

faults_tidy() {
	local images ids
	gone_or_zombie "${AGENT_PID:-0}" || end_process "$AGENT_PID" KILL
	ids=$(containers | awk '{ print $2 }')
	[ -n "$ids" ] || return 0
	# shellcheck disable=SC2086 # words
	images=$(docker inspect --format '{{.Image}}' $ids | sort -u)
	# shellcheck disable=SC2086
	docker rm --force --volumes $ids >/dev/null
	# shellcheck disable=SC2086 # an image that others use stays
	docker rmi $images >/dev/null 2>&1 || :
}
