#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# needs: docker
# lane: hosts
# timeout: 2400
# Four bare Debian 12 with addresses of their own become hosts of one cluster by one command, and by the same command
# again nothing changes; a host is taken away and added, a dead server replaced, keys and certificates renewed, tepuy
# upgraded under nodes that go on running; examples/portal runs spread over them.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/lab/hosts.sh
. "$(dirname "$0")/../lab/hosts.sh"
# shellcheck source=tests/e2e/lib-apply.sh
. "$(dirname "$0")/lib-apply.sh"

lab=tt-hosts-$$
at_exit lab_down "$lab"

both_web_answer() {
	local i seen=''

	for ((i = 0; i < 20; i++)); do
		seen+=" $(curl -fsS --max-time 30 "http://$1:8080/" | sed -n 's|.*<dd id="node">\([^<]*\)</dd>.*|\1|p')"
	done
	[[ $seen == *web/1* && $seen == *web/2* ]]
}

host_of() { # NODE
	tepuy ps --host h1 --json | jq -r --arg node "$1" '.nodes[] | select(.node == $node) | .host'
}

containers() { # of all hosts, by their numbers, which outlive no restart
	local i

	for i in 1 2 3 4; do lab_root "$lab" "$i" docker ps -q --no-trunc; done | sort
}

check "the package is built" build_package
check "four bare hosts start" lab_up "$lab" auto 4 bare
prepare_operator "$lab" 3
equal "nothing of ours is on them" '' "$(lab_root "$lab" 1 sh -c 'command -v tepuy docker consul')"

case_begin "one command makes them hosts"
start=$SECONDS
if tepuy host apply --package "$(deb package)" --json >"$TMP/apply.json" 2>"$TMP/apply.err"; then ok; else
	not_ok
	cat "$TMP/apply.err"
fi
printf '      %d s for four bare hosts\n' $((SECONDS - start))
equal "all four are changed" 'changed changed changed changed' "$(statuses "$TMP/apply.json")"
check "the cluster has all of them" wait_for 120 alive_are 'h1 h2 h3 h4'
check "three are Consul's servers" wait_for 120 servers_are 1 3
equal "nothing of the cluster's secrets is on the operator's machine" '' \
	"$(grep -rlE 'PRIVATE KEY' "$OPERATOR" | grep -v '/id$')"
check "again, there is nothing to do" again_unchanged 4
# Consul's word on a member may be wrong for a moment, and doctor repeats it.
nothing_is_wrong() {
	tepuy doctor --inventory hosts.yaml >"$TMP/doctor.out" 2>&1
}
case_begin "doctor finds nothing wrong on any of them"
if wait_for 120 nothing_is_wrong; then ok; else not_ok "$(cat "$TMP/doctor.out")"; fi

check "examples/portal comes up, asked of one host from here" \
	tepuy up --host h1 "$root/examples/portal/service.yaml" --recipes "$root/recipes" --yes
front=$(lab_address "$lab" "$(host_of front/1 | tr -dc 0-9)")
check "both web nodes answer through HAProxy" wait_for 180 both_web_answer "$front"
case_begin "its nodes are on more than one host"
if [ "$(tepuy ps --host h1 --json | jq -r '.nodes[].host' | sort -u | wc -l)" -ge 2 ]; then ok; else
	not_ok
	tepuy ps --host h1
fi

victim=$(for h in h4 h3 h2; do [ "$(host_of db/1)" = "$h" ] || [ "$(host_of front/1)" = "$h" ] || echo "$h"; done | head -n 1)
before=$(containers)
check "another version is packed" build_package later --version 99.0
check "hosts are upgraded one after another" tepuy host upgrade --package "$(deb later)"
equal "every container is the same one" "$before" "$(containers)"
equal "all have the later version" '99.0 99.0 99.0 99.0' "$(for i in 1 2 3 4; do version_on "$i"; done | xargs)"
check "the page is still there" both_web_answer "$front"

check "the gossip key is rotated" tepuy host rotate-keys
check "certificates are renewed" tepuy host renew
check "the page is still there" both_web_answer "$front"

# Who says to have images: as a host's root sees it, with its token.
offers_of() { # HOST
	# shellcheck disable=SC2016 # for the host
	lab_root "$lab" 1 sh -c 'CONSUL_HTTP_TOKEN=$(cat /etc/tepuy/consul-token) consul kv get -recurse tepuy/image/' |
		grep "/have/$1:"
}
case_begin "hosts have told of images that they have"
if [ -n "$(offers_of '[^:]*')" ]; then ok; else not_ok; fi
check "a host is drained and removed" tepuy host remove "$victim"
equal "nothing in Consul says any more that it has images" '' "$(offers_of "$victim")"
check "the cluster has the others" wait_for 120 alive_are "$(for i in h1 h2 h3 h4; do [ $i = "$victim" ] || echo $i; done | xargs)"
check "the page is still there" wait_for 180 both_web_answer "$front"
check "the same host is added again" tepuy host apply --package "$(deb later)"
check "the cluster has all again" wait_for 120 alive_are 'h1 h2 h3 h4'
finish
