# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# For the end-to-end scripts with a real Xen host, sourced after lib-service.sh, tests/lab/hosts.sh and tests/lab/xen.sh:
# a lab of h1, which has Docker and is Consul's only server, and xen1, which runs machines; both agents give each other
# images. Without tepuy's own setup, which xen-host.sh is about.
#
# shellcheck disable=SC2034,SC2154,SC2317 # for the scripts; from lib.sh; called by name

# What a machine under emulation may take until it serves: minutes when others use this computer as well. A page that it
# serves may take long, too.
SLOW=${SLOW:-2700}
PAGE=60
LOAD_TIMEOUT=60s
export LOAD_PAUSE=200

# xen_begin NAME: sets LAB, SERVICE.
xen_begin() {
	LAB=tt-$1-$$
	SERVICE=tt-$1-$$
	lab_state=$TMP/lab
	at_exit xen_end
	lab_up "$LAB" "${LAB_SUBNET:-auto}" 1 ready || { echo "the lab did not come up"; exit 1; }
	xen_up "$LAB" ready || { echo "the Xen host did not come up"; exit 1; }
	XEN=$(xen_address "$LAB") H1=$(lab_address "$LAB" 1)
	mkdir -p "$TMP/tls"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=cluster \
		-keyout "$TMP/tls/ca.key" -out "$TMP/tls/ca.pem" 2>/dev/null
	h1_begin
	xen1_begin
	wait_for "$SLOW" xen_lab_ready || { on_h1 journalctl -n 30 --no-pager -u tepuy-agent; on_xen journalctl -n 30 --no-pager -u tepuy-agent
		echo "the agents did not start"; exit 1; }
}

xen_end() {
	[ -z "${KEEP:-}" ] || { on_h1 journalctl --no-pager -u tepuy-agent >"$TMP/h1.log"; on_xen journalctl --no-pager -u tepuy-agent >"$TMP/xen1.log"; }
	xen_down "$LAB"
	lab_down "$LAB"
}

on_h1() {
	lab_root "$LAB" 1 "$@"
}

# Over SSH, as root; its words are not expanded again.
on_xen() {
	xen_ssh "$LAB" sudo -n "$(printf '%q ' "$@")"
}

# xen_put FILE PATH [MODE]
xen_put() {
	xen_ssh "$LAB" "sudo -n install -D -m ${3:-644} /dev/stdin $2" <"$1"
}

# certificate NAME ADDRESS: $TMP/tls/NAME as an agent wants it.
certificate() {
	local dir=$TMP/tls/$1
	mkdir -p "$dir"
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$dir/host-key.pem" \
		-out "$dir/request.pem" 2>/dev/null
	openssl x509 -req -in "$dir/request.pem" -CA "$TMP/tls/ca.pem" -CAkey "$TMP/tls/ca.key" -CAcreateserial -days 2 \
		-extfile <(echo "subjectAltName=IP:$2"; echo "extendedKeyUsage=serverAuth,clientAuth") -out "$dir/host.pem" 2>/dev/null
	cp "$TMP/tls/ca.pem" "$dir/ca.pem"
}

# consul_config NAME ADDRESS SERVER
consul_config() {
	cat <<-END
		{"node_name": "$1", "datacenter": "lab", "server": $3, $([ "$3" = false ] || echo '"bootstrap_expect": 1,')
		 "data_dir": "/var/lib/consul", "bind_addr": "$2", "client_addr": "127.0.0.1", "retry_join": ["$H1"],
		 "retry_interval": "1s", "leave_on_terminate": false, "skip_leave_on_interrupt": true, "disable_update_check": true,
		 "performance": {"raft_multiplier": 1}}
	END
}

agent_options() {
	echo "TEPUY_AGENT_OPTIONS=--name $1 --address $2 --tls-dir /etc/tepuy/tls --log-level debug ${3:-}"
}

h1_begin() {
	local container file
	container=$(lab_container "$LAB" 1)
	certificate h1 "$H1"
	docker cp "$TEPUY" "$container:/usr/bin/tepuy" >/dev/null
	docker cp "$root/packaging/tepuy-agent.service" "$container:/etc/systemd/system/" >/dev/null
	docker cp "$root/recipes" "$container:/root/recipes" >/dev/null
	docker exec "$container" mkdir -p /etc/tepuy
	docker cp "$TMP/tls/h1" "$container:/etc/tepuy/tls" >/dev/null
	docker exec "$container" chown -R root: /etc/tepuy/tls
	consul_config h1 "$H1" true >"$TMP/consul-h1.json"
	agent_options h1 "$H1" "--runtime docker" >"$TMP/agent-h1"
	docker cp "$TMP/consul-h1.json" "$container:/etc/consul.d/lab.json" >/dev/null
	docker cp "$TMP/agent-h1" "$container:/etc/default/tepuy-agent" >/dev/null
	lab_store "$container"
	docker exec "$container" sh -c 'chown root:consul /etc/consul.d/lab.json; chmod 640 /etc/consul.d/lab.json
		systemctl enable --now docker consul tepuy-agent' >/dev/null 2>&1
	docker exec "$container" apt-get update -qq >/dev/null 2>&1 # images are made of what its mirror has
}

# Images that were made before: each base and recipe is built once on a computer. xen_keep_store takes them out again.
lab_store() {
	[ ! -e "$TEPUY_TEST_STORE-machines.tar" ] || docker exec -i "$1" tar -C /var/lib/tepuy -xf - <"$TEPUY_TEST_STORE-machines.tar"
}

xen_keep_store() {
	mkdir -p "$(dirname "$TEPUY_TEST_STORE")"
	on_h1 tar -C /var/lib/tepuy -cf - store >"$TMP/store.tar" && mv "$TMP/store.tar" "$TEPUY_TEST_STORE-machines.tar"
}

xen1_begin() {
	local file
	certificate xen1 "$XEN"
	for file in ca.pem host.pem host-key.pem; do xen_put "$TMP/tls/xen1/$file" "/etc/tepuy/tls/$file" 600; done
	xen_put "$TEPUY" /usr/bin/tepuy 755
	xen_put "$root/packaging/tepuy-agent.service" /etc/systemd/system/tepuy-agent.service
	consul_config xen1 "$XEN" false >"$TMP/consul-xen1.json"
	agent_options xen1 "$XEN" "--runtime xen" >"$TMP/agent-xen1"
	xen_put "$TMP/consul-xen1.json" /etc/consul.d/lab.json
	xen_put "$TMP/agent-xen1" /etc/default/tepuy-agent
	xen_configuration >"$TMP/xen.json"
	xen_put "$TMP/xen.json" /etc/tepuy/xen.json
	xen_ssh "$LAB" 'sudo -n sh -c "groupadd -f -r tepuy; chown root:consul /etc/consul.d/lab.json; systemctl daemon-reload
		systemctl enable --now consul tepuy-agent"' >/dev/null 2>&1
}

# The emulator's own kernel boots guests too: it has what they need in its initrd.
xen_configuration() {
	local kernel initrd dns
	kernel=$(on_xen sh -c 'ls /boot/vmlinuz-* | tail -n 1') initrd=$(on_xen sh -c 'ls /boot/initrd.img-* | tail -n 1')
	dns=$(awk '/^nameserver/ {print $2; exit}' /etc/resolv.conf)
	printf '{"bridge": "xenbr0", "addresses": "%s", "gateway": "%s.1", "dns": ["%s"], "kernel": "%s", "initrd": "%s", "type": "pv", "start": "15m"}\n' \
		"$(xen_range "$LAB")" "$(cat "$(lab_dir "$LAB")/subnet")" "$dns" "$kernel" "$initrd"
}

xen_lab_ready() {
	[ "$(on_h1 curl -fsS --unix-socket /run/tepuy/agent.sock http://x/v1/hosts | jq '[.hosts[] | select(.alive)] | length')" = 2 ] &&
		[ -n "$(on_h1 consul kv get tepuy/leader)" ]
}

# --- what is there ---

# up_h1 FILE: `up` of a document of this machine, on h1.
up_h1() {
	docker cp "$1" "$(lab_container "$LAB" 1):/root/service.yaml" >/dev/null
	on_h1 tepuy up /root/service.yaml --recipes /root/recipes --yes
}

status_json() {
	on_h1 tepuy status --json "$SERVICE"
}

# node_field NODE FIELD: of its present instance.
node_field() {
	status_json | jq -r --arg node "$1" "[.services[0].nodes[] | select(.node == \$node)] | last | .$2"
}

# domains: names of the guests that run, sorted.
domains() {
	on_xen xl list | awk 'NR > 1 && $1 != "Domain-0" {print $1}' | sort
}

# guest_keys: `ADDRESS INSTANCE`, sorted.
guest_keys() {
	local key
	for key in $(on_h1 consul kv get -keys tepuy/guest/); do
		echo "${key#tepuy/guest/} $(on_h1 consul kv get "$key" | jq -r .instance)"
	done | sort
}

# no_failures NAME: of the load that was stopped; a case of its own.
no_failures() {
	case_begin "$1"
	if [ "$failures" = 0 ] && [ "$requests" -gt 100 ]; then
		ok
	else
		not_ok "$failures of $requests requests failed"
		sed 's/^/      /' "$TMP/$load_name.wrk"
	fi
}
