#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# needs: docker
# lane: built
# timeout: 1500
# Three hosts that give each other what they have: agents with stores, Docker, Consul agents, addresses and certificates
# of their own, all on this machine. Two of them have no apt mirror. A link that is cut, a host that gives wrong bytes, clients
# without a right certificate, one image that all need at once, a builder that is killed, a certificate that is renewed.
# shellcheck disable=SC2119,SC2317 # lib.sh calls what it is given
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/lib-service.sh
. "$(dirname "$0")/lib-service.sh"

SERVICE=tt-peers-$$
suite=bookworm
declare -A address=([a]=127.0.0.2 [b]=127.0.0.3 [c]=127.0.0.4) http_port peer_port agent_pid docker_pid bridges
declare -A bridge_network=([a]=198.18.81.1/28 [b]=198.18.81.17/28 [c]=198.18.81.33/28)

# --- certificates ---

# authority NAME
authority() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$1" \
		-keyout "$TMP/tls/$1.key" -out "$TMP/tls/$1.pem" 2>/dev/null
}

# certificate AUTHORITY NAME: $TMP/tls/NAME as an agent wants it. Anew it replaces the one before.
certificate() {
	local dir=$TMP/tls/$2
	mkdir -p "$dir"
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$2" -keyout "$dir/new-key.pem" \
		-out "$dir/request.pem" 2>/dev/null
	openssl x509 -req -in "$dir/request.pem" -CA "$TMP/tls/$1.pem" -CAkey "$TMP/tls/$1.key" -CAcreateserial -days 2 \
		-extfile <(echo "subjectAltName=IP:${address[$2]:-127.0.0.1}"; echo "extendedKeyUsage=serverAuth,clientAuth") \
		-out "$dir/new.pem" 2>/dev/null
	cp "$TMP/tls/$1.pem" "$dir/ca.pem"
	mv "$dir/new-key.pem" "$dir/host-key.pem"
	mv "$dir/new.pem" "$dir/host.pem"
}

# --- hosts ---

# start_docker HOST: an engine with a bridge of its own. It leaves the machine's routes and packet filter alone, so nodes
# have no way out, which none needs.
start_docker() {
	local bridge=tlp$1$(($$ % 100000))
	bridges[$1]=$bridge
	ip link add "$bridge" type bridge
	ip address add "${bridge_network[$1]}" dev "$bridge"
	ip link set "$bridge" up
	start_process "docker-$1" dockerd --host "unix://$TMP/docker-$1.sock" --data-root "$TMP/docker-$1" \
		--exec-root "$TMP/docker-run-$1" --pidfile "$TMP/docker-$1.pid" --bridge "$bridge" --iptables=false \
		--ip6tables=false --ip-forward=false --ip-masq=false --userland-proxy=false
	docker_pid[$1]=$pid
	wait_for 180 docker -H "unix://$TMP/docker-$1.sock" version
}

# join_consul HOST: a client agent of the script's Consul.
join_consul() {
	local lan
	free_port
	http_port[$1]=$PORT
	free_port
	lan=$PORT
	mkdir -p "$TMP/consul-$1"
	cat >"$TMP/consul-$1.json" <<-END
		{"node_name": "$1", "datacenter": "e2e", "data_dir": "$TMP/consul-$1", "bind_addr": "${address[$1]}", "client_addr": "127.0.0.1",
		 "retry_join": ["127.0.0.1:$(jq .ports.serf_lan "$TMP/consul.json")"], "leave_on_terminate": false,
		 "skip_leave_on_interrupt": true, "disable_update_check": true,
		 "ports": {"http": ${http_port[$1]}, "serf_lan": $lan, "dns": -1, "grpc": -1}}
	END
	start_process "consul-$1" consul agent -config-file="$TMP/consul-$1.json"
	wait_for 120 curl -fsS "http://127.0.0.1:${http_port[$1]}/v1/kv/e2e/ready"
}

# run_host HOST [MIRROR]: its agent. Only with MIRROR it has this machine's apt sources; else nothing answers there.
run_host() {
	local without=()
	[ $# -gt 1 ] || without=(unshare --mount --propagation private sh -c
		"mount --bind '$TMP/no-apt' /etc/apt && exec \"\$@\"" sh)
	start_process "agent-$1" "${without[@]}" "$TEPUY" agent --socket "$TMP/run-$1/agent.sock" --state-dir "$TMP/state-$1" \
		--consul "http://127.0.0.1:${http_port[$1]}" --address "${address[$1]}" --name "$1" --runtime-endpoint "$TMP/docker-$1.sock" --tls-dir "$TMP/tls/$1" \
		--peer-port "${peer_port[$1]}" --log-level debug
	agent_pid[$1]=$pid
	wait_for 120 test -S "$TMP/run-$1/agent.sock"
}

# begin_host HOST [MIRROR]
begin_host() {
	start_docker "$1"
	join_consul "$1"
	free_port
	peer_port[$1]=$PORT
	certificate cluster "$1"
	mkdir -p "$TMP/state-$1" "$TMP/run-$1/secrets"
	mount -t tmpfs -o mode=0755 tmpfs "$TMP/run-$1/secrets" # here, so that Docker sees it
	run_host "$1" ${2:+mirror}
}

on() {
	local host=$1
	shift
	TEPUY_SOCKET=$TMP/run-$host/agent.sock tepuy "$@"
}

# up PART COMPONENT-LINES…: the service $SERVICE-PART of one component, asked of host a, or of $via.
up() {
	local part=$1
	shift
	printf '%s\n' "service: $SERVICE-$part" components: '  web:' "    recipe: ${recipe:-peers}" "${@/#/    }" \
		>"$TMP/$part.yaml"
	on "${via:-a}" up --yes --recipes "$TMP/recipes" "$TMP/$part.yaml"
}

# said HOST PATTERN: in its agent's log, how often.
said() {
	grep -Ec "$2" "$TMP/agent-$1.log"
}

image_ids() {
	jq -r .id "$TMP/state-$1"/store/images/*.json | sort
}

# builder: the host that makes an image now, or nothing.
builder() {
	consul kv get -recurse tepuy/image/ 2>/dev/null | sed -n 's|^tepuy/image/.*/builder:||p'
}

# have HOST: how many things Consul says that it has.
have() {
	consul kv get -recurse tepuy/image/ | grep -c "/have/$1:"
}

# node_runs PART HOST
node_runs() {
	on a status --json "$SERVICE-$1" | jq -e --arg host "$2" \
		'[.services[0].nodes[] | select(.host == $host and .state == "running")] | length > 0' >/dev/null
}

# where HOST URL: as the others see it from now on; its agent says it again only when Consul lost it.
where() {
	consul kv get "tepuy/host/$1/info" | jq -c --arg peer "$2" '.peer = $peer' | consul kv put "tepuy/host/$1/info" - >/dev/null
}

cleanup() {
	local host id
	for host in "${!docker_pid[@]}"; do
		end_process "${agent_pid[$host]:-0}"
		for id in $(docker -H "unix://$TMP/docker-$host.sock" ps --all --quiet); do
			docker -H "unix://$TMP/docker-$host.sock" rm --force --volumes "$id" >/dev/null
		done
		end_process "${docker_pid[$host]}" TERM 30
		umount "$TMP/run-$host/secrets"
	done
	for host in "${!bridges[@]}"; do
		ip link del "${bridges[$host]}"
	done
}

mkdir -p "$TMP/tls" "$TMP/no-apt/sources.list.d" "$TMP/recipes/peers/files" "$TMP/recipes/plain/files"
echo "deb [trusted=yes] http://127.0.0.1:9/nothing $suite main" >"$TMP/no-apt/sources.list"
cp -r /etc/apt/keyrings /etc/apt/trusted.gpg* "$TMP/no-apt/" 2>/dev/null
printf '#!/bin/sh\ntrap "exit 0" TERM\nwhile :; do sleep 1000 & wait $!; done\n' >"$TMP/recipes/peers/files/start"
chmod 755 "$TMP/recipes/peers/files/start"
cp "$TMP/recipes/peers/files/start" "$TMP/recipes/plain/files/start"
cat >"$TMP/recipes/peers/recipe.yaml" <<-END
	recipe: peers
	version: "1.0"
	summary: {en: Something with a package, es: Algo con un paquete}
	base: {suite: $suite}
	packages: [busybox-static]
	files: [{from: files, to: /srv/e2e}]
	start: [/srv/e2e/start]
	stop: {signal: TERM, timeout: 5s}
END
# slow_recipe NAME SECONDS: needs no mirror, so that any host can make it.
slow_recipe() {
	cp -r "$TMP/recipes/plain" "$TMP/recipes/$1"
	sed -e "s/^recipe: .*/recipe: $1/" -e '/^packages:/d' "$TMP/recipes/peers/recipe.yaml" >"$TMP/recipes/$1/recipe.yaml"
	echo "build: [[sleep, \"$2\"]]" >>"$TMP/recipes/$1/recipe.yaml"
}
slow_recipe together 4
slow_recipe orphan 20
rm -r "$TMP/recipes/plain"

authority cluster
authority stranger
at_exit cleanup
start_consul
begin_host a mirror
begin_host b

# --- one host makes it, another one without a mirror gets it over a link that is cut ---

check "host a makes the image" up one 'place: {host: a}'
equal "and says so" "1 1" "$(said a 'this host makes the base') $(said a 'this host makes the image')"
base=$(jq -r .layer "$TMP/state-a/store/bases/"*.json)
half=$(($(stat -c %s "$TMP/state-a/store/layers/$base.tar") / 2))

free_port
cut_port=$PORT
start_process cut python3 "$(dirname "$0")/cut-proxy.py" "$cut_port" "${address[a]}:${peer_port[a]}" "$half"
wait_for 60 port_open "$cut_port"
where a "https://${address[a]}:$cut_port"
check "host b gets it, without a mirror" up two 'place: {host: b}'
check "and runs it" node_runs two b
equal "it made nothing" "0 0" "$(said b 'this host makes the base') $(said b 'this host makes the image')"
equal "the images are the same" "$(image_ids a)" "$(image_ids b)"
check "the link was cut in the middle" grep -q "^cut after $half bytes" "$TMP/cut.log"
case_begin "what had come was not fetched again"
asked=$(grep -Eo "b takes the layer ${base:0:12} from byte [0-9]+ on, [0-9]+ bytes" "$TMP/agent-a.log")
read -r first second < <(awk '{ printf "%s ", $(NF - 1) }' <<<"$asked")
if [ "$(wc -l <<<"$asked")" = 2 ] && [ "$second" -lt "$((first - half / 2))" ]; then ok; else not_ok "$asked"; fi
while read -r line; do echo "      $line"; done <<<"$asked"
both_have() {
	[ "$(have a) $(have b)" = "3 3" ]
}
wait_for 60 both_have
equal "both say in Consul that they have base, bundle and image" "3 3" "$(have a) $(have b)"
nobody_makes() {
	[ -z "$(builder)" ]
}
wait_for 60 nobody_makes
equal "nobody makes anything any more" "" "$(builder)"

# --- a host that gives wrong bytes ---

# b lies, with a right certificate; a is away until that was noticed, so that it does not matter who is asked first.
for layer in "$TMP/state-b/store/layers/"*.tar; do
	printf '\377tepuy' | dd of="$layer" bs=1 seek=4096 conv=notrunc status=none
done
free_port
away=$PORT
where a "https://${address[a]}:$away"
begin_host c
up three 'place: {host: c}' >"$TMP/three.out" 2>&1 &
three=$!
check "host c refuses the wrong bytes of host b" wait_for 180 grep -q 'b gave wrong bytes' "$TMP/agent-c.log"
start_process relay python3 "$(dirname "$0")/cut-proxy.py" "$away" "${address[a]}:${peer_port[a]}"
case_begin "and takes those of host a"
if wait "$three" && node_runs three c && [ "$(image_ids c)" = "$(image_ids a)" ]; then
	ok
else
	not_ok "it does not run there"
	sed 's/^/      /' "$TMP/three.out"
	tail -n 5 "$TMP/agent-c.log"
fi
equal "nothing wrong is in its store" "" "$(for file in "$TMP/state-c/store/layers/"*.tar; do
	[ "$(sha256sum <"$file" | cut -d' ' -f1)" = "$(basename "$file" .tar)" ] || echo "$file"
done)"

# --- who may ask ---

# ask CERTIFICATE-DIRECTORY PATH [CURL-ARGUMENT…]: prints the status.
ask() {
	local dir=$1 path=$2
	shift 2
	curl -sS --max-time 60 -o "$TMP/answer" -w '%{http_code}\n' --cacert "$TMP/tls/cluster.pem" \
		--cert "$dir/host.pem" --key "$dir/host-key.pem" "$@" "https://${address[a]}:${peer_port[a]}$path"
}

certificate stranger other
equal "a host of the cluster is answered" 200 "$(ask "$TMP/tls/b" "/v1/layer/$base" --head)"
equal "a part is a part" 206 "$(ask "$TMP/tls/b" "/v1/layer/$base" --range 10-19)"
equal "of the right size" 10 "$(stat -c %s "$TMP/answer")"
equal "behind the end is nothing" 416 "$(ask "$TMP/tls/b" "/v1/layer/$base" --range 99999999999-)"
equal "what is not there is not there" 404 "$(ask "$TMP/tls/b" "/v1/layer/${base//[0-9]/0}")"
equal "a path out of the store is refused" 400 "$(ask "$TMP/tls/b" /v1/layer/..%2f..%2fhost.json --path-as-is)"
equal "nothing is listed" 404 "$(ask "$TMP/tls/b" /v1/layer)"
equal "nor is anything else of the agent served" 404 "$(ask "$TMP/tls/b" /v1/services)"
equal "nothing is taken" 405 "$(ask "$TMP/tls/b" "/v1/layer/$base" -X DELETE)"
refuse "a client with a certificate of another authority" ask "$TMP/tls/other" "/v1/layer/$base" --head
refuse "a client without one" curl -sS --max-time 60 --cacert "$TMP/tls/cluster.pem" \
	"https://${address[a]}:${peer_port[a]}/v1/layer/$base"
refuse "a client without TLS" curl -fsS --max-time 60 "http://${address[a]}:${peer_port[a]}/v1/layer/$base"

# --- a certificate that is renewed ---

serial() {
	openssl s_client -connect "${address[a]}:${peer_port[a]}" -cert "$TMP/tls/b/host.pem" -key "$TMP/tls/b/host-key.pem" \
		</dev/null 2>/dev/null | openssl x509 -noout -serial
}

before=$(serial)
nodes=$(docker -H "unix://$TMP/docker-a.sock" ps --no-trunc --quiet)
certificate cluster a
renewed=$(openssl x509 -noout -serial -in "$TMP/tls/a/host.pem")
equal "a renewed certificate counts at once" "$renewed" "$(serial)"
refuse "it is another one" [ "$before" = "$renewed" ]
equal "no node was touched" "$nodes" "$(docker -H "unix://$TMP/docker-a.sock" ps --no-trunc --quiet)"
where a "https://${address[a]}:${peer_port[a]}"

# --- all of them need the same at once ---

makers() {
	echo $(($(said a "$1") + $(said b "$1") + $(said c "$1")))
}

before=$(makers 'this host makes the image')
recipe=together check "three hosts need an image that nobody has" up all 'nodes: 3'
equal "one of them made it" "$((before + 1))" "$(makers 'this host makes the image')"
equal "the others have the same" "$(image_ids a)" "$(image_ids c)"
check "all three run it" eval 'node_runs all a && node_runs all b && node_runs all c'

# The two without a mirror cannot make this one; they must leave it to the third. Host b has the recipe before the others, and
# so begins; another one when others kept this machine busy and a was quicker.
begun=
for try in 1 2 3 4 5; do
	before=$(makers 'this host makes the image')
	cp -r "$TMP/recipes/peers" "$TMP/recipes/distant-$try"
	sed -i "s/^recipe: .*/recipe: distant-$try/" "$TMP/recipes/distant-$try/recipe.yaml"
	via=b recipe=distant-$try check "three hosts need one that only one of them can make" up "far-$try" 'nodes: 3' 'update: {deadline: 600s}'
	begun=$(($(makers 'this host makes the image') - before))
	[ "$begun" -lt 2 ] || break
done
check "one of those that cannot had begun" [ "$begun" -ge 2 ]
equal "they have the same" "$(image_ids b)" "$(image_ids c)"

# --- whoever makes it is killed ---

recipe=orphan up last 'nodes: 3' 'update: {deadline: 600s}' >"$TMP/last.out" 2>&1 &
last=$!
being_made() {
	builder=$(builder)
	[ -n "$builder" ]
}
taken_over() {
	local now
	now=$(builder)
	[ -n "$now" ] && [ "$now" != "$builder" ]
}
check "an image is being made" wait_for 180 being_made
end_process "${agent_pid[$builder]}" KILL
killed=$(now_ms)
check "another host takes over when its maker is killed" wait_for 180 taken_over
printf '      after %s ms\n' $(($(now_ms) - killed))
if [ "$builder" = a ]; then run_host a mirror; else run_host "$builder"; fi
wait "$last" # it may have talked to the one that was killed
for host in a b c; do
	check "and host $host runs it in the end" wait_for 180 node_runs last "$host"
done

finish
