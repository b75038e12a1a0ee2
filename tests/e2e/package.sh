#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# needs: docker
# lane: built
# timeout: 900
# scripts/package on a bare Debian 12: apt installs it with what it depends on, it has all its parts and starts nothing;
# an upgrade restarts the agent that runs; remove and purge take what is tepuy's and leave the data of services.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/lab/hosts.sh
. "$(dirname "$0")/../lab/hosts.sh"

root=$(cd "$(dirname "$0")/../.." && pwd)
lab=tt-package-$$
at_exit lab_down "$lab"

on=1
inside() {
	lab_root "$lab" "$on" "$@"
}

# build NAME [ARGUMENT…]: its path in $TMP/NAME.path
build() {
	local name=$1

	shift
	"$root/scripts/package" --to "$TMP/$name" "$@" >"$TMP/$name.out" || { cat "$TMP/$name.out"; return 1; }
	tail -n 1 "$TMP/$name.out" >"$TMP/$name.path"
}

deb() {
	cat "$TMP/$1.path"
}

give() { # NAME: to the host, as /root/NAME.deb
	docker cp -q "$(deb "$1")" "$(lab_container "$lab" "$on"):/root/$1.deb"
}

apt() {
	inside env DEBIAN_FRONTEND=noninteractive apt-get -q "$@"
}

installed_version() {
	# shellcheck disable=SC2016 # dpkg's own variable
	inside dpkg-query -W -f '${Version}' tepuy
}

has_files() {
	local file

	for file; do
		inside test -s "$file" || { echo "there is no $file"; return 1; }
	done
}

is_stripped() {
	! readelf --wide --sections "$TMP/tree/usr/bin/tepuy" | grep -qE '\.(symtab|debug_info)'
}

is_hardened() {
	readelf --wide --dynamic "$TMP/tree/usr/bin/tepuy" | grep -qE 'BIND_NOW|FLAGS_1.*NOW'
}

depends_on() {
	local name

	for name; do
		dpkg-deb -f "$(deb first)" Depends | tr , '\n' | sed 's/^ *//' | grep -qE "^$name( |\$)" ||
			{ echo "Depends lacks $name"; return 1; }
	done
}

recommends_nothing_else() {
	[ "$(dpkg-deb -f "$(deb first)" Recommends)" = 'consul, docker.io' ]
}

speaks_spanish() {
	inside env LC_ALL=C.UTF-8 LANGUAGE=es tepuy up --help | grep -q 'servicio'
}

names_this_machine() {
	dpkg-deb --fsys-tarfile "$(deb first)" | grep -aqF "$root"
}

give_both() {
	give first && give later
}

restarted() {
	[ "$(main_pid)" != 0 ] && [ "$(main_pid)" != "$pid" ]
}

agent_program() {
	# shellcheck disable=SC2016 # for the host
	inside sh -c 'readlink "/proc/$(systemctl show -P MainPID tepuy-agent)/exe"'
}

main_pid() {
	inside systemctl show -P MainPID tepuy-agent
}

check "the package is built" build first
check "built again it is the same, to the byte" build again
equal "its hash" "$(sha256sum <"$(deb first)")" "$(sha256sum <"$(deb again)")"
check "a later version is built" build later --version 99.0
refuse "what is no version is refused" build wrong --version 'a b'
dpkg-deb -x "$(deb first)" "$TMP/tree"
check "the program is stripped" is_stripped
check "the program is hardened" is_hardened
check "it depends on libraries of the ELF and on the programs that the agent runs" \
	depends_on libc6 libcurl4 libgnutls30 libyaml-0-2 libarchive13 libjansson4 libmicrohttpd12 libsystemd0 \
	ca-certificates iproute2 mmdebstrap nftables passwd procps
check "it recommends Docker and Consul" recommends_nothing_else
refuse "nothing in it names the directory it was built in" names_this_machine

check "a bare Debian 12 starts" lab_up "$lab" auto 1 bare
check "the host gets the package" give first
check "its apt lists are fetched" apt update
check "apt installs it with its dependencies" apt install -y --no-install-recommends /root/first.deb
equal "nothing else of ours is there" '' "$(inside sh -c 'command -v docker consul')"
check "the program runs" inside tepuy --version
check "it speaks Spanish" speaks_spanish
check "man pages, completions, messages, recipes, unit, licence are there" has_files \
	/usr/share/man/man1/tepuy.1.gz /usr/share/man/man5/tepuy-service.5.gz /usr/share/man/man5/tepuy-recipe.5.gz \
	/usr/share/man/man5/tepuy-hosts.5.gz /usr/share/man/man8/tepuy-agent.8.gz \
	/usr/share/bash-completion/completions/tepuy /usr/share/zsh/vendor-completions/_tepuy \
	/usr/share/locale/es/LC_MESSAGES/tepuy.mo /lib/systemd/system/tepuy-agent.service \
	/usr/share/tepuy/recipes/haproxy/recipe.yaml /usr/share/doc/tepuy/copyright /usr/share/doc/tepuy/changelog.gz
check "recipes are found where they were put" inside tepuy recipe show haproxy
check "their scripts can be run" inside test -x /usr/share/tepuy/recipes/haproxy/files/start
check "the group tepuy exists" inside getent group tepuy
equal "the agent is not enabled" disabled "$(inside systemctl is-enabled tepuy-agent)"
equal "and does not run" inactive "$(inside systemctl is-active tepuy-agent)"
check "dpkg finds all files as they were" inside dpkg --verify tepuy

check "apt purges it from a machine that was never made a host" apt purge -y tepuy
lab_down "$lab"

# Where the agent can run: it wants a runtime; who it is it asks Consul, which has to know it by this name.
start_agent() {
	inside sh -c 'echo "TEPUY_AGENT_OPTIONS=--name=h1 --address=$1" >/etc/default/tepuy-agent' sh "$(lab_address "$lab" 1)"
	inside systemctl start docker && inside systemctl start tepuy-agent
}

agent_state() {
	echo "$(inside systemctl show -P ActiveState tepuy-agent) $(inside systemctl show -P StatusText tepuy-agent)"
}

# It may wait for Docker first, when that is slow to answer.
agent_is() {
	[ "$(agent_state)" = "$1" ]
}

agent_gets() {
	wait_for 60 agent_is "$1" || { agent_state; return 1; }
}

answers_why() {
	! inside tepuy status >"$TMP/status.out" 2>&1 && grep -q 'waits for Consul' "$TMP/status.out" || { cat "$TMP/status.out"; return 1; }
	inside tepuy version 2>&1 | grep -q 'waits for Consul' || { inside tepuy version; return 1; }
	[ "$(inside curl -sS -o /dev/null -w '%{http_code}' --unix-socket /run/tepuy/agent.sock http://x/v1/services)" = 503 ]
}

doctor_says() {
	inside tepuy doctor --json >"$TMP/doctor.json"
	jq -e '.hosts[0].findings[] | select(.check == "agent") | .level == "failed" and (.text | contains("waits for Consul"))' "$TMP/doctor.json"
}

start_consul_there() {
	docker exec -i "$(lab_container "$lab" "$on")" sh -c 'cat >/etc/consul.d/test.json' <<-END
		{"node_name": "h1", "server": true, "bootstrap_expect": 1, "data_dir": "/var/lib/consul",
		 "bind_addr": "$(lab_address "$lab" 1)", "client_addr": "127.0.0.1", "performance": {"raft_multiplier": 1}, "disable_update_check": true}
	END
	inside sh -c 'systemctl reset-failed consul; systemctl restart consul' # it may be between two tries of its own
}

at_work() {
	[ "$(inside tepuy version --json | jq -r .agent.host)" = h1 ] && inside tepuy status
}

# Restarted without Consul, it is what Consul said the last time.
starts_as_before() {
	# Masked, as the agent's unit would start it.
	inside systemctl mask --runtime --now consul && inside systemctl restart tepuy-agent &&
		agent_gets "active At work as h1 ($(lab_address "$lab" 1))."
}

check "a machine with Docker starts" lab_up "$lab" auto 1 ready
check "it gets the packages" give_both
check "apt installs it" apt install -y /root/first.deb
check "the agent is started, also before there is a Consul" start_agent
check "it runs, and says what it waits for" agent_gets "active Waiting for Consul, which says this host's name and address."
check "its socket is there" inside test -S /run/tepuy/agent.sock
check "who asks it is told why it does nothing" answers_why
check "and so says doctor" doctor_says
pid=$(main_pid)
inside sh -c 'mkdir -p /var/lib/tepuy/volumes/portal/db/1/data /var/lib/tepuy/store /etc/tepuy/tls &&
	echo data >/var/lib/tepuy/volumes/portal/db/1/data/rows && echo image >/var/lib/tepuy/store/0 &&
	echo key >/etc/tepuy/tls/host-key.pem'
check "apt upgrades it" apt install -y /root/later.deb
equal "to the later version" 99.0 "$(installed_version)"
check "the agent was restarted" restarted
equal "it runs" active "$(inside systemctl is-active tepuy-agent)"
pid=$(main_pid)
equal "with the new program" /usr/bin/tepuy "$(agent_program)"
check "configuration was left alone" has_files /etc/default/tepuy-agent /etc/tepuy/tls/host-key.pem

check "Consul is started" start_consul_there
check "now the agent begins by itself" wait_for 120 at_work
equal "it is the same process" "$pid" "$(main_pid)"
check "restarted while Consul is away, it knows who it is" starts_as_before

inside systemctl unmask -q --runtime consul
check "apt removes it" apt remove -y tepuy
equal "the agent has ended" '' "$(inside pgrep -x tepuy)"
check "configuration and data stay" has_files /etc/default/tepuy-agent /etc/tepuy/tls/host-key.pem \
	/var/lib/tepuy/volumes/portal/db/1/data/rows
check "it can be installed again" apt install -y /root/first.deb
check "apt purges it" apt purge -y tepuy
equal "configuration, logs and images are gone" '' \
	"$(inside sh -c 'ls -d /etc/tepuy /etc/default/tepuy-agent /var/log/tepuy /var/cache/tepuy /var/lib/tepuy/store 2>/dev/null')"
equal "the data of services is there" data "$(inside cat /var/lib/tepuy/volumes/portal/db/1/data/rows)"
equal "dpkg knows nothing of it any more" '' "$(inside sh -c 'dpkg-query -L tepuy 2>/dev/null')"
finish
