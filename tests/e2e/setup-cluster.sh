#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# needs: docker
# lane: hosts
# timeout: 1800
# `tepuy setup` makes three machines a cluster with access control and certificates, then a fourth one a member; all of
# it again changes nothing; what is killed in the middle is mended; strangers get nothing; secrets stay where they are.
# docs/setup.md is the protocol; setup-operator.py plays the operator, who never sees a secret.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/lab/hosts.sh
. "$(dirname "$0")/../lab/hosts.sh"

here=$(cd "$(dirname "$0")" && pwd)
lab=${LAB:-tt-setup-$$}
export LAB_STATE=${LAB_STATE:-${TMPDIR:-/tmp}/tepuy-lab} SETUP_LOG=$TMP/operator.log
# shellcheck disable=SC2034 # of hosts.sh
lab_state=$LAB_STATE
at_exit lab_down "$lab"

operator() {
	python3 "$here/setup-operator.py" "$lab" "$@"
}

on() { # I COMMAND…
	lab_root "$lab" "$@"
}

# The program and its unit as the package puts them.
install_tepuy() {
	local container

	container=$(lab_container "$lab" "$1")
	docker cp -q "${TEPUY:-$here/../../build/src/cli/tepuy}" "$container:/usr/bin/tepuy" &&
		docker cp -q "$here/../../packaging/tepuy-agent.service" "$container:/lib/systemd/system/" &&
		on "$1" systemctl daemon-reload
}

# curl on a host with a token of its files, which must not be among the words of a process: those are searched.
curl_with() { # I FILE WORD…
	local i=$1 file=$2

	shift 2
	on "$i" sh -c 'umask 077; sed "s/^/X-Consul-Token: /" "$0" >/run/e2e-token && exec curl -sS --max-time 60 -H @/run/e2e-token "$@"' \
		"$file" "$@"
}

# Consul's API on a host, with the management token.
api() { # I METHOD PATH [BODY]
	curl_with "$1" /etc/tepuy/management-token -X "$2" ${4:+-d "$4"} "http://127.0.0.1:8500$3"
}

without_token() { # I PATH
	on "$1" curl -sS --max-time 60 "http://127.0.0.1:8500$2"
}

alive_members() {
	api "$1" GET /v1/agent/members | python3 -c 'import json, sys
print(" ".join(sorted(m["Name"] for m in json.load(sys.stdin) if m["Status"] == 1)))'
}

members_are() { # I NAMES
	[ "$(alive_members "$1")" = "$2" ]
}

# members NAME I NAMES: a whole case. A busy machine's Consul may take a member for dead for a moment, until that refutes it.
members() {
	case_begin "$1"
	if wait_for 120 members_are "$2" "$3"; then ok; else not_ok "wanted '$3', got '$(alive_members "$2")'"; fi
}

peers() {
	api "$1" GET /v1/operator/raft/configuration | python3 -c 'import json, sys
print(" ".join(sorted(s["Node"] for s in json.load(sys.stdin)["Servers"])))'
}

peers_are() { # I NAMES
	[ "$(peers "$1")" = "$2" ]
}

invocations() { # I… : which start of Consul this is
	local i
	for i; do on "$i" systemctl show -p InvocationID --value consul.service; done
}

only_unchanged() { # FILE
	[ -s "$1" ] && ! grep -v ' unchanged$' "$1"
}

# What the processes of a host say of themselves, again and again, into a file there.
watch_processes() {
	on "$1" sh -c 'while :; do cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ; sleep 0.2; done >/run/seen 2>/dev/null' &
	lib_pids+=("$!")
}

start_lab() {
	lab_up "$lab" auto 4 ready
}

case_begin "four machines with Docker and Consul installed, nothing configured"
if start_lab >"$TMP/lab.log" 2>&1 && install_tepuy 1 && install_tepuy 2 && install_tepuy 3 && install_tepuy 4; then
	ok
else
	not_ok "$(tail -n 3 "$TMP/lab.log")"
	exit 1
fi
for i in 1 2 3 4; do watch_processes "$i"; done

# ---- a cluster
case_begin "three servers with agents"
start=$(now_ms)
if operator apply 1,2,3 1,2,3 >"$TMP/first" 2>&1; then ok; else not_ok "$(tail -n 2 "$TMP/first")"; fi
echo "      from configured nothing to agents in Consul: $((($(now_ms) - start + 500) / 1000)) s"
members "Consul's members" 2 "h1 h2 h3"
equal "its voters" "h1 h2 h3" "$(peers 3)"
labels_are_there() {
	api 1 GET '/v1/kv/tepuy/host/h2/info?raw' | grep -q '"rack": *"north side"'
}
check "labels reach Consul as they were given" wait_for 60 labels_are_there

before=$(invocations 1 2 3)
case_begin "a second time nothing changes"
if operator apply 1,2,3 1,2,3 >"$TMP/second" 2>&1 && only_unchanged "$TMP/second"; then ok; else not_ok "$(grep -v ' unchanged$' "$TMP/second")"; fi
equal "and no Consul was restarted" "$before" "$(invocations 1 2 3)"

# ---- strangers
could_not_join() {
	grep -qi 'join.*fail\|failed to join' "$TMP/stranger"
}
stranger() { # [KEY]: a Consul on h4 that wants to join h1; it says that it could not
	local joiner

	on 4 sh -c 'rm -rf /tmp/stranger; echo $$ >/run/stranger; exec timeout 300 consul agent -data-dir=/tmp/stranger -node=stranger \
		-datacenter=lab -bind='"$(lab_address "$lab" 4)"' -retry-join='"$(lab_address "$lab" 1)"' ${1:+-encrypt="$1"}' _ "${1:-}" \
		>"$TMP/stranger" 2>&1 &
	joiner=$!
	lib_pids+=("$joiner")
	wait_for 120 could_not_join || { cat "$TMP/stranger"; return 1; }
	wait_for 120 members_are 1 "h1 h2 h3" || { alive_members 1; return 1; } # a stranger that got in would stay
	on 4 sh -c 'kill "$(cat /run/stranger)"'
	wait "$joiner"
	true # what it ended with is its own
}
check "gossip refuses who has no key" stranger
check "gossip refuses who has another key" stranger "$(head -c 32 /dev/urandom | base64)"

rpc() { # HOW [CERTIFICATE KEY]
	python3 "$here/setup-rpc.py" "$(lab_address "$lab" 1)" "$@"
}
docker cp -q "$(lab_container "$lab" 1):/etc/tepuy/tls" "$TMP/tls"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$TMP/own-key" -out "$TMP/own" -subj /CN=server.lab.consul \
	-days 1 2>/dev/null
equal "RPC takes a host's certificate" "let in" "$(rpc tls "$TMP/tls/host.pem" "$TMP/tls/host-key.pem" | head -n 1)"
check "RPC refuses who has none" grep -q '^refused' <(rpc tls)
check "RPC refuses one of another authority" grep -q '^refused' <(rpc tls "$TMP/own" "$TMP/own-key")
check "RPC refuses who does not speak TLS" grep -q '^refused' <(rpc plain)
refuse "Consul's HTTP is not open to the outside" curl -sS --max-time 3 "http://$(lab_address "$lab" 1):8500/v1/status/leader"

api 1 PUT /v1/kv/tepuy/secret/x/y "a secret" >/dev/null
denied() { # PATH: nothing, or no permission
	local answer

	answer=$(without_token 1 "$1") || return 1
	case $answer in '' | '[]' | '{}' | 'null' | *'ermission denied'* | *'denied by ACLs'*) ;; *) return 1 ;; esac
}
for path in '/v1/kv/?recurse' /v1/kv/tepuy/secret/x/y /v1/catalog/nodes /v1/catalog/services /v1/agent/members /v1/agent/self \
	/v1/health/state/any /v1/acl/tokens /v1/operator/keyring /v1/session/list; do
	check "without a token nothing: $path" denied "$path"
done
check "nor can anybody bootstrap access control again" grep -q 'no longer allowed' <(on 2 curl -sS -X PUT http://127.0.0.1:8500/v1/acl/bootstrap)

# What a host's token may not.
with_host_token() { # I METHOD PATH
	curl_with "$1" /etc/tepuy/consul-token -o /dev/null -w '%{http_code}' -X "$2" -d x "http://127.0.0.1:8500$3"
}
equal "a host's token writes below tepuy/" 200 "$(with_host_token 2 PUT /v1/kv/tepuy/event/x/1)"
equal "and not elsewhere" 403 "$(with_host_token 2 PUT /v1/kv/other)"
equal "nor where the tokens' accessors are" 403 "$(with_host_token 2 PUT /v1/kv/tepuy/cluster/token/h1)"
equal "nor of another host's agent" 403 "$(with_host_token 2 PUT /v1/agent/force-leave/h1)"
equal "nor of access control" 403 "$(with_host_token 2 GET /v1/acl/tokens)"

# ---- one more, killed again and again
case_begin "a fourth host, each step killed seven times before it may end"
if operator killed 1,2,3,4 1,2,3 >"$TMP/fourth" 2>&1; then ok; else not_ok "$(tail -n 2 "$TMP/fourth")"; fi
members "it is a member" 1 "h1 h2 h3 h4"
equal "and no voter" "h1 h2 h3" "$(peers 1)"
case_begin "after that nothing changes"
if operator apply 1,2,3,4 1,2,3 >"$TMP/fifth" 2>&1 && only_unchanged "$TMP/fifth"; then ok; else not_ok "$(grep -v ' unchanged$' "$TMP/fifth")"; fi
equal "no Consul of the others was restarted" "$before" "$(invocations 1 2 3)"
refuse "nothing half written is left" on 4 sh -c 'find /etc/tepuy /etc/consul.d /etc/docker /etc/default /run -name "*.tepuy-new" | grep .'
refuse "the authority is on servers only" on 4 sh -c 'ls /etc/tepuy/ca /etc/tepuy/management-token 2>/dev/null | grep .'

# ---- a token revoked
accessor=$(api 1 GET '/v1/kv/tepuy/cluster/token/h2?raw')
on 2 cat /etc/tepuy/consul-token >"$TMP/old-token"
# Only what is logged from here on counts.
cursor=$(on 2 journalctl -u tepuy-agent --no-pager -n 0 --show-cursor | sed -n 's/^-- cursor: //p')
api 1 DELETE "/v1/acl/token/$accessor" >/dev/null
agent_complains() {
	on 2 journalctl -u tepuy-agent --no-pager -o cat --after-cursor "$cursor" | grep "Consul refuses this host's token"
}
refuse "there is a place in the journal to go on from" [ -z "$cursor" ]
check "a revoked token: the agent's log says so" wait_for 120 agent_complains
case_begin "acl and agent mend it"
if operator apply 1,2,3,4 1,2,3 >"$TMP/mended" 2>&1; then ok; else not_ok "$(tail -n 2 "$TMP/mended")"; fi
refuse "with another token" cmp -s "$TMP/old-token" <(on 2 cat /etc/tepuy/consul-token)
equal "on that host only" "h2" "$(grep -v ' unchanged$' "$TMP/mended" | awk '$2 == "agent" {print $1}' | sort -u)"

# ---- renewal
rpc tls "$TMP/tls/host.pem" "$TMP/tls/host-key.pem" | tail -n 1 >"$TMP/served"
case_begin "certificates are renewed"
if operator renew 1,2,3,4 1,2,3 >"$TMP/renewed" 2>&1; then ok; else not_ok "$(tail -n 2 "$TMP/renewed")"; fi
serves_new() {
	rpc tls "$TMP/tls/host.pem" "$TMP/tls/host-key.pem" | tail -n 1 >"$TMP/serves"
	[ -s "$TMP/serves" ] && ! cmp -s "$TMP/served" "$TMP/serves"
}
check "Consul shows the new one" wait_for 60 serves_new
equal "without a restart" "$before" "$(invocations 1 2 3)"
members "and all stay members" 3 "h1 h2 h3 h4"

# ---- the gossip key
old_key=$(on 1 cat /etc/tepuy/ca/gossip-key)
case_begin "the gossip key is changed"
if operator rotate 1,2,3,4 1,2,3 >"$TMP/rotated" 2>&1; then ok; else not_ok "$(tail -n 2 "$TMP/rotated")"; fi
new_key=$(on 3 cat /etc/tepuy/ca/gossip-key)
# shellcheck disable=SC2016
keys='import json, sys
print(" ".join(sorted({k for ring in json.load(sys.stdin) for k in ring["Keys"]})))'
known_keys() {
	api 2 GET /v1/operator/keyring | python3 -c "$keys"
}
equal "all members know the new one and no other" "$new_key" "$(known_keys)"
refuse "it is another one" [ "$old_key" = "$new_key" ]
on 4 systemctl restart consul
check "a Consul that is restarted comes back with it" wait_for 120 members_are 1 "h1 h2 h3 h4"
equal "and no other was restarted" "$before" "$(invocations 1 2 3)"
# The server that began is lost before the end; another one once was in its place and has a key of that time.
on 3 sh -c 'umask 077; head -c 32 /dev/urandom | base64 >/etc/tepuy/ca/gossip-key.next'
case_begin "the gossip key is changed by two servers"
if operator rotate-elsewhere 1,2,3,4 1,2,3 >"$TMP/elsewhere" 2>&1; then ok; else not_ok "$(tail -n 2 "$TMP/elsewhere")"; fi
second_key=$(on 3 cat /etc/tepuy/ca/gossip-key)
refuse "to another one" [ "$second_key" = "$new_key" ]
equal "that all members know, and no other" "$second_key" "$(known_keys)"
refuse "what was left of another change is gone" on 3 test -e /etc/tepuy/ca/gossip-key.next
equal "ending it again changes nothing" unchanged \
	"$(on 2 sh -c 'echo "{\"phase\": \"finish\"}" | tepuy setup rotate-gossip' | grep -o unchanged)"
case_begin "and once more from where the last change began"
if operator rotate 1,2,3,4 1,2,3 >"$TMP/again" 2>&1; then ok; else not_ok "$(tail -n 2 "$TMP/again")"; fi
new_key=$(on 2 cat /etc/tepuy/ca/gossip-key)
refuse "to a new one" [ "$second_key" = "$new_key" ]
equal "that all members know, and no other" "$new_key" "$(known_keys)"
members "all are members" 1 "h1 h2 h3 h4"

# ---- going
remove() { # FROM NAME
	operator step "$1" remove-host <<<"{\"name\": \"$2\"}"
}
case_begin "a host that is alive is not removed"
if remove 1 h4 >"$TMP/remove" 2>&1 || ! grep -q EBUSY "$TMP/remove"; then not_ok "$(tail -n 1 "$TMP/remove")"; else ok; fi
left() {
	operator step 4 leave <<<'{}' && wait_for 120 members_are 1 "h1 h2 h3" && remove 1 h4
}
check "a host leaves" left
equal "its token is revoked" "" "$(api 1 GET '/v1/kv/tepuy/cluster/token/h4?raw')"
refuse "nothing of the cluster's secrets is left on it" grep -rF "$new_key" <(on 4 sh -c 'cat $(find /etc/tepuy /etc/consul.d /var/lib/consul -type f)')
check "its key stays" on 4 test -s /etc/tepuy/tls/host-key.pem

lab_kill "$lab" 3
# Not that it is called failed: the leader's autopilot takes a failed server out within seconds, and then it has left.
members "a server dies" 1 "h1 h2"
case_begin "another machine takes its place"
if operator apply 1,2,4 1,2,4 >"$TMP/replaced" 2>&1 && remove 1 h3 >>"$TMP/replaced" 2>&1; then ok; else not_ok "$(tail -n 2 "$TMP/replaced")"; fi
check "as a voter" wait_for 120 peers_are 1 "h1 h2 h4"
members "nobody misses the dead one" 4 "h1 h2 h4"

# ---- secrets
{
	on 1 cat /etc/tepuy/management-token
	echo
	for i in 1 2 4; do on "$i" cat /etc/tepuy/consul-token; done
	printf '%s\n%s\n' "$old_key" "$new_key"
	cat "$TMP/old-token"
	for file in ca/ca-key.pem tls/host-key.pem; do on 1 sed -n 2p "/etc/tepuy/$file"; done
} | sed '/^$/d' >"$TMP/secrets"
found_in() { # COMMAND…: which secrets are in its output, without showing them
	"$@" >"$TMP/haystack" 2>/dev/null
	[ -s "$TMP/haystack" ] && grep -aqF -f "$TMP/secrets" "$TMP/haystack"
}
equal "secrets to look for" 9 "$(sort -u "$TMP/secrets" | grep -c '^.\{32,\}$')"
check "they are where they belong" found_in on 1 cat /etc/tepuy/management-token
refuse "no secret passed the operator's hands" found_in cat "$SETUP_LOG"
for i in 1 2 4; do
	check "processes of h$i were looked at, and its journal is read" on "$i" sh -c 'test -s /run/seen && journalctl --no-pager -n 1 | grep -q .'
	refuse "no secret in a process's words or environment on h$i" found_in on "$i" cat /run/seen
	refuse "no secret in the journal of h$i" found_in on "$i" journalctl --no-pager
done
finish
