#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The agent killed with -9 at many points of a deployment and while nodes work; the command line killed in its middle.
# needs: docker
# timeout: 1500

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
service_begin faults-agent

# killed_after SECONDS TEXT: the agent is killed so long after a new text was asked for. That is what is tried: wherever
# it is by then, on this machine.
killed_after() {
	write_service "$2"
	up --detach || return 1
	sleep "$1"
	kill_agent
	start_agent || return 1
	wait_for 180 phase_is "done" || { echo "phase: $(phase)"; return 1; }
	within 60 only_nodes web/1 web/2 front/1 && within 60 serves "$2"
}

n=0
# The first builds and creates; those after it roll the web nodes to a new text.
for delay in 0.05 0.4 0.1 0.2 0.3 0.6 0.9 1.2 1.6 2.0 2.5 3.0; do
	n=$((n + 1))
	check "killed $delay s into 'up' number $n: it converges, with nothing left over" killed_after "$delay" "text-$n"
	[ "$failed" -lt 3 ] || finish
done

touched_nothing() {
	before=$(containers)
	requests_begin
	kill_agent
	throughout 1 requests_fine || return 1 # so long it is away
	start_agent || return 1
	wait_for 60 all_pass 3 || return 1
	throughout 1 requests_fine || return 1 # with all that it does after its start
	requests_end || return 1
	[ "$(containers)" = "$before" ] || { echo "before: $before"; echo "after: $(containers)"; return 1; }
}

check "killed and started under load: no request fails, no container is touched" touched_nothing
check "the same once more" touched_nothing

stopped_cleanly() {
	before=$(containers)
	requests_begin
	stop_agent
	[ ! -e "$TEPUY_SOCKET" ] || { echo "its socket is left"; return 1; }
	start_agent || return 1
	throughout 1 requests_fine || return 1 # with all that it does after its start
	requests_end || return 1
	[ "$(containers)" = "$before" ] || { echo "$before"; containers; return 1; }
}
check "stopped and started by its signal under load: the same" stopped_cleanly

crash_while_away() {
	local id
	kill_agent
	id=$(container web/1)
	docker kill --signal KILL "$id" >/dev/null
	requests_begin
	throughout 1 requests_fine || return 1 # so long it is away with its node
	start_agent || return 1
	within 60 only_nodes web/1 web/2 front/1 || return 1
	wait_for 60 all_pass 3 || return 1
	wait_for 60 serves "text-$n" || return 1
	requests_end
}
check "a node that was killed while the agent was away is back after; no request failed" crash_while_away

removed_while_away() {
	local id
	kill_agent
	id=$(container web/2)
	docker rm --force "$id" >/dev/null
	start_agent || return 1
	within 60 only_nodes web/1 web/2 front/1 || return 1
	wait_for 60 all_pass 3 && wait_for 60 serves "text-$n"
}
check "a node whose container was removed while the agent was away is made again" removed_while_away

cli_killed() {
	write_service cli-1
	start_process up "$TEPUY" up "$TMP/service.yaml" --recipes "$tiny" --yes
	wait_for 60 phase_is preparing rolling || return 1
	end_process "$pid" KILL
	up || return 1
	within 60 serves cli-1
}
check "the command line killed in the middle: it goes on, and 'up' again follows it to its end" cli_killed

cli_interrupted() {
	write_service cli-2
	start_process up "$TEPUY" up "$TMP/service.yaml" --recipes "$tiny" --yes
	wait_for 60 phase_is preparing rolling || return 1
	end_process "$pid" INT
	wait_for 180 phase_is "done" && wait_for 60 serves cli-2
}
check "interrupted as with Ctrl-C: it goes on by itself" cli_interrupted

# killed_in_down SECONDS: as killed_after.
killed_in_down() {
	tepuy down "$SERVICE" --yes --detach || return 1
	sleep "$1"
	kill_agent
	start_agent || return 1
	wait_for 180 phase_is removed || { echo "phase: $(phase)"; return 1; }
	within 60 only_nodes
}
for delay in 0.2 0.8 2; do
	check "killed $delay s into 'down': all is removed" killed_in_down "$delay"
	[ "$delay" = 2 ] || up >/dev/null 2>&1
done
# A build takes as long as it likes; the agent's end does not wait for it.
cp -r "$tiny/tiny" "$tiny/slow"
sed -i -e 's/^recipe: .*/recipe: slow/' -e 's/^base: .*/base: {suite: bookworm}/' "$tiny/slow/recipe.yaml"
build_step="sleep 76543.$$" # whose process no other run of this has
printf 'build: [[sleep, "%s"]]\n' "${build_step#* }" >>"$tiny/slow/recipe.yaml"
printf 'service: %s\ncomponents: {web: {recipe: slow}}\n' "$SERVICE" >"$TMP/service.yaml"
ends_while_building() {
	up --detach || return 1
	wait_for 300 pgrep -f "^$build_step" || { echo "no build is under way"; return 1; }
	kill -TERM "$AGENT_PID"
	wait_for 60 gone_or_zombie "$AGENT_PID" || { echo "the agent is still there"; return 1; }
	wait_for 60 no_build || { echo "the build is still there"; return 1; }
}
no_build() {
	! pgrep -f "^$build_step"
}
check "told to end while an image is built, the agent ends, and the build with it" ends_while_building

[ "$failed" -eq 0 ] || log_tail 60
finish
