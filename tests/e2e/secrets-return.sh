#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# needs: docker
# timeout: 1200
# Consul without its data, while a database runs that was made with a generated password: the password comes back from the
# host, nodes that are made anew are let in by the database, and what a node wrote over its own copy counts for nothing.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lib-service.sh
. "$(dirname "$0")/lib-service.sh"
# shellcheck source=tests/e2e/lib-faults.sh
. "$(dirname "$0")/lib-faults.sh"

service_begin secrets
free_port
url=http://127.0.0.1:$PORT
sed -e "s/^service: .*/service: $SERVICE/" -e "s/{http: 8080}/{http: $PORT}/" -e "s|/srv/portal/db|$TMP/db|" \
	-e 's/deadline: 60s/deadline: 600s/' -e 's/^    recipe: \(postgresql\|haproxy\)$/&\n    update: {deadline: 600s}/' \
	"$root/examples/portal/service.yaml" >"$TMP/service.yaml"

up() {
	tepuy up --yes --recipes "$recipes" "$TMP/service.yaml"
}

visits() {
	curl -fsS --max-time 30 "$url/" | sed -n 's|.*id="visits">\([0-9]*\)<.*|\1|p'
}

secret_now() {
	consul kv get "tepuy/secret/$SERVICE/db-password" 2>/dev/null
}

secret_is() {
	[ "$(secret_now)" = "$1" ]
}

without_data() {
	stop_consul
	rm -rf "$TMP/consul"
	mkdir "$TMP/consul"
	run_consul
	wait_for 60 consul_ready
}

check "examples/portal comes up" up
secret=$(secret_now)
equal "with a password that was generated" 32 ${#secret}
# A busy machine's Consul may find a node ill for a moment; this page is not counted.
page_is_there() {
	curl -fsS --max-time 30 "$url/node"
}
wait_for 60 page_is_there
before=$(visits)
check "its page counts" [ "$before" -gt 0 ]
database=$(container db/1)
web=$(container web/1)
directory=$(docker inspect -f '{{range .Mounts}}{{if eq .Destination "/run/secrets"}}{{.Source}}{{end}}{{end}}' "$web")
equal "the host's copy is not in the node's directory" '' "$(find "$directory" -mindepth 1 ! -name db-password)"
printf 'what a broken node says' >"$directory/db-password"

agent_mark
check "Consul is started without its data" without_data
check "the host gives the password back" wait_for 120 secret_is "$secret"
check "the agent's log says so" agent_said "the secret db-password of $SERVICE"
printf '%s\n' "$secret" >"$TMP/secret"
printf '%s' "$secret" >"$TMP/plain"
refuse "but not the password" grep -qF -f "$TMP/secret" "$TMP/agent.log"

# Another title: the web nodes are made anew and get the password from Consul; the database is the same container.
sed -i 's/title: Portal/title: Again/' "$TMP/service.yaml"
check "'up' with another title makes the web nodes anew" up
equal "the database is the same one" "$database" "$(container db/1)"
refuse "the web node is another one" [ "$(container web/1)" = "$web" ]
check "the password is the same one" secret_is "$secret"
case_begin "the database takes it: the page counts on"
wait_for 60 page_is_there
now=$(visits)
if [ "${now:-0}" -gt "$before" ]; then ok; else not_ok "before $before, now '$now'"; fi

# Whatever Consul has counts: here somebody was quicker than the agent.
all_found() {
	[ "$(keys found | wc -l)" = 4 ]
}

stop_agent
check "Consul is started without its data again" without_data
printf 'given by somebody' | consul kv put "tepuy/secret/$SERVICE/db-password" - >/dev/null
check "the agent is started again" start_agent
check "it tells of the four nodes" wait_for 120 all_found
check "and leaves the password that is there alone" secret_is 'given by somebody'
consul kv put "tepuy/secret/$SERVICE/db-password" - <"$TMP/plain" >/dev/null
check "'up' finds all as it should be" up
check "it is removed" tepuy down "$SERVICE" --yes
equal "with the host's copies" '' "$(find "$TMP/run/secrets" -name "*$SERVICE*")"
[ "$failed" -eq 0 ] || log_tail 40
finish
