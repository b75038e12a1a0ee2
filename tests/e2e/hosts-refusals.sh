#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# needs: docker
# lane: hosts
# timeout: 1800
# Hosts that cannot be prepared: another host key, a full disk, apt's lock held, a wrong password, a machine that stands
# still in the middle. Each is a clear error, the others go on, and a second run mends it. Then a dead server is replaced.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/lab/hosts.sh
. "$(dirname "$0")/../lab/hosts.sh"
# shellcheck source=tests/e2e/lib-apply.sh
. "$(dirname "$0")/lib-apply.sh"

lab=tt-refuse-$$
at_exit lab_down "$lab"

# apply NAME [ARGUMENT…]: its status in $status, its messages in NAME.err, its result in NAME.json.
apply() {
	local name=$1

	shift
	status=0
	tepuy host apply --package "$(deb package)" --json "$@" >"$TMP/$name.json" 2>"$TMP/$name.err" || status=$?
}

# Not only that it failed: why, in words.
complains() { # NAME HOST PATTERN
	grep -qiE "^tepuy: $2: .*($3)" "$TMP/$1.err" || { cat "$TMP/$1.err"; return 1; }
}

status_of() { # NAME HOST
	jq -r --arg host "$2" '.hosts[] | select(.host == $host) | .status' "$TMP/$1.json"
}

lock_apt() { # I: by fcntl, as apt does it
	lab_root "$lab" "$1" perl -e '
		use Fcntl; open my $f, "+>", "/var/lib/dpkg/lock-frontend" or die; my $l = pack("s s l! l! i", F_WRLCK, 0, 0, 0, 0);
		fcntl($f, F_SETLK, $l) or die "$!"; sleep 3600' &
	lib_pids+=("$!")
}

lock_is_held() {
	! lab_root "$lab" "$1" env LC_ALL=C apt-get -o DPkg::Lock::Timeout=0 -s -q install --reinstall sudo --no-download 2>/dev/null ||
		! lab_root "$lab" "$1" perl -e 'use Fcntl; open my $f, "+<", "/var/lib/dpkg/lock-frontend" or die;
			fcntl($f, F_SETLK, pack("s s l! l! i", F_WRLCK, 0, 0, 0, 0)) or exit 1'
}

check "the package is built" build_package
check "four hosts start" lab_up "$lab" auto 4 ready
prepare_operator "$lab" 1
cp "$OPERATOR/hosts.yaml" "$TMP/right.yaml"

sed -i "s|\(h2: .*fingerprint: \).*|\1\"$(lab_fingerprint "$lab" 3)\"}|" "$OPERATOR/hosts.yaml"
lab_root "$lab" 3 mount -t tmpfs -o size=20m tmpfs /var/cache/apt/archives
lock_apt 4
check "the lock is held" wait_for 60 lock_is_held 4
apply first --lock-wait 3s
equal "some are done, some failed" 3 "$status"
equal "the host that can be prepared is" changed "$(status_of first h1)"
check "another host key is refused" complains first h2 'key'
check "a full disk is told before anything is installed" complains first h3 '20 MiB of free space.*(256|250) MiB are needed'
check "who holds apt's lock is told" complains first h4 'lock is held by process [0-9]+ \(perl\)'
refuse "nothing was installed on the host with the other key" lab_root "$lab" 2 sh -c 'command -v tepuy'

cp "$TMP/right.yaml" "$OPERATOR/hosts.yaml"
lab_root "$lab" 3 umount /var/cache/apt/archives
lab_root "$lab" 2 sh -c 'echo "admin ALL=(ALL) ALL" >/etc/sudoers.d/admin; echo admin:right | chpasswd'
(tepuy host apply --package "$(deb package)" --lock-wait 60s >"$TMP/second.out" 2>"$TMP/second.err"; echo $? >"$TMP/second.status") &
second=$!
check "a host waits for apt's lock" wait_for 240 grep -q "h4: waiting for apt's lock, held by process" "$TMP/second.out"
lab_hang "$lab" 4
wait "$second"
lab_unhang "$lab" 4
equal "some are done again" 3 "$(cat "$TMP/second.status")"
check "sudo without a password and nobody to ask is told" complains second h2 'sudo'
check "the host that stood still is told" complains second h4 'answer|silen|timed out'
check "the one whose disk has room again is ready" grep -q '^h3: ready' "$TMP/second.out"
check "the one that was done is unchanged" grep -q '^h1: unchanged' "$TMP/second.out"

check "a wrong sudo password is told" eval '
	(cd "$OPERATOR" && HOME=$OPERATOR python3 "$root/tests/e2e/terminal.py" 200 40 "wrong
wrong
wrong
" "$program" host apply --package "$(deb package)" --hosts h2) >"$TMP/third.out"; grep -qi "sudo.*password" "$TMP/third.out"'
lab_root "$lab" 2 sh -c 'echo "admin ALL=(ALL) NOPASSWD:ALL" >/etc/sudoers.d/admin'
lab_root "$lab" 4 pkill -x perl
apply fourth
equal "once all is mended, all are done" 0 "$status"
check "and then there is nothing to do" again_unchanged 4
check "all are in the cluster" wait_for 120 alive_are 'h1 h2 h3 h4'

# ---- a host with data: of a service that was taken down, as that leaves it in Consul
in_consul() { # WORD…
	# shellcheck disable=SC2016 # for the host
	lab_root "$lab" 1 sh -c 'CONSUL_HTTP_TOKEN=$(cat /etc/tepuy/consul-token) consul kv "$@"' sh "$@"
}
h4_is_used() { # a member, with an agent, and open
	tepuy host show --host h1 h4 --json | jq -e '.alive and (.drained | not)' &&
		lab_root "$lab" 4 systemctl is-active tepuy-agent consul
}
check "a service that is down has left its data on h4" in_consul put tepuy/service/mail/status \
	'{"good":1,"homes":{"box/1":"h4"},"phase":"removed","revision":1,"since":1,"step":1}'
status=0
tepuy host remove h4 >"$TMP/data.out" 2>&1 || status=$?
equal "a host with data is not removed" 1 "$status"
check "whose data is told, and what can be done" grep -q "The data of mail/box/1 is on h4.*setup leave.*--force" "$TMP/data.out"
check "and nothing was done to it" h4_is_used
in_consul delete tepuy/service/mail/status

# Three servers, of which one dies and is replaced.
lab_inventory "$lab" 3 >"$OPERATOR/hosts.yaml"
check "the cluster grows to three servers" tepuy host apply --package "$(deb package)"
check "Consul has three" wait_for 120 servers_are 1 3
lab_kill "$lab" 3
sed -i 's/servers: \[.*\]/servers: [h1, h2, h4]/; /^  h3:/d' "$OPERATOR/hosts.yaml"
check "another host takes the dead server's place" tepuy host apply --package "$(deb package)"
check "the dead one is removed" wait_for 180 tepuy host remove h3 --force
check "Consul has three servers again" wait_for 120 servers_are 1 3
check "the dead one is known no more" wait_for 120 alive_are 'h1 h2 h4'
finish
