#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What operators, their machines and clients get wrong: each gives a sentence that says what to do, leaves nothing half
# made, is seen in `status`, and `up` mends it.
# needs: docker
# timeout: 1200

# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119,SC2120,SC2154,SC2317 # lib.sh sets and calls what looks unset and uncalled
. "$(dirname "$0")/lib.sh"
# shellcheck source=lib-service.sh
. "$(dirname "$0")/lib-service.sh"
# shellcheck source=lib-faults.sh
. "$(dirname "$0")/lib-faults.sh"

make_tiny
make_haproxy
service_begin faults-input
rm "$STATE/store" # of this script alone: it is damaged here
stop_agent
start_agent
free_port
WEB_PORT=$PORT

# variant NAME SED-EXPRESSION…: a recipe made from `tiny`.
variant() {
	local name=$1
	shift
	rm -rf "${tiny:?}/$name"
	cp -r "$tiny/tiny" "$tiny/$name"
	sed -i -e "s/^recipe: .*/recipe: $name/" "$@" "$tiny/$name/recipe.yaml"
}

# web_of RECIPE [MORE-YAML]: a service of two nodes of it, which have $deadline to get healthy.
web_of() {
	cat >"$TMP/service.yaml" <<-END
		service: $SERVICE
		components:
		  web:
		    recipe: $1
		    nodes: 2
		    update: {order: start-first, healthy_for: 500ms, deadline: ${deadline:-60s}, on_failure: rollback}
		${2:+    $2}
	END
}

# up_fails PATTERN [ARGUMENT…]: 'up' ends with status 1 and says that.
up_fails() {
	local pattern=$1 status=0
	shift
	up --timeout 240s "$@" >"$TMP/up.out" 2>&1 || status=$?
	[ "$status" -eq 1 ] || { cat "$TMP/up.out"; echo "status $status"; return 1; }
	grep -qE "$pattern" "$TMP/up.out" || { cat "$TMP/up.out"; return 1; }
}

status_says() {
	tepuy status "$SERVICE" >"$TMP/status.out" 2>&1
	grep -qE "$1" "$TMP/status.out" || { cat "$TMP/status.out"; return 1; }
}

# mended [NODE…]: with these documents 'up' comes to an end, and the nodes are exactly these.
mended() {
	up && within 60 only_nodes "${@:-web/1 web/2}"
}

down() {
	tepuy down "$SERVICE" --yes >/dev/null 2>&1
	within 60 only_nodes
}

# --- what is not there ---

no_agent() {
	TEPUY_SOCKET=$TMP/nowhere.sock tepuy status >"$TMP/out" 2>&1 && return 1
	grep -q "agent.*nowhere.sock" "$TMP/out" || { cat "$TMP/out"; return 1; }
}
check "no agent: the command says where it looked for one" no_agent

no_docker() {
	stop_agent
	agent_mark
	run_agent --runtime-endpoint "$TMP/docker.sock"
	wait_for 60 agent_said 'Waiting for a runtime.*docker.sock.*start it' || return 1
	ln -s /run/docker.sock "$TMP/docker.sock"
	wait_for 60 agent_ready
}
check "no Docker: the agent says that it waits for it, and goes on when it is there" no_docker

docker_unknown() {
	"$TEPUY" agent --socket "$TMP/other/agent.sock" --state-dir "$TMP/other" --runtime none --name other \
		--address 127.0.0.1 >"$TMP/out" 2>&1 && return 1
	grep -q "There is no runtime 'none'; this program knows: xen, docker" "$TMP/out" || { cat "$TMP/out"; return 1; }
}
check "a runtime that there is not: the agent ends and names those that there are" docker_unknown

at_exit umount -l "$TMP/other/secrets" # of an agent that ended at once
second_agent() {
	"$TEPUY" agent --socket "$TMP/other/agent.sock" --state-dir "$STATE" --name other --address 127.0.0.1 \
		>"$TMP/out" 2>&1 && return 1
	grep -q "Another agent works with $STATE; stop it first" "$TMP/out" || { cat "$TMP/out"; return 1; }
}
check "a second agent with the same state: it ends and says why" second_agent

web_of tiny
no_consul() {
	stop_consul
	up_fails 'Consul' || return 1
	tepuy status >"$TMP/out" 2>&1 && return 1
	grep -q Consul "$TMP/out" || { cat "$TMP/out"; return 1; }
	run_consul
	wait_for 60 consul_ready && wait_for 60 agent_ready && up
}
check "no Consul: 'up' and 'status' say so at once, and nothing else happens" no_consul

no_consul_at_start() {
	stop_agent
	stop_consul
	agent_mark
	run_agent
	wait_for 60 agent_said 'Consul is away, nodes run on as last told' || return 1
	run_consul
	wait_for 60 agent_ready && up
}
check "no Consul when the agent starts: it says so and goes on" no_consul_at_start
check "down" down

# --- what recipes ask for and do ---

web_of nowhere
check "a recipe that there is not" up_fails "nowhere"

variant suite -e 's/^base: .*/base: {suite: tepuy-none}/'
web_of suite
check "a suite that the mirror does not have: said with what to do" up_fails "suite 'tepuy-none'.*sources.list.d"
check "it is seen in status" status_says "tepuy-none"
web_of tiny
check "with the right recipe 'up' mends it" mended web/1 web/2
check "down" down

# The agent with sources of its own, as if the host had them: a mirror that refuses connections. apt-get indextargets
# lists only what was once fetched, so its lists are the host's under another name.
mirror_away() {
	local file
	mkdir -p "$TMP/apt/lists/partial"
	for file in /var/lib/apt/lists/*_dists_bookworm_*; do
		cp "$file" "$TMP/apt/lists/127.0.0.1:9_debian_dists_bookworm_${file##*_dists_bookworm_}"
	done
	echo 'deb [trusted=yes] http://127.0.0.1:9/debian bookworm main' >"$TMP/apt/sources.list"
	printf 'Dir::Etc::sourcelist "%s";\nDir::Etc::sourceparts "-";\nDir::State::Lists "%s";\nAcquire::Retries "0";\n' \
		"$TMP/apt/sources.list" "$TMP/apt/lists" >"$TMP/apt/apt.conf"
	stop_agent
	APT_CONFIG=$TMP/apt/apt.conf start_agent || return 1
	variant mirror -e 's/^base: .*/base: {suite: bookworm}/'
	web_of mirror
	up_fails 'mirror cannot be used.*check the network'
}
check "the package mirror is away: said with what to do" mirror_away
check "it is seen in status" status_says "mirror cannot be used"
stop_agent
start_agent

variant missing -e 's|^base: .*|base: {suite: bookworm}\npackages: [tepuy-no-such-package]|'
no_package() {
	stop_agent
	mv "$STATE/store" "$STATE/store.own"
	ln -s "$TEPUY_TEST_STORE" "$STATE/store"
	start_agent || return 1
	web_of missing
	up_fails "wants the package tepuy-no-such-package, which suite bookworm does not have"
}
check "a package that does not exist: named" no_package
check "it is seen in status" status_says "tepuy-no-such-package"
stop_agent
rm "$STATE/store"
mv "$STATE/store.own" "$STATE/store"
start_agent
web_of tiny
check "with the right recipe 'up' mends it" mended web/1 web/2
check "down" down

web_of tiny "config: {txet: x}"
check "an unknown key: place and suggestion, before anything is done" up_fails "service.yaml:[0-9]+:[0-9]+: error: .*txet.*did you mean 'text'"

variant secret -e 's|^config: .*|config: {text: {type: string, default: x}, key: {type: secret, required: true}}|'
cat >"$TMP/service.yaml" <<-END
	service: $SERVICE
	components:
	  web: {recipe: secret, nodes: 2, config: {key: {secret: api-key}}}
	secrets: {api-key: {required: true}}
END
check "a secret that nobody gave" up_fails "api-key"
check "given, it comes up" up --secret api-key=@/etc/hostname
check "and later it need not be given again" mended web/1 web/2
check "down" down

web_of tiny
check "a good revision to go back to" mended web/1 web/2
before=$(containers)

untouched() {
	[ "$(containers)" = "$before" ] || { echo "before: $before"; echo "after: $(containers)"; return 1; }
}

variant ends -e 's|^start: .*|start: [sh, -c, "echo sorry, no licence >\&2; exit 3"]|'
web_of ends
check "a node that ends at once: its status is shown" up_fails "status 3"
check "and its last words" grep -q "sorry, no licence" "$TMP/up.out"
check "it went back by itself, the old nodes untouched" within 60 untouched
check "nothing of the new ones is left" within 60 only_nodes web/1 web/2

deadline=8s
variant sick -e 's|^checks: .*|checks: [{http: /nothing, port: http, interval: 1s, timeout: 1s}]|'
web_of sick
check "a node that never gets healthy: the failing check is named" up_fails "did not pass its checks.*|http"
check "the old nodes are untouched" within 60 untouched
check "nothing of the new ones is left" within 60 only_nodes web/1 web/2
deadline=
check "down" down

# --- ports and HAProxy ---

write_service one
python3 -c '
import socket, sys, time
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("0.0.0.0", int(sys.argv[1]))); s.listen(); time.sleep(600)' "$WEB_PORT" &
listener=$!
lib_pids+=("$listener")
wait_for 60 port_open "$WEB_PORT"
check "a published port that is taken: said with its number" up_fails "$WEB_PORT"
check "it is seen in status" status_says "$WEB_PORT"
end_process "$listener"
check "when it is free 'up' mends it" mended web/1 web/2 front/1
check "and it answers" within 60 serves one
before=$(container front/1)

cp -r "$tiny/haproxy" "$TMP/haproxy.good"
sed -i 's/^defaults$/defaults\n\tnonsense word/' "$tiny/haproxy/templates/haproxy.cfg"
check "an HAProxy configuration that does not validate: said" \
	up_fails "made from its template, does not validate"
check "in HAProxy's own words" grep -q "unknown keyword 'nonsense'" "$TMP/up.out"
# It was tried before anything was touched.
front_is_back() {
	[ "$(container front/1)" = "$before" ] && serves one
}
check "the old one serves all the while" front_is_back
rm -rf "$tiny/haproxy"
mv "$TMP/haproxy.good" "$tiny/haproxy"
check "with the right one 'up' mends it" mended web/1 web/2 front/1
check "still the same front, still serving" front_is_back
check "down" down

# --- the store ---

bundle_of() {
	tepuy status --json "$SERVICE" | jq -r '.services[0].spec.components.web.bundle'
}

flip() {
	printf 'X' | dd of="$1" bs=1 seek=3 conv=notrunc status=none
}

WEB_PORT=
tampered_bundle() {
	write_service two
	up || return 1
	flip "$STATE/store/bundles/$(bundle_of)/templates/index.html"
	write_service three
	up_fails 'was changed in .*; run .tepuy up. again' || return 1
	up || return 1
	within 60 only_nodes web/1 web/2
}
check "a recipe changed in the store is refused, and 'up' sends it anew" tampered_bundle

tampered_layer() {
	local layer
	down || return 1
	docker image ls --format '{{.Repository}}:{{.Tag}}' tepuy/image >/dev/null
	for layer in "$STATE"/store/layers/*.tar; do
		printf 'tampered' | dd of="$layer" bs=1 seek=700 conv=notrunc status=none
	done
	sed -i 's/^version: .*/version: "1.1"/' "$tiny/tiny/recipe.yaml"
	printf 'changed\n' >"$tiny/tiny/other"
	sed -i '/^files:/d' "$tiny/tiny/recipe.yaml"
	echo 'files: [{from: other, to: /srv/other}]' >>"$tiny/tiny/recipe.yaml"
	write_service four
	up >"$TMP/up.out" 2>&1
	within 60 only_nodes web/1 web/2 || { cat "$TMP/up.out"; return 1; }
}
check "layers changed in the store do no harm to what is built after" tampered_layer
check "down" down

# --- a full disk ---

full_disk() {
	stop_agent
	mkdir -p "$TMP/small"
	mount -t tmpfs -o size=1m tmpfs "$TMP/small" || return 1
	at_exit umount -l "$TMP/small"
	STATE=$TMP/small
	start_agent || return 1
	write_service five
	up_fails 'space|disk is full|full' || return 1
	mount -o remount,size=4m "$TMP/small"
	up_fails 'space|full' || return 1
	status_says 'space|full' || return 1
	[ -z "$(service_containers)" ] || return 1
	[ -z "$(find "$STATE/store/build" -mindepth 1 ! -name '*.lock')" ] || { find "$STATE/store/build"; return 1; }
	mount -o remount,size=200m "$TMP/small"
	mended web/1 web/2
}
check "the disk is full: said, nothing half made, mended when there is room" full_disk
check "down" down

# --- the agent's own API ---

check "requests of every bad kind are answered in order, and the agent answers others meanwhile" \
	python3 "$(dirname "$0")/faults-input.py" "$TEPUY_SOCKET"
check "the agent that went through this is the same one" alive "$AGENT_PID"
write_service six
check "and it still works" mended web/1 web/2
[ "$failed" -eq 0 ] || log_tail 60
finish
