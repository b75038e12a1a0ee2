#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Never two writers of a volume, even when Consul says so: a second instance of a node with data, assigned by hand, does
# not start while the first one runs, and its agent says why.
# needs: docker
# timeout: 600

# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119,SC2120,SC2154,SC2317 # lib.sh sets and calls what looks unset and uncalled
. "$(dirname "$0")/lib.sh"
# shellcheck source=lib-service.sh
. "$(dirname "$0")/lib-service.sh"
# shellcheck source=lib-faults.sh
. "$(dirname "$0")/lib-faults.sh"

make_tiny
cp -r "$tiny/tiny" "$tiny/keeper"
sed -i -e 's/^recipe: .*/recipe: keeper/' "$tiny/keeper/recipe.yaml"
echo 'volumes: {data: {path: /srv/data}}' >>"$tiny/keeper/recipe.yaml"
service_begin volume-writers
cat >"$TMP/service.yaml" <<-END
	service: $SERVICE
	components:
	  db:
	    recipe: keeper
	    volumes: {data: {path: $TMP/data}}
END
check "a service with a volume comes up" up

# assign GEN DESIRED: the node's assignment with another generation, as only a fault or a hand would write it.
assign() {
	jq -c --arg desired "$2" '.desired = $desired | .since += 1' "$TMP/assignment" >"$TMP/assignment.$1"
	consul kv put "$node.$1" "@$TMP/assignment.$1"
}

running() {
	docker ps --format '{{.Label "tepuy.instance"}}' --filter label=tepuy.instance | grep "^$SERVICE/" | sort
}

only_runs() {
	[ "$(running)" = "$SERVICE/db/1.$1" ] || { echo "running: $(running)"; return 1; }
}

at_most_one() {
	[ "$(running | wc -l)" -le 1 ] || { running; return 1; }
}

says_why() {
	consul kv get "tepuy/host/$HOST_NAME/state/$SERVICE/db/1.$second" | jq -r .why |
		grep "must wait until $SERVICE/db/1.$first has stopped"
}

node=$(keys node)
first=${node##*.}
node=${node%.*}
second=$((first + 1))
consul kv get "$node.$first" >"$TMP/assignment"
consul kv get "tepuy/service/$SERVICE/spec" >"$TMP/spec"
before=$(containers)
# The leader would take the second one away at once: without a spec it leaves the service alone.
consul kv delete "tepuy/service/$SERVICE/spec" >/dev/null
agent_mark
check "a second instance is assigned by hand" assign "$second" run
check "its agent answers that it must wait, and for which one" within 60 says_why
check "and writes it in its log" within 60 agent_said "db/1.$second: .*must wait until $SERVICE/db/1.$first has stopped"
check "it does not start" throughout 5 only_runs "$first"
equal "the first one is untouched" "$before" "$(containers)"
kill_agent
run_agent
wait_for 60 agent_ready
check "nor does it after the agent was killed and started" throughout 5 only_runs "$first"
check "the first one is told to stop" assign "$first" stop
start_second() {
	local until=$(($(now_ms) + $(most 60000)))
	until only_runs "$second" >"$TMP/running"; do
		at_most_one || return
		[ "$(now_ms)" -lt "$until" ] || { cat "$TMP/running"; return 1; }
		sleep 0.02
	done
}
check "when it has stopped, the second starts: at no moment both" start_second
consul kv put "tepuy/service/$SERVICE/spec" "@$TMP/spec" >/dev/null
check "the leader clears up, again without both" within 60 only_nodes db/1
check "one runs" at_most_one
check "down" tepuy down "$SERVICE" --yes
check "nothing is left" within 60 only_nodes
check "but the data is kept" test -d "$TMP/data"
[ "$failed" -eq 0 ] || log_tail 40
finish
