#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# lane: built
# needs: docker
# timeout: 1200
# Machines' images that a host of machines does not make itself: an agent with Docker takes its wish on, makes base and
# image, and gives them; where none does, or it is killed in the middle, the host makes them in the end. The host of
# machines is wish-tool, which is the agent's code without a hypervisor.
# shellcheck disable=SC2119,SC2317 # lib.sh calls what it is given
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

build=${1:-${BUILD:-$(dirname "$0")/../../build}}
TEPUY=${TEPUY:-$build/src/cli/tepuy}
image_tool=$build/tests/e2e/image-tool wish_tool=$build/tests/e2e/wish-tool
# shellcheck source=/dev/null
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")

# certificate NAME: $TMP/tls/NAME as an agent wants it.
certificate() {
	local dir=$TMP/tls/$1
	mkdir -p "$dir"
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$dir/host-key.pem" \
		-out "$dir/request.pem" 2>/dev/null
	openssl x509 -req -in "$dir/request.pem" -CA "$TMP/tls/ca.pem" -CAkey "$TMP/tls/ca.key" -CAcreateserial -days 2 \
		-extfile <(echo subjectAltName=IP:127.0.0.1; echo extendedKeyUsage=serverAuth,clientAuth) -out "$dir/host.pem" \
		2>/dev/null
	cp "$TMP/tls/ca.pem" "$dir/ca.pem"
}

# run_agent: that of the host with Docker, which is called e2e as the Consul that it uses.
run_agent() {
	start_process agent "$TEPUY" agent --socket "$TMP/run/agent.sock" --state-dir "$TMP/docks" --consul "$CONSUL_URL" \
		--address 127.0.0.1 --name e2e --tls-dir "$TMP/tls/docks" --peer-port "$peer_port" --log-level debug
	agent_pid=$pid
	wait_for 60 test -S "$TMP/run/agent.sock" && wait_for 60 consul kv get tepuy/host/e2e/info
}

# recipe NAME BUILD-STEP: in the store of docks. Prints its sha256.
recipe() {
	mkdir -p "$TMP/recipes/$1"
	cat >"$TMP/recipes/$1/recipe.yaml" <<-END
		recipe: $1
		version: "1.0"
		summary: {en: For machines, es: Para máquinas}
		base: {suite: $suite}
		build: [$2]
		start: [sleep, infinity]
	END
	"$image_tool" "$TMP/docks/store" bundle "$TMP/recipes/$1"
}

# want HOST BUNDLE: that host of machines has the image, by way of Consul. What it did is in $TMP/HOST-want.log.
want() {
	mkdir -p "$TMP/$1"
	"$wish_tool" "$TMP/$1" "$CONSUL_URL" "$1" "$TMP/tls/docks" "$2" >"$TMP/$1-want.out" 2>"$TMP/$1-want.log" </dev/null || {
		tail -n 5 "$TMP/$1-want.log"
		return 1
	}
}

# did HOST PATTERN: how often its log says so.
did() {
	cat "$TMP/$1-want.log" "$TMP/$1.log" 2>/dev/null | grep -Ec "$2"
}

wishes() {
	consul kv get -recurse tepuy/wish/ 2>/dev/null
}

ended() {
	! pgrep -f "^sleep $long"
}

told() {
	consul kv get -keys "tepuy/image/bundle-$1/have/" | grep -q e2e
}

cleanup() {
	[ ! -d "$TMP/run/secrets" ] || umount "$TMP/run/secrets" 2>/dev/null
	true
}

mkdir -p "$TMP/tls" "$TMP/run"
at_exit cleanup
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=cluster -keyout "$TMP/tls/ca.key" \
	-out "$TMP/tls/ca.pem" 2>/dev/null
certificate docks
start_consul
free_port
peer_port=$PORT
long=$((1000000 + $$)) # seconds, and a number that is this script's
first=$(recipe first '[touch, /srv/first]')
slow=$(recipe slow "[sleep, \"$long\"]")
alone=$(recipe alone '[touch, /srv/alone]')
check "a host with Docker is there" run_agent
ln -s agent.log "$TMP/docks.log"
for bundle in "$first" "$slow" "$alone"; do
	wait_for 60 told "$bundle"
done

check "a host of machines gets an image" want xen1 "$first"
check "that boots" grep -qx machine "$TMP/xen1-want.out"
equal "the host with Docker took it on and made base and image" "1 1 1" \
	"$(did docks 'host xen1 wishes for an image') $(did docks 'makes the base') $(did docks 'makes the image')"
equal "the host of machines made nothing" 0 "$(did xen1 'this host makes')"
check "they have the same" grep -qx "id $(jq -r .id "$TMP"/docks/store/images/*.json)" "$TMP/xen1-want.out"
equal "the wish is gone" "" "$(wishes)"
check "what is there is not wished for again" want xen1 "$first"
check "nor what another host has" want xen2 "$first"
equal "so there was one wish" 1 "$(did docks 'wishes for an image')"

# --- the taker is killed ---

want xen1 "$slow" &
waiting=$!
lib_pids+=("$waiting")
check "a longer one is begun by the host with Docker" wait_for 300 pgrep -f "^sleep $long"
check "which the host of machines is told" wait_for 60 grep -q 'waiting for e2e' "$TMP/xen1-want.log"
end_process "$agent_pid" KILL
check "killed, its work ends with it" wait_for 60 ended
check "and the host of machines begins itself" wait_for 180 grep -q 'no other host makes the image' "$TMP/xen1-want.log"
check "in its own sandbox" wait_for 300 pgrep -f "^sleep $long"
step=$(pgrep -f "^sleep $long" | head -n 1)
kill "$step"
wait "$waiting"
equal "its error is its own" 1 "$(did xen1 'error EIO: Build step 1 of the recipe slow')"

# --- nobody is there ---

# The bundle, as xen1 would have it from the operator.
"$image_tool" "$TMP/xen1/store" bundle "$TMP/recipes/alone" >/dev/null
began=$(now_ms)
check "without anybody else it is made there" want xen1 "$alone"
check "after a while of waiting" [ $(($(now_ms) - began)) -ge 20000 ]
equal "by itself" 1 "$(did xen1 'this host makes the image')"
equal "no wish is left" "" "$(wishes)"

finish
