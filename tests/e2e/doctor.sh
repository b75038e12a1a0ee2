#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# needs: docker
# lane: hosts
# timeout: 900
# What `tepuy doctor` says of machines over SSH: of a bare one, of one on which something is wrong, of a host.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/lab/hosts.sh
. "$(dirname "$0")/../lab/hosts.sh"

root=$(cd "$(dirname "$0")/../.." && pwd)
TEPUY=${TEPUY:-${BUILD:-$root/build}/src/cli/tepuy}
lab=tt-doctor-$$
at_exit lab_down "$lab"

on() { # I COMMAND…
	lab_root "$lab" "$@"
}

start_lab() {
	lab_up "$lab" "${SUBNET:-auto}" 1 bare && lab_add "$lab" 2 ready || return
	mkdir -p "$TMP/home/.ssh" && chmod 700 "$TMP/home/.ssh"
	cp "$(lab_dir "$lab")/ssh_config" "$TMP/home/.ssh/config"
	lab_inventory "$lab" 1 >"$TMP/hosts.yaml"
}

# doctor [ARGUMENT…]: its report in $TMP/report, its exit status in $status.
doctor() {
	HOME=$TMP/home "$TEPUY" doctor --inventory "$TMP/hosts.yaml" --json "$@" >"$TMP/report" 2>"$TMP/said"
	status=$?
}

# found HOST CHECK LEVEL [WORDS]: in the last report; the whole finding is shown when it is otherwise.
found() {
	jq -c --arg host "$1" --arg check "$2" '.hosts[] | select(.host == $host) | .findings[] | select(.check == $check)' "$TMP/report"
	jq -e --arg host "$1" --arg check "$2" --arg level "$3" --arg words "${4:-}" '.hosts[] | select(.host == $host) |
		.findings[] | select(.check == $check) | .level == $level and (.text | contains($words))' "$TMP/report"
}

absent() { # HOST CHECK
	! jq -e --arg host "$1" --arg check "$2" '.hosts[] | select(.host == $host) | .findings[] | select(.check == $check)' "$TMP/report"
}

check "a bare machine and one with packages" start_lab
[ "$failed" = 0 ] || exit 1
# What systemd keeps for its own programs while they run is not ours.
traces() {
	on 1 sh -c 'ls -A /tmp /root /var/lib | grep -v ^systemd-private-; ip -br link; mount | grep -F tepuy-doctor'
}
# A machine that has just started still makes some of its directories.
before=
booted() {
	on 1 systemctl is-system-running | grep -qE 'running|degraded' && on 2 systemctl is-system-running | grep -qE 'running|degraded'
}
check "they have started" wait_for 180 booted
nothing_comes_up() {
	before=$(traces)
	sleep 2 # so long nothing comes up
	[ -n "$before" ] && [ "$before" = "$(traces)" ]
}
check "and nothing of theirs comes up any more" wait_for 120 nothing_comes_up

doctor
equal "nothing is wrong with them" 0 "$status"
for what in os architecture sudo clock name names disk-runtime disk-tepuy memory kernel cgroups mirror ports; do
	check "bare: $what is fine" found h1 "$what" ok
done
check "bare: apt does not know of packages yet" found h1 runtime unknown
check "bare: there is no agent" found h1 agent warning
check "bare: there is no cluster to speak of" absent h1 members
check "Docker is there and does not run" found h2 runtime warning "does not run"
equal "it leaves nothing behind" "$before" "$(traces)"

on 1 apt-get update -qq
doctor --hosts h1
check "after apt-get update Docker can be had" found h1 runtime ok "docker.io"
check "and Consul cannot, from these sources" found h1 consul warning

lab_cutoff "$lab" 1
doctor
check "cut off from the world its mirror is away" found h1 mirror failed
check "the other one's is not" found h2 mirror ok
equal "that is a failure" 1 "$status"
lab_heal "$lab"

on 1 sh -c 'echo "192.0.2.9 h1" >/etc/hosts'
doctor --hosts h1
check "a name that leads elsewhere" found h1 name failed 192.0.2.9
on 1 sh -c 'mv /etc/sudoers.d/admin /root/'
doctor --hosts h1
check "no sudo" found h1 sudo failed
check "what only root can see is not known" found h1 kernel unknown
check "the rest is" found h1 os ok
on 1 mv /root/admin /etc/sudoers.d/admin

listens() {
	on 2 sh -c 'ss -Hltn "sport = :8300" | grep -q .'
}
listens_not() {
	! listens
}
docker exec -d "$(lab_container "$lab" 2)" socat TCP-LISTEN:8300,reuseaddr,fork SYSTEM:true
wait_for 60 listens
doctor --hosts h2
check "a port that another holds" found h2 ports failed "8300 by socat"
# shellcheck disable=SC2016 # for the host
on 2 sh -c 'kill $(ss -Hltnp "sport = :8300" | sed -n "s/.*pid=\([0-9]*\).*/\1/p")'
wait_for 60 listens_not

# A host without a cluster, set up by hand.
docker cp -q "$TEPUY" "$(lab_container "$lab" 2):/usr/bin/tepuy"
docker exec -i "$(lab_container "$lab" 2)" sh -c 'cat >/etc/consul.d/test.json' <<-END
	{"server": true, "bootstrap_expect": 1, "data_dir": "/var/lib/consul", "bind_addr": "$(lab_address "$lab" 2)",
	 "client_addr": "127.0.0.1", "performance": {"raft_multiplier": 1}, "disable_update_check": true}
END
sed 's|^ExecStart=.*|ExecStart=/usr/bin/tepuy agent|' "$root/packaging/tepuy-agent.service" |
	docker exec -i "$(lab_container "$lab" 2)" sh -c 'cat >/etc/systemd/system/tepuy-agent.service'
on 2 systemctl start docker consul tepuy-agent
wait_for 120 on 2 sh -c "tepuy version --json | grep -q consul"
wait_for 120 on 2 consul kv get tepuy/schema
doctor --hosts h2
check "host: Docker answers" found h2 runtime ok
check "host: nodes would not outlive it" found h2 live-restore warning
check "host: Consul has a leader" found h2 consul ok "the leader is"
check "host: it is alone" found h2 members ok 1
check "host: Consul answers everybody on it" found h2 acl warning
check "host: who should holds the ports" found h2 ports ok
check "host: the agent runs" found h2 agent ok h2
check "host: no table is needed yet" found h2 firewall ok
on 2 systemctl stop tepuy-agent
doctor --hosts h2
check "a stopped agent" found h2 agent failed "does not run"
equal "is a failure" 1 "$status"
on 2 systemctl stop consul
doctor --hosts h2
check "a stopped Consul" found h2 consul failed "does not run"

lab_hang "$lab" 2
doctor
lab_unhang "$lab" 2
case_begin "a machine that hangs has an error and no findings"
if jq -e '.hosts[] | select(.host == "h2") | .error != null and .level == "failed" and .findings == []' "$TMP/report" >/dev/null; then ok; else not_ok "$(cat "$TMP/report" "$TMP/said")"; fi
check "the other one answers" found h1 os ok
finish
