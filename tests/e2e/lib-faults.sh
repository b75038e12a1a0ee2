# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# For the faults-*.sh scripts, sourced after lib-service.sh: recipes that build in a moment and without a mirror, in
# $tiny (busybox, and the host's own HAProxy, in an archive), what there is of the service, requests that may not fail.
#
# shellcheck disable=SC2034,SC2119,SC2120,SC2154,SC2317 # for the scripts; from lib.sh; called by name

tiny=$TMP/recipes
mkdir -p "$tiny"

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
	for applet in sh cat head chown sleep httpd install kill true false; do
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
	mkdir -p "$tiny/tiny/templates"
	pack_root "$TMP/root" "$tiny/tiny/root.tar"
	printf '{{config.text}} {{node.name}}\n' >"$tiny/tiny/templates/index.html"
	cat >"$tiny/tiny/recipe.yaml" <<-'END'
		recipe: tiny
		version: "1.0"
		summary: {en: A page, es: Una página}
		base: {archive: root.tar}
		config: {text: {type: string, default: hello}}
		provides: {http: {port: 80, interface: http}}
		templates: [{from: templates/index.html, to: /srv/www/index.html, on_change: none}]
		start: [busybox, httpd, -f, -p, "80", -h, /srv/www]
		stop: {signal: KILL, timeout: 1s}
		checks: [{http: /, port: http, interval: 2s, timeout: 10s}]
	END
}

# The shipped recipe `haproxy` on an archive that is made of the host's own HAProxy.
make_haproxy() {
	local root=$TMP/root
	bare_root "$root"
	rm "$root/usr/bin/install"
	copy_program "$root" haproxy bash install
	mkdir -p "$root/var/lib/haproxy" "$root/etc/haproxy"
	printf 'haproxy:x:100:100::/var/lib/haproxy:/bin/sh\n' >>"$root/etc/passwd"
	printf 'haproxy:x:100:\n' >>"$root/etc/group"
	cp -r "$recipes/haproxy" "$tiny/haproxy"
	pack_root "$root" "$tiny/haproxy/root.tar"
	sed -i -e 's/^base: .*/base: {archive: root.tar}/' -e '/^packages:/d' "$tiny/haproxy/recipe.yaml"
}

# write_service [TEXT [NODES]]: web nodes of `tiny`, behind HAProxy when $WEB_PORT is set.
write_service() {
	cat >"$TMP/service.yaml" <<-END
		service: $SERVICE
		components:
		  web:
		    recipe: tiny
		    nodes: ${2:-2}
		    config: {text: ${1:-hello}}
		    update: {order: start-first, parallel: 1, healthy_for: 1s, deadline: 60s, on_failure: rollback}
	END
	[ -z "${WEB_PORT:-}" ] || cat >>"$TMP/service.yaml" <<-END
		  front:
		    recipe: haproxy
		    connect: {backend: web}
		    publish: {http: $WEB_PORT}
	END
}

# shellcheck disable=SC2120 # by other scripts
up() {
	tepuy up "$TMP/service.yaml" --recipes "$tiny" --yes "$@"
}

# phase_is PHASE…: one of them.
phase_is() {
	local now wanted
	now=$(phase 2>/dev/null)
	for wanted; do
		[ "$now" != "$wanted" ] || return 0
	done
	return 1
}

# only_nodes NODE…: exactly these, one running container each and none besides, and as many registrations, assignments
# and states.
only_nodes() {
	local wanted is
	wanted=$(for is; do echo "$SERVICE/$is"; done | sort)
	is=$(docker ps --format '{{.Label "tepuy.instance"}}' --filter label=tepuy.instance |
		sed -n "s|^\($SERVICE/.*\)\.[0-9]*$|\1|p" | sort)
	[ "$is" = "$wanted" ] || { echo "running: $is"; return 1; }
	[ "$(service_containers | wc -l)" = $# ] || { containers; return 1; }
	[ "$(registrations | wc -l)" = $# ] || { echo "registered: $(registrations)"; return 1; }
	[ "$(keys node | wc -l)" = $# ] || { echo "assigned: $(keys node)"; return 1; }
	[ "$(keys state | wc -l)" = $# ] || { echo "states: $(keys state)"; return 1; }
	[ -z "$(keys found)" ] || { echo "found: $(keys found)"; return 1; }
	[ $# -gt 0 ] || [ -z "$(keys ack)" ] || { echo "acks: $(keys ack)"; return 1; }
}

registrations() {
	curl -fsS "$CONSUL_URL/v1/agent/services" | jq -r --arg s "$SERVICE" '.[] | select(.Meta.service == $s) | .ID'
}

# keys KIND: the service's below tepuy/host/<host>/KIND (node, found, state, ack).
keys() {
	curl -sS "$CONSUL_URL/v1/kv/tepuy/host/$HOST_NAME/$1/$SERVICE/?keys" | jq -r '.[]' 2>/dev/null
}

# all_pass NUMBER: so many nodes, all of them passing.
all_pass() {
	[ "$(tepuy status --json "$SERVICE" |
		jq -r '[.services[0].nodes[] | select(.health == "passing")] | length')" = "$1" ]
}

fetch() {
	curl -fsS --max-time 30 "http://127.0.0.1:$WEB_PORT/"
}

# serves TEXT: both web nodes answer with it, and nobody else answers.
serves() {
	local answers
	answers=$(for _ in {1..10}; do fetch; done | sort -u)
	[ "$answers" = "$1 web/1
$1 web/2" ] || { echo "it answers: $answers"; return 1; }
}

# within SECONDS COMMAND…: as wait_for, but says what the command says when it does not come true.
within() {
	wait_for "$@" && return
	shift
	"$@" || return
}

# Requests one after another until requests_end; those that failed are in $TMP/requests.failed.
requests_begin() {
	: >"$TMP/requests.failed"
	: >"$TMP/requests.count"
	(
		trap 'exit 0' TERM
		while :; do
			fetch >/dev/null 2>"$TMP/requests.err" ||
				printf '%s %s\n' "$(date +%T.%3N)" "$(cat "$TMP/requests.err")" >>"$TMP/requests.failed"
			printf . >>"$TMP/requests.count"
			sleep 0.02
		done
	) &
	requests_pid=$!
	lib_pids+=("$requests_pid")
}

enough_requests() {
	[ "$(wc -c <"$TMP/requests.count")" -gt 10 ]
}

# requests_end: there were some, and none failed.
requests_end() {
	wait_for 60 enough_requests
	end_process "$requests_pid"
	enough_requests || { echo "only $(wc -c <"$TMP/requests.count") requests"; return 1; }
	[ ! -s "$TMP/requests.failed" ] || { cat "$TMP/requests.failed"; return 1; }
}

# requests_fine: so far.
requests_fine() {
	[ ! -s "$TMP/requests.failed" ] || { cat "$TMP/requests.failed"; return 1; }
}

# agent_said PATTERN: in its log since agent_mark.
agent_mark() {
	log_mark=$(wc -l <"$TMP/agent.log")
}

agent_said() {
	tail -n "+$((log_mark + 1))" "$TMP/agent.log" | grep -E "$1"
}

# log_tail [LINES]: the end of the agent's log, for a case that failed.
log_tail() {
	tail -n "${1:-30}" "$TMP/agent.log" | sed 's/^/      /'
}
