#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# lane: built
# Templates are tried before the first node is touched: a configuration that HAProxy does not take fails the deployment
# while the old front, which has a port for itself and so would have to stop first, goes on answering.
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
service_begin templates-tried
write_service hello
template=$tiny/haproxy/templates/haproxy.cfg
cp "$template" "$TMP/good.cfg"

trials() {
	docker ps --all --format '{{.Label "tepuy.instance"}}' --filter label=tepuy.instance | grep "^trial:$SERVICE/"
}

no_trials() {
	! trials
}

docker_rm_quietly() {
	docker rm --force "$1" >/dev/null 2>&1
}

printf '\nfrontend broken\n\tbind nowhere\n' >>"$template"
fails() {
	! up >"$TMP/up.out" 2>&1 || { cat "$TMP/up.out"; return 1; }
}
check "the first deployment of a template that does not validate fails" fails
check "with the validation's words" grep -F "missing port specification in 'nowhere'" "$TMP/up.out"
check "nothing was started" no_containers
cp "$TMP/good.cfg" "$template"
check "mended, the service comes up" up
check "and answers" within 60 serves hello

before=$(containers)
bad_change() {
	requests_begin
	fails || return 1
	requests_end
}
printf '\nfrontend broken\n\tbind nowhere\n' >>"$template"
check "a change that does not validate fails, and no request with it" bad_change
check "with the validation's words" grep -F "haproxy.cfg, made from its template, does not validate" "$TMP/up.out"
check "as HAProxy says them" grep -F "missing port specification in 'nowhere'" "$TMP/up.out"
equal "no container was touched" "$before" "$(containers)"
check "no trial is left over" no_trials
cp "$TMP/good.cfg" "$template"
check "'up' with the good template finds all as it should be" up
equal "and touches nothing" "$before" "$(containers)"

# What an agent that was killed in the middle leaves, and what another one is at.
others=$(docker run --detach --network none --label "tepuy.instance=trial:$SERVICE-other/front/1.9" \
	--label "tepuy.agent=/elsewhere" --entrypoint sleep \
	"$(docker inspect -f '{{.Config.Image}}' "$(container front/1)")" 600)
at_exit docker_rm_quietly "$others"
left=$(docker run --detach --network none --name "tepuy-trial.$SERVICE.front.1.9" \
	--label "tepuy.instance=trial:$SERVICE/front/1.9" --label "tepuy.agent=$STATE" --entrypoint sleep \
	"$(docker inspect -f '{{.Config.Image}}' "$(container front/1)")" 600)
at_exit docker_rm_quietly "$left"
check "a trial that was left over is there" trials
kill_agent
run_agent
check "the agent takes it away" within 60 no_trials
equal "and nothing else" "$before" "$(containers)"
check "nor what is another agent's" docker inspect "$others"
check "down" tepuy down "$SERVICE" --yes
check "nothing is left" within 60 only_nodes
[ "$failed" -eq 0 ] || log_tail 40
finish
