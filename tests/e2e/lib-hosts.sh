# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# For the end-to-end scripts that need several hosts, sourced after lib-service.sh, lib-faults.sh and tests/lab/hosts.sh:
# a lab whose hosts have Consul (all are servers, no TLS, no ACL), Docker and the agent, without tepuy's own setup.
#
# shellcheck disable=SC2034,SC2119,SC2120,SC2154,SC2317 # for the scripts; from lib.sh; called by name

# hosts_begin NAME N [AGENT-ARGUMENT…]: sets LAB and SERVICE.
hosts_begin() {
	local i
	LAB=tt-$1-$$
	SERVICE=tt-$1-$$
	hosts_n=$2
	hosts_options="${*:3}"
	lab_state=$TMP/lab
	at_exit lab_down "$LAB"
	lab_up "$LAB" "${LAB_SUBNET:-auto}" "$2" ready || { echo "the lab did not come up"; exit 1; }
	# The recipe `tiny` with a volume.
	cp -r "$tiny/tiny" "$tiny/tiny-data"
	sed -i -e 's/^recipe: .*/recipe: tiny-data/' "$tiny/tiny-data/recipe.yaml"
	printf 'volumes: {data: {path: /srv/data}}\n' >>"$tiny/tiny-data/recipe.yaml"
	for ((i = 1; i <= hosts_n; i++)); do host_begin "$i" & done
	wait_all
	wait_for 180 all_ready || { hosts_exec 1 journalctl -n 30 --no-pager; echo "the agents did not start"; exit 1; }
}

hosts_exec() {
	lab_root "$LAB" "$@"
}

wait_all() {
	local job
	for job in $(jobs -p); do
		[ "$job" = "${load_pid:-}" ] || wait "$job"
	done
}

hosts_addresses() {
	local i
	for ((i = 1; i <= hosts_n; i++)); do printf '%s"%s"' "${i:+$([ "$i" = 1 ] || echo ,)}" "$(lab_address "$LAB" "$i")"; done
}

host_begin() {
	local i=$1 address container
	address=$(lab_address "$LAB" "$i")
	container=$(lab_container "$LAB" "$i")
	docker cp -q "$TEPUY" "$container:/usr/bin/tepuy" 2>/dev/null || docker cp "$TEPUY" "$container:/usr/bin/tepuy" >/dev/null
	docker cp "$root/packaging/tepuy-agent.service" "$container:/etc/systemd/system/" >/dev/null
	docker cp "$tiny" "$container:/root/recipes" >/dev/null
	docker exec -i "$container" sh -c 'cat >/etc/consul.d/lab.json; chown root:consul /etc/consul.d/lab.json
		chmod 640 /etc/consul.d/lab.json' <<-END
		{"node_name": "h$i", "datacenter": "lab", "server": true, "bootstrap_expect": $hosts_n, "data_dir": "/var/lib/consul",
		 "bind_addr": "$address", "client_addr": "127.0.0.1", "retry_join": [$(hosts_addresses)], "retry_interval": "1s",
		 "leave_on_terminate": false, "skip_leave_on_interrupt": true, "disable_update_check": true,
		 "performance": {"raft_multiplier": 1}}
	END
	docker exec -i "$container" sh -c 'cat >/etc/default/tepuy-agent' <<-END
		TEPUY_AGENT_OPTIONS=--name h$i --address $address --log-level debug $hosts_options
	END
	docker exec "$container" systemctl enable --now docker consul tepuy-agent >/dev/null 2>&1
}

agent_answers() {
	hosts_exec "$1" tepuy version --json | jq -e '.agent.consul.version != ""'
}

# Every agent answers, Consul has a leader, and so have the agents.
all_ready() {
	local i
	for ((i = 1; i <= hosts_n; i++)); do agent_answers "$i" || return 1; done
	[ "$(hosts_exec 1 tepuy status --json | jq '.services | length')" -ge 0 ] && hosts_leader
}

hosts_leader() {
	local i
	for ((i = 1; i <= hosts_n; i++)); do
		[ "$(hosts_exec "$i" tepuy version --json | jq .agent.consul.leader)" != true ] || return 0
	done
	return 1
}

# hosts_copy I FILE: to /root of that host.
hosts_copy() {
	docker cp "$2" "$(lab_container "$LAB" "$1"):/root/" >/dev/null
}

# hosts_seed: puts the recipes on every host, by way of a service on h1: for tests in which no host asks another.
hosts_seed() {
	local i
	cat >"$TMP/seed.yaml" <<-END
		service: seed
		components:
		  web: {recipe: tiny, place: {host: h1}}
		  front: {recipe: haproxy, connect: {backend: web}, place: {host: h1}}
		  keeper: {recipe: tiny-data, place: {host: h1}}
	END
	hosts_copy 1 "$TMP/seed.yaml"
	hosts_exec 1 tepuy up /root/seed.yaml --recipes /root/recipes --yes >"$TMP/seed.log" 2>&1 || { cat "$TMP/seed.log"; exit 1; }
	hosts_exec 1 tepuy down seed --yes >/dev/null
	hosts_exec 1 tar -C /var/lib/tepuy/store -cf - bundles >"$TMP/bundles.tar"
	for ((i = 2; i <= hosts_n; i++)); do
		docker exec -i "$(lab_container "$LAB" "$i")" tar -C /var/lib/tepuy/store -xf - <"$TMP/bundles.tar"
	done
}

# hosts_up I: `up` of /root/service.yaml on that host.
hosts_up() {
	hosts_exec "$1" tepuy up /root/service.yaml --recipes /root/recipes --yes
}

hosts_json() {
	hosts_exec 1 tepuy status --json "$SERVICE"
}

hosts_phase() {
	local now
	now=$(hosts_json | jq -r '.services[0].status.phase')
	[ "$now" = "$2" ] || { echo "phase: $now"; return 1; }
}

# placed COMPONENT: the hosts of its healthy nodes that are to run, sorted. placed_all: of all assignments.
placed() {
	hosts_json | jq -r --arg c "$1/" '[.services[0].nodes[] | select((.node | startswith($c)) and .desired == "run" and
		.health == "passing") | .host] | sort | join(" ")'
}

placed_all() {
	hosts_json | jq -r --arg c "$1/" '[.services[0].nodes[] | select(.node | startswith($c)) | .host] | sort | join(" ")'
}

# healthy_elsewhere COMPONENT N HOST: N nodes are healthy, none of them there.
healthy_elsewhere() {
	local now
	now=$(placed "$1")
	[ "$(wc -w <<<"$now")" = "$2" ] && ! grep -qw "$3" <<<"$now"
}

# host_is HOST JQ-EXPRESSION: of docs/api.md's host.
host_is() {
	hosts_exec 1 curl -fsS --unix-socket /run/tepuy/agent.sock "http://x/v1/host/$1" | jq -e "$2"
}

# hosts_containers I: `INSTANCE ID STARTED-AT` of all that tepuy runs there.
hosts_containers() {
	hosts_exec "$1" sh -c 'docker ps --no-trunc -q --filter label=tepuy.instance | xargs -r docker inspect -f \
		"{{index .Config.Labels \"tepuy.instance\"}} {{.Id}} {{.State.StartedAt}}"' | sort
}

nothing_runs() {
	[ -z "$(hosts_exec "$1" docker ps -aq --filter label=tepuy.instance)" ]
}

# hosts_servers: `SERVER ADDRESS STATE` of HAProxy on h1, as `web-1.5 10.0.0.12 ready`, sorted.
hosts_servers() {
	# shellcheck disable=SC2016 # the host's shell expands it
	hosts_exec 1 sh -c 'pid=$(docker inspect -f "{{.State.Pid}}" $(docker ps -q --filter "name=front")) &&
		echo "show stat" | socat - "UNIX-CONNECT:/proc/$pid/root/run/haproxy/admin.sock"' |
		awk -F, '$1 == "backend" && $2 != "BACKEND" {
			sub(/:.*/, "", $74)
			state = "ready"
			if ($18 ~ /^MAINT/) state = "maint"
			if ($18 ~ /^DRAIN/) state = "drain"
			print $2, $74, state
		}' | sort
}

# routes_avoid HOST: HAProxy has servers, and none that takes requests is on that host.
routes_avoid() {
	local address servers
	address=$(lab_address "$LAB" "${1#h}")
	servers=$(hosts_servers) || return 1
	grep -q 'ready$' <<<"$servers" && ! grep -q " $address ready$" <<<"$servers"
}

says_only() {
	local i
	for i in 1 2 3 4 5 6; do curl -fsS --max-time 15 "$url" | grep -q "^$1 web/" || return 1; done
}

members_alive() {
	[ "$(hosts_exec 1 consul members | grep -c alive)" = "$1" ]
}

# settled: the service is done, each wanted node has one assignment and passes, and each host runs what it is assigned.
settled() {
	local json i is wanted
	json=$(hosts_json) || return 1
	jq -e '.services[0] | .status.phase == "done" and (.nodes | length == 5 and
		all(.desired == "run" and .health == "passing" and .state == "running"))' <<<"$json" >/dev/null ||
		{ jq -c '.services[0] | .status.phase, (.nodes[] | [.node, .gen, .host, .desired, .state, .health])' <<<"$json"; return 1; }
	for ((i = 1; i <= hosts_n; i++)); do
		wanted=$(jq -r --arg h "h$i" '.services[0] | .service as $s | .nodes[] | select(.host == $h) |
			"\($s)/\(.node).\(.gen)"' <<<"$json" | sort)
		is=$(hosts_exec "$i" docker ps -a --format '{{.Label "tepuy.instance"}}' --filter label=tepuy.instance | sort)
		[ "$is" = "$wanted" ] || { echo "h$i runs: $is"; return 1; }
	done
}

# no_ghosts: the catalog has exactly what is assigned, host by host.
no_ghosts() {
	local is wanted
	wanted=$(hosts_exec 1 consul kv get -keys -separator= tepuy/host/)
	wanted=$(sed -n 's|^tepuy/host/\([^/]*\)/node/\([^/]*\)/\([^/]*\)/\(.*\)$|\1 \2-\3-\4|p' <<<"$wanted" | sort)
	is=$(for name in $(hosts_exec 1 curl -fsS http://127.0.0.1:8500/v1/catalog/services | jq -r 'keys[]'); do
		hosts_exec 1 curl -fsS "http://127.0.0.1:8500/v1/catalog/service/$name" |
			jq -r '.[] | select(.ServiceMeta.tepuy == "1") | "\(.Node) \(.ServiceID)"'
	done | sort)
	[ "$is" = "$wanted" ] || { echo "assigned: $wanted"; echo "in the catalog: $is"; return 1; }
}

# cut_consul I: that host's Consul from those of the others; all else between them goes on. Undone by lab_heal.
cut_consul() {
	local a b proto
	a=$(lab_address "$LAB" "$1") b=$(lab_bridge "$LAB")
	for proto in tcp udp; do
		lab_drop "$LAB" DOCKER-USER -s "$a" -o "$b" -p "$proto" -m multiport --ports 8300,8301,8302
		lab_drop "$LAB" DOCKER-USER -d "$a" -i "$b" -p "$proto" -m multiport --ports 8300,8301,8302
	done
}

# seconds MS: "6.2 s".
seconds() {
	printf '%d.%d s' $(($1 / 1000)) $(($1 % 1000 / 100))
}

# table FAULT REQUESTS FAILED REMARK: a row of docs/faults.md.
table() {
	printf '| %s | %s | %s | %s |\n' "$1" "$2" "$3" "$4" >>"$TMP/rows"
}

# checked NAME COMMAND…: as check, and keeps what the hosts logged when it fails.
checked() {
	local failed_before=$failed name
	check "$@"
	[ "$failed" = "$failed_before" ] && return
	name=$(tr -cs 'a-z0-9' - <<<"${1,,}" | cut -c 1-40)
	hosts_save "$TMP/logs-${name%-}"
	echo "      what the hosts logged is in $TMP/logs-${name%-} (with KEEP=1)"
}

front_log() {
	# shellcheck disable=SC2016 # the host's shell expands it
	hosts_exec 1 sh -c 'docker logs --since "$1" "$(docker ps -q --filter name=front)" 2>&1' sh "${1:-0}"
}

# hosts_save DIRECTORY: what there is to see of a case that failed.
hosts_save() {
	local i
	mkdir -p "$1"
	for ((i = 1; i <= hosts_n; i++)); do
		hosts_exec "$i" journalctl -o short-precise --no-pager -u tepuy-agent >"$1/h$i-agent.log" 2>&1
		hosts_exec "$i" journalctl -o short-precise --no-pager -u consul >"$1/h$i-consul.log" 2>&1
		hosts_exec "$i" docker ps -a --format '{{.Names}} {{.Status}}' >"$1/h$i-containers" 2>&1
	done
	front_log >"$1/haproxy.log"
	hosts_servers >"$1/haproxy.servers" 2>&1
	hosts_json >"$1/status.json" 2>&1
}

# failed_since MS: `MS-AFTER STATUS STATE SERVER` of the requests that began then or later and that HAProxy could not have
# answered properly by a node: refused, broken off by a node, or its own 503 and 504. Its log has the time of their
# beginning.
failed_since() {
	front_log "$(($1 / 1000))" | python3 -c '
import datetime, re, sys
line = re.compile(r"\S+ \[([^]]+)\] http \S*?(\S+) \S+ (-?\d+) \S+ \S+ \S+ (\S\S)")
for text in sys.stdin:
    m = line.match(text)
    # C, c: the client left, as when the load ends
    if m and m[4][0] not in "Cc" and (int(m[3]) >= 500 or int(m[3]) < 0 or m[4][0] != "-"):
        began = datetime.datetime.strptime(m[1], "%d/%b/%Y:%H:%M:%S.%f").replace(tzinfo=datetime.timezone.utc)
        after = round(began.timestamp() * 1000) - int(sys.argv[1])
        if after >= 0:
            print(after, m[3], m[4], m[2])
' "$1"
}

# --- Consul's leader ---

# consul_leader: the number of the host that leads Consul.
consul_leader() {
	local address i
	address=$(hosts_exec 1 curl -fsS http://127.0.0.1:8500/v1/status/leader | tr -d '"')
	for ((i = 1; i <= hosts_n; i++)); do [ "$(lab_address "$LAB" "$i")" != "${address%:*}" ] || echo "$i"; done
}

# Consul takes a dead server out, and one that came back votes only after ten seconds: until then two are not enough.
all_vote() {
	members_alive "$hosts_n" && [ "$(hosts_exec 1 consul operator raft list-peers | grep -c ' true ')" = "$hosts_n" ]
}

other_leads() {
	local leader
	leader=$(consul_leader)
	[ -n "$leader" ] && [ "$leader" != "$1" ]
}

# make_leader I, make_leader other I: that host leads Consul, or one of the others. This Consul cannot pass leadership on:
# the leader is restarted until it is so.
make_leader() {
	local try leader
	for try in 1 2 3 4 5 6 7 8 9 10 11 12; do
		within 180 all_vote || return 1
		leader=$(consul_leader)
		if [ "$1" = other ]; then
			[ "$leader" = "$2" ] || return 0
		else
			[ "$leader" != "$1" ] || return 0
		fi
		hosts_exec "$leader" systemctl restart consul
		wait_for 60 other_leads "$leader"
	done
	echo "h$(consul_leader) leads Consul after $try restarts"
	return 1
}
