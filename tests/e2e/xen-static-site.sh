#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# needs: docker
# lane: xen
# timeout: 10800
# The shipped recipe static-site as a real Xen machine, behind HAProxy in Docker on another host: made from an image that
# the Docker host builds, updated under load, destroyed behind tepuy's back, looked after and taken away again.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lib-service.sh
. "$(dirname "$0")/lib-service.sh"
# shellcheck source=tests/lab/hosts.sh
. "$(dirname "$0")/../lab/hosts.sh"
# shellcheck source=tests/lab/xen.sh
. "$(dirname "$0")/../lab/xen.sh"
# shellcheck source=tests/e2e/lib-xen.sh
. "$(dirname "$0")/lib-xen.sh"

xen_begin xen-site
url=http://$H1:8080

# document TITLE. The recipe gives a page two seconds, which one that waits for an emulated processor does not keep: its
# only node would be taken out now and then, as it should be.
document() {
	cat >"$TMP/service.yaml" <<-END
		service: $SERVICE
		components:
		  web:
		    recipe: static-site
		    config: {title: "$1"}
		    place: {runtime: xen}
		    memory: 192M
		    checks:
		      - {id: http-1, http: /, port: http, interval: 5s, timeout: ${PAGE}s}
		      - {id: inside, exec: [test, -s, /srv/www/index.html], interval: 10s, timeout: 60s}
		    update: {order: start-first, healthy_for: 3s, deadline: ${SLOW}s}
		  front:
		    recipe: haproxy
		    connect: {backend: web}
		    publish: {http: 8080}
		    place: {runtime: docker}
		    update: {deadline: ${SLOW}s}
	END
}

page_has() {
	curl -fsS --max-time "$PAGE" "$url/" | grep -q "$1"
}

# serves_as INSTANCE: it is the only one that runs, healthy, and HAProxy has it.
serves_as() {
	[ "$(domains)" = "tepuy.$SERVICE.web.${1#web/}" ] && [ "$(node_field web/1 health)" = passing ] && page_has .
}

# connects URL: from here, which is no host of the cluster. A page may take long; that its port answers does not.
connects() {
	[ "$(curl -sS -o /dev/null --max-time 15 -w '%{time_connect}' "$1" 2>/dev/null)" != 0.000000 ]
}

# agent_log: of the Xen host's.
agent_log() {
	on_xen journalctl --no-pager -o cat -u tepuy-agent
}

# agent_lacks TEXT: its log is there, and has none of it.
agent_lacks() {
	agent_log >"$TMP/agent-log" && [ -s "$TMP/agent-log" ] && ! grep -qF "$1" "$TMP/agent-log"
}

fetched_layers() {
	agent_log | grep -q '^fetching layer [0-9a-f]* from h1,'
}

# ends INSTANCE: how often the agent saw it end.
ends() {
	agent_log | grep -cF "$SERVICE/$1 ended"
}

ended_more_often() {
	[ "$(ends "$1")" -gt "$2" ]
}

event_tells() {
	on_h1 tepuy events "$SERVICE" --json | grep -q "$1"
}

document first
check "the service comes up" up_h1 "$TMP/service.yaml"
xen_keep_store
check "it answers through HAProxy on the Docker host" wait_for "$SLOW" page_has '<title>first'
address=$(node_field web/1 address)
equal "it is reached at an address of the Xen host's range" "$(xen_range "$LAB" | cut -d- -f1)" "$address"
equal "Consul has the address as its own" "$address $SERVICE/web/1.1" "$(guest_keys)"
equal "its host is the Xen host" xen1 "$(node_field web/1 host)"
check "the image was not made on the Xen host" agent_lacks 'no other host makes the image'
check "but comes from the Docker host, who makes it when it has none" fetched_layers

# --- who may reach it ---

check "the Docker host reaches its port" on_h1 curl -fsS -o /dev/null --max-time "$PAGE" "http://$address/"
check "the Xen host does too" on_xen curl -fsS -o /dev/null --max-time "$PAGE" "http://$address/"
check "anybody reaches what is published" connects "$url/"
refuse "nobody else reaches it: it is not published" connects "http://$address/"
refuse "nor its sshd" connects "http://$address:22/"

# --- what is told of it ---

ps_json=$(on_h1 tepuy ps --json "$SERVICE")
check "ps tells its runtime and what it uses" jq -e '[.nodes[] | select(.node == "web/1")][0] |
	.runtime == "xen" and .memory > 0 and .memory_max >= 192 * 1048576 and .cpus == 1 and .cpu_ms > 0' <<<"$ps_json"
check "and those of the container" jq -e '[.nodes[] | select(.node == "front/1")][0] | .runtime == "docker" and .memory > 0' <<<"$ps_json"
check "a program runs in it" on_xen tepuy exec "$SERVICE/web/1" -- nginx -v
check "the exec check is run in it" wait_for "$SLOW" sh -c "[ \"\$(docker exec $(lab_container "$LAB" 1) tepuy checks --json $SERVICE/web/1 |
	jq -r '.checks[] | select(.id == \"inside\") | .status')\" = passing ]"
check "its log is read" on_xen tepuy logs "$SERVICE/web/1" --lines 5

# --- an update under load ---

document second
load_start update "$url/" 4
check "a change of its configuration comes up" up_h1 "$TMP/service.yaml"
load_stop
no_failures "no request failed meanwhile"
check "the page is the new one" page_has '<title>second'
check "the first machine is gone" wait_for "$SLOW" serves_as web/1.2
second=$(node_field web/1 address)
equal "its address is free again" "$second $SERVICE/web/1.2" "$(guest_keys)"

# --- destroyed behind tepuy's back ---

seen=$(ends web/1.2)
on_xen xl destroy "tepuy.$SERVICE.web.1.2"
check "it is noticed" wait_for "$SLOW" ended_more_often web/1.2 "$seen"
check "it comes back by itself" wait_for "$SLOW" serves_as web/1.2
equal "with the address that it had" "$second" "$(node_field web/1 address)"

# --- the agent is away ---

on_xen systemctl kill -s KILL tepuy-agent
check "an agent that was killed finds its machine again" wait_for "$SLOW" sh -c "docker exec $(lab_container "$LAB" 1) \
	curl -fsS -o /dev/null --max-time $PAGE http://$second/ && [ \"\$(ssh -F $TMP/lab/$LAB/ssh_config xen1 sudo -n tepuy version --json | jq -r .agent.host)\" = xen1 ]"
equal "nothing was made anew" "$second $SERVICE/web/1.2" "$(guest_keys)"

# --- its system ends, and nobody guards it but the agent ---

seen=$(ends web/1.2)
on_xen xl shutdown "tepuy.$SERVICE.web.1.2"
check "that it ended is noticed by an agent that did not start it" wait_for "$SLOW" ended_more_often web/1.2 "$seen"
check "it is cleared away and comes back" wait_for "$SLOW" serves_as web/1.2

# --- what nothing here made ---

kernel=$(jq -r .kernel "$TMP/xen.json")
printf 'name = "tepuy.%s.web.9.9"\nkernel = "%s"\nmemory = 128\ntype = "pv"\n' "$SERVICE" "$kernel" >"$TMP/stray.cfg"
xen_put "$TMP/stray.cfg" /root/stray.cfg
check "a domain of that name is begun by hand" on_xen xl create -p /root/stray.cfg
on_xen systemctl restart tepuy-agent
check "it is told" wait_for "$SLOW" event_tells ghost
check "and left alone" sh -c "ssh -F $TMP/lab/$LAB/ssh_config xen1 sudo -n xl domid tepuy.$SERVICE.web.9.9"
on_xen xl destroy "tepuy.$SERVICE.web.9.9"

# --- the end ---

check "the service goes down" on_h1 tepuy down "$SERVICE" --yes
equal "no machine is left" "" "$(domains)"
check "nor an address" wait_for "$SLOW" sh -c "[ -z \"\$(docker exec $(lab_container "$LAB" 1) consul kv get -keys tepuy/guest/)\" ]"
check "nor a disk" on_xen sh -c '[ -z "$(ls -A /var/lib/tepuy/xen/nodes)" ]'
finish
