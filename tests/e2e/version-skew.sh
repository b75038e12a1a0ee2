#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Two programs of different versions, this one and `tepuy-next`, which is linked from the same objects but for the numbers
# of protocol and layout: an older command line with a newer agent, a newer one with an older agent, a newer agent at
# older keys, an older agent at newer keys. Each refuses before anything is done, says what to upgrade, and what runs is
# not touched.
# needs: docker
# timeout: 900

# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119,SC2120,SC2154,SC2317 # lib.sh sets and calls what looks unset and uncalled
. "$(dirname "$0")/lib.sh"
# shellcheck source=lib-service.sh
. "$(dirname "$0")/lib-service.sh"
# shellcheck source=lib-faults.sh
. "$(dirname "$0")/lib-faults.sh"

NEXT=${BUILD:-$root/build}/tests/e2e/tepuy-next
old_version=$("$TEPUY" --version | sed 's/^tepuy //')
make_tiny
service_begin skew
write_service first

# run_as PROGRAM ARGUMENT…: its exit status in $status, what it says in $TMP/out.
run_as() {
	status=0
	timeout 60 "$@" >"$TMP/out" 2>&1 </dev/null || status=$?
}

# says TEXT…: all of them.
says() {
	local text
	for text; do
		grep -qF -- "$text" "$TMP/out" || { echo "no '$text' in:"; cat "$TMP/out"; return 1; }
	done
}

# refused PROGRAM TEXT COMMAND…: exit status 1, and the sentence.
refused() {
	local program=$1 text=$2
	shift 2
	run_as "$program" "$@"
	[ "$status" = 1 ] || { echo "$*: exit status $status"; cat "$TMP/out"; return 1; }
	says "$text" || { echo "(of '$*')"; return 1; }
}

# all_refused PROGRAM TEXT: whatever way the command line has to the agent.
all_refused() {
	local program=$1 text=$2
	refused "$program" "$text" status || return 1
	refused "$program" "$text" up "$TMP/service.yaml" --recipes "$tiny" --yes || return 1
	refused "$program" "$text" down "$SERVICE" --yes || return 1
	refused "$program" "$text" logs "$SERVICE/web" || return 1
	refused "$program" "$text" exec "$SERVICE/web/1" true || return 1
	refused "$program" "$text" events || return 1
	refused "$program" "$text" host list
}

keys() { # of the layout: nothing may have been written
	command curl -fsS "$CONSUL_URL/v1/kv/tepuy/?recurse" | jq -c '[.[] | select(.Key | test("^tepuy/leader$") | not) | [.Key, .ModifyIndex]]'
}

untouched() {
	[ "$(containers)" = "$before" ] || { echo "before: $before"; echo "now: $(containers)"; return 1; }
}

# agent_of PROGRAM: that one from now on, in place of the one that runs.
agent_of() {
	stop_agent
	TEPUY=$1 run_agent
}

# TEXT is in the agent's log since the last agent_of.
log_says() {
	tail -n +"$log_from" "$TMP/agent.log" | grep -q -- "$1"
}

# Sets $keys_before when nothing was written for three seconds.
nothing_is_written() {
	keys_before=$(keys)
	sleep 3 # so long nothing is written
	[ "$(keys)" = "$keys_before" ]
}

check "the service is up with this version" up
before=$(containers)
check "after which nothing is written" wait_for 60 nothing_is_written

# --- a newer command line, an older agent ---

newer_command() {
	all_refused "$NEXT" "This tepuy is $old_version-next (protocol 2), the agent of $HOST_NAME is the older $old_version (protocol 1): upgrade tepuy on $HOST_NAME" || return 1
	[ "$(keys)" = "$keys_before" ] || { echo "keys were written"; return 1; }
	untouched
}
check "newer command line, older agent: told to upgrade the agent, nothing is done" newer_command

newer_probe() {
	run_as "$NEXT" checks "$SERVICE"
	[ "$status" = 3 ] && says "upgrade tepuy on $HOST_NAME"
}
check "a probe's answer is then unknown" newer_probe

# --- a newer agent ---

log_from=$(($(wc -l <"$TMP/agent.log") + 1))
agent_of "$NEXT"
next_answers() {
	"$NEXT" version --json | jq -e '.agent.api == 2'
}
check "the agent is replaced by a newer one" wait_for 60 next_answers

older_command() {
	all_refused "$TEPUY" "This tepuy is $old_version (protocol 1), the agent of $HOST_NAME is the newer $old_version-next (protocol 2): upgrade tepuy where you work, not on $HOST_NAME" || return 1
	untouched
}
check "older command line, newer agent: told to upgrade the command line, nothing is done" older_command

newer_agent_older_keys() {
	wait_for 60 log_says "have layout 1, this agent (tepuy $old_version-next) knows layout 2.*install the tepuy that the cluster's other hosts have" ||
		{ tail -n 20 "$TMP/agent.log"; return 1; }
	keys_before=$(keys)
	write_service second
	refused "$NEXT" "install the tepuy that the other hosts have on $HOST_NAME" up "$TMP/service.yaml" --recipes "$tiny" --yes || return 1
	refused "$NEXT" "install the tepuy that the other hosts have on $HOST_NAME" down "$SERVICE" --yes || return 1
	run_as "$NEXT" status
	says "layout older than this agent's" || return 1
	throughout 5 untouched || return 1
	[ "$(keys)" = "$keys_before" ] || { echo "keys were written:"; diff <(jq . <<<"$keys_before") <(keys | jq .); return 1; }
	run_as "$NEXT" exec "$SERVICE/web/1" sh -c 'echo here'
	says here
}
check "a newer agent at older keys: it changes none and no node, says what to install; exec and logs go on" newer_agent_older_keys

# --- and back ---

log_from=$(($(wc -l <"$TMP/agent.log") + 1))
agent_of "$TEPUY"
check "the version of before is installed again" wait_for 60 agent_ready
went_on() {
	untouched || return 1
	up && wait_for 60 two_left
}
two_left() {
	[ "$(service_containers | wc -l)" = 2 ]
}
check "it goes on where it was: nothing was touched, and 'up' works" went_on

# --- an older agent at keys that a newer one began ---

before=$(containers)
stop_agent
consul kv delete tepuy/schema >/dev/null
log_from=$(($(wc -l <"$TMP/agent.log") + 1))
TEPUY=$NEXT run_agent
schema_is() {
	[ "$(consul kv get tepuy/schema)" = "$1" ]
}
check "a newer agent begins the keys of its layout" wait_for 60 schema_is 2
log_from=$(($(wc -l <"$TMP/agent.log") + 1))
agent_of "$TEPUY"
older_agent() {
	wait_for 60 log_says "have layout 2, this agent (tepuy $old_version) knows layout 1.*upgrade tepuy on this host" ||
		{ tail -n 20 "$TMP/agent.log"; return 1; }
	write_service third
	refused "$TEPUY" "upgrade tepuy on $HOST_NAME" up "$TMP/service.yaml" --recipes "$tiny" --yes || return 1
	write_service second
	schema_is 2 || return 1
	throughout 5 untouched
}
check "an older agent at them: it changes nothing, and says that it is to be upgraded" older_agent

consul kv put tepuy/schema 1 >/dev/null
works_again() {
	wait_for 60 agent_ready || return 1
	up && untouched && tepuy down "$SERVICE" --yes && no_containers
}
check "the layout that it knows: it works, without a restart" works_again
finish
