#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# An agent at a Consul that allows nothing by default, with the least token that it needs; the token revoked under load
# and replaced without a restart; a name that is not Consul's; keys of a layout that the agent does not know.
# needs: docker
# timeout: 600

# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119,SC2120,SC2154,SC2317 # lib.sh sets and calls what looks unset and uncalled
. "$(dirname "$0")/lib.sh"
# shellcheck source=lib-service.sh
. "$(dirname "$0")/lib-service.sh"
# shellcheck source=lib-faults.sh
. "$(dirname "$0")/lib-faults.sh"

make_tiny
make_haproxy
free_port
WEB_PORT=$PORT
SERVICE=tt-token-$$
STATE=$TMP/state
ADDRESS=$(bridge_address)
export TEPUY_SOCKET=$TMP/run/agent.sock
mkdir -p "$STATE" "$TMP/run" "$TEPUY_TEST_STORE"
ln -sfn "$TEPUY_TEST_STORE" "$STATE/store"
at_exit service_cleanup

# --- a Consul with ACLs ---

management=$(cat /proc/sys/kernel/random/uuid)
cat >"$TMP/acl.hcl" <<-END
	acl { enabled = true default_policy = "deny" down_policy = "extend-cache"
	      token_ttl = "1s" policy_ttl = "1s" tokens { master = "$management" agent = "$management" } }
END
export CONSUL_HTTP_TOKEN=$management
start_consul -config-file="$TMP/acl.hcl"

# curl of lib-faults.sh asks with the management token.
curl() {
	command curl -H "X-Consul-Token: $management" "$@"
}

# The policy of a host, as `tepuy host apply` makes it.
cat >"$TMP/policy.hcl" <<-END
	node "$HOST_NAME" { policy = "write" }
	agent "$HOST_NAME" { policy = "write" }
	node_prefix "" { policy = "read" }
	service_prefix "" { policy = "write" }
	session "$HOST_NAME" { policy = "write" }
	session_prefix "" { policy = "read" }
	key_prefix "tepuy/" { policy = "write" }
	key_prefix "tepuy/cluster/" { policy = "deny" }
END
consul acl policy create -name host -rules @"$TMP/policy.hcl" >/dev/null

# new_token: into the agent's file. Sets $accessor.
new_token() {
	consul acl token create -policy-name host -format json >"$TMP/token.json" || return 1
	accessor=$(jq -r .AccessorID "$TMP/token.json")
	(umask 077 && jq -r .SecretID "$TMP/token.json" >"$TMP/token.new")
	mv "$TMP/token.new" "$TMP/token"
}

# --- names ---

wrong_name() {
	CONSUL_HTTP_TOKEN='' "$TEPUY" agent --socket "$TMP/run/other.sock" --state-dir "$TMP/other" --consul "$CONSUL_URL" \
		--consul-token-file "$TMP/token" --name other --address "$ADDRESS" >"$TMP/out" 2>&1 && return 1
	grep -q "given the name other, but this host's Consul agent is called $HOST_NAME" "$TMP/out" || { cat "$TMP/out"; return 1; }
}

new_token
at_exit umount -l "$TMP/run/secrets"
check "a name that is not that of Consul's agent is refused" wrong_name

readable_by_all() {
	chmod 644 "$TMP/token"
	"$TEPUY" agent --socket "$TMP/run/other.sock" --state-dir "$TMP/other" --consul "$CONSUL_URL" \
		--consul-token-file "$TMP/token" >"$TMP/out" 2>&1 && return 1
	chmod 600 "$TMP/token"
	grep -q "give it mode 0600" "$TMP/out" || { cat "$TMP/out"; return 1; }
}
check "a token that others may read is refused" readable_by_all

# --- the least token ---

check "the agent starts with a host's token" \
	start_agent --consul-token-file "$TMP/token" --label disk=ssd --label room=a1 --reschedule-after 45s

# What it says of itself.
host_says() {
	command curl -fsS --unix-socket "$TEPUY_SOCKET" "http://x/v1/host/$HOST_NAME" | jq -e "$1"
}
check "the host's labels and the time after which nodes move are in Consul" \
	host_says '.labels == {"disk": "ssd", "room": "a1"} and .reschedule_after == 45000 and .alive and .leader'

comes_up() {
	write_service first
	up && within 60 only_nodes web/1 web/2 front/1 && serves first
}
check "a service comes up with it" comes_up

everything() {
	tepuy checks "$SERVICE" >/dev/null && tepuy check add "$SERVICE/web" --id extra --http / --interval 1s &&
		wait_for 60 node_is web/1 '.checks | any(.id == "extra" and .status == "passing")' &&
		tepuy check remove "$SERVICE" extra && tepuy disconnect "$SERVICE/web/1" && tepuy connect "$SERVICE/web/1" &&
		tepuy events "$SERVICE" >/dev/null && tepuy exec "$SERVICE/web/1" -- true &&
		tepuy logs "$SERVICE/web" >/dev/null && tepuy revisions "$SERVICE" >/dev/null && within 60 all_pass 3
}
check "all else that an operator may ask works with it" everything

not_refused() {
	! grep -i "refuses\|permission\|does not allow" "$TMP/agent.log"
}
check "Consul refused nothing so far" not_refused

# --- revoked ---

revoked() {
	before=$(containers)
	requests_begin
	agent_mark
	consul acl token delete -id "$accessor" >/dev/null || return 1
	wait_for 60 agent_said "Consul refuses this host's token.*put a valid token into $TMP/token" || { log_tail; return 1; }
	tepuy status >"$TMP/out" 2>&1 && { echo "status says nothing"; cat "$TMP/out"; return 1; }
	grep -q "Consul refuses this host's token" "$TMP/out" || { cat "$TMP/out"; return 1; }
	tepuy version >"$TMP/out" 2>&1
	grep -q "Consul refuses this host's token" "$TMP/out" || { cat "$TMP/out"; return 1; }
	# Through two renewals of the session, which end the lead, and more.
	sleep 20 # so long nothing happens
	[ "$(agent_said "Consul refuses" | wc -l)" = 1 ] || { agent_said "Consul refuses"; return 1; }
	serves first
}
check "a revoked token: one line says so, status says so, and all goes on" revoked

replaced() {
	agent_mark
	new_token
	wait_for 60 agent_said "The new token in $TMP/token is taken up" || { log_tail; return 1; }
	wait_for 60 agent_said "This host leads now" || { log_tail; return 1; }
	wait_for 60 tepuy status || { tepuy status; return 1; }
	requests_end || return 1
	[ "$(containers)" = "$before" ] || { echo "before: $before"; echo "after: $(containers)"; return 1; }
	write_service second
	up && serves second
}
check "a new token in the file is taken up; no request failed, no container was touched" replaced

hup() {
	agent_mark
	new_token
	kill -HUP "$AGENT_PID"
	wait_for 60 agent_said "The new token in $TMP/token is taken up" || { log_tail; return 1; }
}
check "SIGHUP takes up another token before the old one is revoked" hup

# --- the layout of the keys ---

runs() {
	[ -n "$(container "$1")" ]
}

last_written() {
	curl -fsS "$CONSUL_URL/v1/kv/tepuy/host/?recurse" | jq '[.[].ModifyIndex] | max'
}

# Sets $index when nothing was written for three seconds.
nothing_is_written() {
	index=$(last_written)
	sleep 3 # so long nothing is written
	[ "$(last_written)" = "$index" ]
}

nobody_leads() {
	[ -z "$(consul kv get -detailed tepuy/leader | sed -n 's/^Session *//p' | tr -d -)" ]
}

newer_schema() {
	before=$(containers)
	wait_for 60 nothing_is_written || { echo "keys are written all the time"; return 1; }
	agent_mark
	consul kv put tepuy/schema 2 >/dev/null
	wait_for 60 agent_said "have layout 2, this agent .* upgrade tepuy on this host" || { log_tail; return 1; }
	write_service third
	up >"$TMP/out" 2>&1 && return 1
	grep -q "upgrade tepuy on $HOST_NAME" "$TMP/out" || { cat "$TMP/out"; return 1; }
	tepuy status >"$TMP/out" 2>&1
	grep -q "not touched until tepuy is upgraded" "$TMP/out" || { cat "$TMP/out"; return 1; }
	# A node that ends is started again, as last told; Consul's keys stay as they are.
	docker kill "$(container web/1)" >/dev/null
	wait_for 60 runs web/1 || { echo "it is not started again"; log_tail; return 1; }
	within 60 serves second || return 1
	wait_for 60 nobody_leads || { echo "it leads"; return 1; }
	[ "$(last_written)" = "$index" ] || { echo "keys were written"; return 1; }
	[ "$(containers | wc -l)" = "$(wc -l <<<"$before")" ]
}
check "keys of a newer layout: the agent writes and plans nothing, keeps what runs, and says why" newer_schema

same_schema() {
	consul kv put tepuy/schema 1 >/dev/null
	wait_for 60 agent_said "the agent works again" || { log_tail; return 1; }
	wait_for 60 agent_ready || return 1
	wait_for 60 agent_said "leads now" || { log_tail; return 1; }
	up && serves third
}
check "the layout that it knows again: it works again" same_schema

finish
