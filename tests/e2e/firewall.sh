#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# needs: docker
# timeout: 900
# Two hosts of a cluster and a machine that is none: what a service publishes answers everybody, what it does not only the
# hosts and what runs on them; and the table that sees to it comes back whoever takes it away. Rules are flushed inside
# the lab's hosts only.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/lab/hosts.sh
. "$(dirname "$0")/../lab/hosts.sh"

root=$(cd "$(dirname "$0")/../.." && pwd)
TEPUY=${TEPUY:-${BUILD:-$root/build}/src/cli/tepuy}
lab=tt-firewall-$$
at_exit lab_down "$lab"

on() { # I COMMAND…
	lab_root "$lab" "$@"
}

# tell_host I PATH: standard input becomes the host's file.
tell_host() {
	docker exec -i "$(lab_container "$lab" "$1")" sh -c 'cat >"$1"' sh "$2"
}

# Docker, Consul without ACLs (they are not what is asked here), the agent of this tree; nothing that would be installed.
prepare_host() {
	local i=$1 name server=false

	name=$(lab_container "$lab" "$i")
	[ "$i" != 1 ] || server=true
	docker cp -q "$TEPUY" "$name:/usr/bin/tepuy" || return
	docker cp -q "$TMP/image.tar" "$name:/root/image.tar" || return
	tell_host "$i" /etc/consul.d/test.json <<-END
		{"server": $server, $([ "$i" != 1 ] || echo '"bootstrap_expect": 1,') "retry_join": ["$(lab_address "$lab" 1)"], "retry_interval": "1s",
		 "data_dir": "/var/lib/consul", "bind_addr": "$(lab_address "$lab" "$i")", "client_addr": "127.0.0.1",
		 "performance": {"raft_multiplier": 1}, "disable_update_check": true, "skip_leave_on_interrupt": true}
	END
	sed -e 's|^ExecStart=.*|ExecStart=/usr/bin/tepuy agent|' ${SANITIZER_REPORTS:+-e "$sanitizers"} \
		"$root/packaging/tepuy-agent.service" | tell_host "$i" /etc/systemd/system/tepuy-agent.service
	on "$i" systemctl start docker consul && on "$i" docker import /root/image.tar e2e-firewall:1 &&
		on "$i" systemctl daemon-reload && on "$i" systemctl start tepuy-agent
}

# What a sanitizer in the agent says comes out of the host, for ./check --sanitizers. Its unit forbids what looking for leaks needs.
sanitizers='/^\[Service\]/a\
Environment=ASAN_OPTIONS=log_path=/var/lib/tepuy/report:detect_leaks=0 TSAN_OPTIONS=log_path=/var/lib/tepuy/report\
Environment=UBSAN_OPTIONS=log_path=/var/lib/tepuy/report:print_stacktrace=1'
collect_reports() {
	local i

	[ -n "${SANITIZER_REPORTS:-}" ] || return 0
	for i in 1 2; do
		on "$i" systemctl stop tepuy-agent
		on "$i" sh -c 'cat /var/lib/tepuy/report.*' >"$SANITIZER_REPORTS/h$i"
	done 2>/dev/null
}
at_exit collect_reports

make_image() {
	mkdir -p "$TMP/image/bin" "$TMP/image/srv/www" "$TMP/image/etc" "$TMP/image/tmp"
	cp "$(command -v busybox)" "$TMP/image/bin/busybox" && ln -s busybox "$TMP/image/bin/sh" &&
		echo 'root:x:0:0:root:/:/bin/sh' >"$TMP/image/etc/passwd" && echo here >"$TMP/image/srv/www/index.html" &&
		tar -C "$TMP/image" -cf "$TMP/image.tar" .
	mkdir -p "$TMP/recipes/tiny"
	cat >"$TMP/recipes/tiny/recipe.yaml" <<-'END'
		recipe: tiny
		version: "1.0"
		summary: {en: A page, es: Una página}
		base: {image: e2e-firewall:1}
		provides: {http: {port: 80, interface: http}}
		start: [/bin/busybox, httpd, -f, -p, "80", -h, /srv/www]
		stop: {signal: TERM, timeout: 2s}
		checks:
		  - {http: /, port: http, interval: 1s, timeout: 1s}
	END
	cat >"$TMP/service.yaml" <<-END
		service: fire
		components:
		  open:
		    recipe: tiny
		    publish: {http: 8080}
		    place: {host: h1}
		    update: {healthy_for: 1s}
		  inner:
		    recipe: tiny
		    place: {host: h1}
		    update: {healthy_for: 1s}
	END
	cat >"$TMP/far.yaml" <<-END
		service: far
		components:
		  page:
		    recipe: tiny
		    place: {host: h2}
		    update: {healthy_for: 1s}
	END
}

has_two_hosts() {
	[ "$(on 1 consul members | grep -c ' alive ')" = 2 ] && on 2 tepuy version --json &&
		[ "$(on 1 consul kv get -keys tepuy/address/ | wc -l)" = 2 ]
}

# bring_up I FILE: from that host, so that its own agent has the recipe.
bring_up() {
	docker cp -q "$TMP/recipes" "$(lab_container "$lab" "$1"):/root/" &&
		docker cp -q "$TMP/$2" "$(lab_container "$lab" "$1"):/root/" &&
		on "$1" tepuy up --yes --recipes /root/recipes "/root/$2"
}

start_all() {
	make_image || return
	lab_up "$lab" "${SUBNET:-auto}" 2 ready && lab_add "$lab" 3 bare || return
	prepare_host 1 && prepare_host 2 && wait_for 120 has_two_hosts || return
	bring_up 1 service.yaml && bring_up 2 far.yaml
}

# port_of NODE: its port on its host.
port_of() {
	on 1 tepuy ps --json | sed 's/[{},]/\n/g' | awk -v node="\"$1\"" '
		/"node":/ {sub(/.*"node": */, ""); here = ($0 == node)}
		here && /"host_port":/ {sub(/.*: */, ""); print; exit}'
}

# page FROM ADDRESS PORT
page() {
	[ "$(on "$1" curl -fsS --max-time 10 "http://$2:$3/")" = here ]
}

# no_page FROM ADDRESS PORT: in a time in which it would be there many times over.
no_page() {
	! on "$1" curl -fsS --max-time 3 "http://$2:$3/"
}

# page_from_node HOST ADDRESS PORT: as a node of that host sees it.
page_from_node() {
	local id

	id=$(on "$1" docker ps -q | head -n 1)
	printf 'GET / HTTP/1.0\r\n\r\n' |
		docker exec -i "$(lab_container "$lab" "$1")" docker exec -i "$id" busybox nc -w 20 "$2" "$3" | grep -qx here
}

# Nobody who must not gets an answer; asked while the page is there for others.
closed() {
	no_page 3 "$h1" "$inner" && page 2 "$h1" "$inner"
}

table_is_there() {
	on "${1:-1}" nft list table inet tepuy | grep -q "$h1 . tcp . $inner"
}

no_stranger_in_table() {
	! on 1 nft list set inet tepuy hosts | grep -q 198.51.100.7
}

rules_are_there() {
	on 1 nft list chain inet tepuy outside | grep -q '@ports counter'
}

check "two hosts of a cluster run a service" start_all
[ "$failed" = 0 ] || exit 1 # silence would look like success below
h1=$(lab_address "$lab" 1) h3=$(lab_address "$lab" 3)
inner=$(port_of inner/1)
case_begin "the node that publishes nothing has a port of its own"
[ "${inner:-0}" -ge 1024 ] && [ "$inner" != 8080 ] && ok || not_ok "port '$inner'"
check "the table is there" wait_for 60 table_is_there

check "published: answers a machine outside" page 3 "$h1" 8080
check "published: answers the other host" page 2 "$h1" 8080
check "not published: answers its own host" page 1 "$h1" "$inner"
check "not published: answers the other host" page 2 "$h1" "$inner"
check "not published: answers a node of its own host" page_from_node 1 "$h1" "$inner"
check "not published: answers a node of the other host" page_from_node 2 "$h1" "$inner"
check "not published: is silent for a machine outside" no_page 3 "$h1" "$inner"
refuse "and for this one" curl -fsS --max-time 3 "http://$h1:$inner/"

address=$(on 1 sh -c 'docker inspect -f "{{.NetworkSettings.IPAddress}}" $(docker ps -q --filter label=tepuy.instance | head -n 1)')
on 3 ip route add 172.17.0.0/16 via "$h1"
check "a node's own address answers its host" page 1 "$address" 80
check "and not a machine outside that has a route to it" no_page 3 "$address" 80
on 3 ip route del 172.17.0.0/16 via "$h1"

on 1 nft delete table inet tepuy
check "deleted, the table comes back" wait_for 60 table_is_there
check "and works" closed
on 1 nft flush table inet tepuy
check "flushed, its rules come back" wait_for 60 rules_are_there
check "and work" closed
on 1 nft add element inet tepuy hosts '{ 198.51.100.7 }'
check "a host that someone added is taken out" wait_for 60 no_stranger_in_table
on 1 nft flush ruleset
check "after a flush of all rules the table comes back" wait_for 60 table_is_there
check "and works, Docker's own rules being gone" closed
check "published: answers a machine outside still" page 3 "$h1" 8080

cpu_of_agent() {
	# shellcheck disable=SC2016 # for the host
	on 1 sh -c 'awk "{print \$14 + \$15}" /proc/$(systemctl show -p MainPID --value tepuy-agent)/stat'
}
before=$(on 1 systemctl show -p InvocationID --value tepuy-agent)
start=$(cpu_of_agent)
for _ in 1 2 3 4 5 6 7 8; do
	on 1 nft delete table inet tepuy
	wait_for 60 table_is_there || break
done
check "whoever deletes it again and again finds it each time" table_is_there
case_begin "and the agent is the same, not busier than it should be"
spent=$(($(cpu_of_agent) - start))
[ "$before" = "$(on 1 systemctl show -p InvocationID --value tepuy-agent)" ] && [ "$spent" -lt "$(most 200)" ] && ok || not_ok "$spent hundredths of a second"

on 1 curl -fsS -X PUT -d "{\"Node\": \"h3\", \"Address\": \"$h3\"}" http://127.0.0.1:8500/v1/catalog/register >/dev/null
check "who becomes a host of the cluster is let in" wait_for 60 page 3 "$h1" "$inner"
on 1 curl -fsS -X PUT -d '{"Node": "h3"}' http://127.0.0.1:8500/v1/catalog/deregister >/dev/null
check "who is none any more is not" wait_for 60 closed

restart_without_consul() {
	# Masked, as the agent's unit would start it.
	on 1 systemctl stop tepuy-agent && on 1 systemctl mask --runtime --now consul && on 1 nft delete table inet tepuy &&
		on 1 systemctl start tepuy-agent
}
check "an agent is started while Consul is away" restart_without_consul
check "it sets the same table" wait_for 60 table_is_there
check "and it works" closed
on 1 systemctl unmask -q --runtime consul
on 1 systemctl start consul

without_nft() {
	on 1 sh -c 'mv /usr/sbin/nft /usr/sbin/nft.away && systemctl restart tepuy-agent'
	wait_for 60 said_once
}
said_once() {
	[ "$(on 1 journalctl -u tepuy-agent -o cat _SYSTEMD_INVOCATION_ID="$(on 1 systemctl show -p InvocationID --value tepuy-agent)" |
		grep -c 'firewall cannot be set.*install nftables')" = 1 ]
}
check "without nft the agent says so" without_nft
check "once, and what runs goes on" page 3 "$h1" 8080
on 1 mv /usr/sbin/nft.away /usr/sbin/nft

finish
