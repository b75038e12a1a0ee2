#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# needs: docker
# lane: hosts
# timeout: 1500
# The steps of `tepuy setup` that install packages, on one bare machine: from its own mirror, and what they say when apt is
# held by another, the disk is full, the mirror is away, a file is not what was said, or they were killed in the middle.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/lab/hosts.sh
. "$(dirname "$0")/../lab/hosts.sh"

here=$(cd "$(dirname "$0")" && pwd)
lab=${LAB:-tt-setup-apt-$$}
at_exit lab_down "$lab"

on() {
	lab_root "$lab" 1 "$@"
}

# setup STEP INPUT: what it says goes to $TMP/out.
setup() {
	docker exec -i "$(lab_container "$lab" 1)" tepuy setup "$1" <<<"$2" >"$TMP/out" 2>&1
}

error_is() { # CODE WORD
	tail -n 1 "$TMP/out" | grep -q "\"code\":\"$1\"" && tail -n 1 "$TMP/out" | grep -q "$2"
}

# fails NAME CODE WORD STEP INPUT: a whole case.
fails() {
	case_begin "$1"
	if setup "$4" "$5"; then not_ok "it succeeded"; elif error_is "$2" "$3"; then ok; else not_ok "$(tail -n 1 "$TMP/out")"; fi
}

unchanged() {
	setup "$1" "$2" && [ "$(grep -c '"state"' "$TMP/out")" -gt 0 ] && ! grep '"state"' "$TMP/out" | grep -v '"state":"unchanged"'
}

# What the package brings along, without the package: that one has a test of its own.
install_tepuy() {
	docker cp -q "${TEPUY:-$here/../../build/src/cli/tepuy}" "$(lab_container "$lab" 1):/usr/bin/tepuy"
	on sh -c 'apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends libarchive13 libcurl4 \
		libjansson4 libmicrohttpd12 libssh-4 libyaml-0-2' && on tepuy --version
}

case_begin "a bare machine with the program"
if { lab_up "$lab" auto 1 bare && install_tepuy; } >"$TMP/lab.log" 2>&1; then
	ok
else
	not_ok "$(tail -n 3 "$TMP/lab.log")"
	exit 1
fi

# ---- power cuts
# apt, dpkg and packages' own scripts stop at three places for as long as the test says, each of which is in the middle
# however quick the machine is.
install_hooks() {
	docker exec -i "$(lab_container "$lab" 1)" sh -c 'cat >/root/hold && chmod 755 /root/hold' <<-'END'
		#!/bin/sh
		# hold PLACE: waits as long as the test wants somebody at that place.
		while [ -e "/run/hold-$1" ]; do : >"/run/at-$1"; sleep 0.05; done
	END
	docker exec -i "$(lab_container "$lab" 1)" sh -c 'cat >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d' <<-'END'
		#!/bin/sh
		/root/hold script
		exit 0
	END
	# shellcheck disable=SC2016 # dpkg's own variable
	on sh -c 'echo "DPkg::Pre-Invoke {\"/root/hold fetched\";};" >/etc/apt/apt.conf.d/98test
		echo "pre-invoke=[ \$DPKG_HOOK_ACTION != configure ] || /root/hold unpacked" >/etc/dpkg/dpkg.cfg.d/test'
}

# killed_at PLACE STEP INPUT: the step and all that it runs, once they are there.
killed_at() {
	local runner status=0

	on sh -c 'rm -f /run/at-* && : >"/run/hold-$0"' "$1"
	docker exec -i "$(lab_container "$lab" 1)" tepuy setup "$2" <<<"$3" >"$TMP/killed.out" 2>&1 &
	runner=$!
	lib_pids+=("$runner")
	if ! wait_for 300 on test -e "/run/at-$1"; then
		on rm -f "/run/hold-$1"
		wait "$runner"
		cat "$TMP/killed.out"
		return 1
	fi
	# shellcheck disable=SC2016 # for the host
	on sh -c 'tree() { echo "$1"; for child in $(pgrep -P "$1"); do tree "$child"; done; }
		kill -KILL $(tree "$(pgrep -o -x tepuy)")'
	wait "$runner" || status=$?
	on rm -f "/run/hold-$1"
	[ "$status" != 0 ] && ! grep -q '"result"' "$TMP/killed.out" || { cat "$TMP/killed.out"; return 1; }
}

# ---- what is in the way
# As apt does: a write lock by fcntl.
hold_lock() {
	on perl -e 'use Fcntl; open(my $f, "+>", "/var/lib/dpkg/lock-frontend") or die; my $l = pack("s s l! l! i", F_WRLCK, 0, 0, 0, 0);
		fcntl($f, F_SETLK, $l) or die; open(my $g, ">", "/run/held"); sleep 3600' &
	lib_pids+=("$!")
	wait_for 60 on test -e /run/held
}
check "another program holds apt's lock" hold_lock
holder=$(on pgrep -f lock-frontend | head -n 1)
fails "it is waited for, and named" EBUSY "process $holder (perl" runtime '{"runtime": "docker", "lock_wait": 2000}'
check "and it was said while it was waited for" grep -q "\"state\":\"waiting\".*$holder" "$TMP/out"
on kill "$holder"

# mount(8) in the container would need nothing else; the archives of Docker need more than 1 MiB.
on mount -t tmpfs -o size=1m none /var/cache/apt/archives
fails "the disk is full" ENOSPC "disk is full" runtime '{"runtime": "docker"}'
on umount /var/cache/apt/archives

on sh -c 'cp -a /etc/apt/sources.list.d /run/sources && sed -i "s|http://[^ ]*|http://127.0.0.1:9/debian|" /etc/apt/sources.list.d/*'
fails "the mirror is away" EHOSTUNREACH "mirror" runtime '{"runtime": "docker"}'
fails "also for Consul" EHOSTUNREACH "mirror" consul-package '{}'

# ---- Consul as a file, without a mirror
fails "a file without its hash" EINVAL "sha256" consul-package '{"binary": "/run/consul"}'
docker cp -q "$(command -v consul)" "$(lab_container "$lab" 1):/root/consul"
hash=$(sha256sum "$(command -v consul)" | cut -d ' ' -f 1)
fails "a file that is another" EBADMSG "get the file again" consul-package "{\"binary\": \"/root/consul\", \"sha256\": \"$(printf '%064d' 0)\"}"
refuse "is not installed" on test -e /usr/local/bin/consul
check "a binary is installed without a mirror" setup consul-package "{\"binary\": \"/root/consul\", \"sha256\": \"$hash\"}"
check "it was taken from the file" grep -q '"from":"binary","program":"/usr/local/bin/consul"' "$TMP/out"
check "with a user" on id consul
refuse "and a unit that was not started" on systemctl is-active consul
check "a second time nothing changes" unchanged consul-package '{}'
on sh -c 'rm /usr/local/bin/consul /etc/systemd/system/consul.service; systemctl daemon-reload'
on cp -a /run/sources/. /etc/apt/sources.list.d/

# ---- from the mirror
on sh -c 'mkdir -p /etc/docker; echo "{\"dns-search\": [\"example.org\"]}" >/etc/docker/daemon.json; chmod 0600 /etc/docker/daemon.json'
install_hooks
check "killed when the packages are fetched and none is unpacked" killed_at fetched runtime '{"runtime": "docker"}'
check "killed when they are unpacked and none is configured" killed_at unpacked runtime '{"runtime": "docker"}'
check "killed in the middle of a package's own script" killed_at script runtime '{"runtime": "docker"}'
refuse "killed in the middle, it is not done" on docker info
check "Docker is installed, though killed three times in the middle" setup runtime '{"runtime": "docker"}'
grep -v unchanged "$TMP/out" | sed 's/^/      /'
check "it runs and comes back after a boot" on systemctl is-enabled docker
check "containers outlive it" on sh -c 'docker info -f "{{.LiveRestoreEnabled}}" | grep -q true'
check "what was configured stays" on grep -q example.org /etc/docker/daemon.json
equal "and who may read it" 600 "$(on stat -c %a /etc/docker/daemon.json)"
check "a second time nothing changes" unchanged runtime '{"runtime": "docker"}'

# ---- options on Docker's command line, which it does not want in its file as well
docker_with() { # OPTIONS: these words and no file
	# shellcheck disable=SC2016 # for the host
	on sh -c 'rm -f /etc/docker/daemon.json && echo "DOCKER_OPTS=\"$0\"" >/etc/default/docker && systemctl reset-failed docker &&
		systemctl restart docker' "$1" && wait_for 60 on docker info
}
docker_runs_without_the_file() {
	on sh -c 'test ! -e /etc/docker/daemon.json && systemctl is-active docker && docker info'
}
on cp -a /etc/docker/daemon.json /root/daemon.json
check "Docker runs with an option for its logs" docker_with '--log-opt max-size=5m'
before=$(on systemctl show -p InvocationID --value docker)
fails "a Docker that refuses the file is not restarted" EINVAL "daemon.json as it was before is back" runtime '{"runtime": "docker"}'
equal "it is the same one that runs" "$before" "$(on systemctl show -p InvocationID --value docker)"
check "and the file is gone again" docker_runs_without_the_file
check "Docker runs with live-restore from its command line" docker_with --live-restore
fails "a Docker that does not start with the file" EIO "daemon.json as it was before is back" runtime '{"runtime": "docker"}'
check "is started without it" wait_for 60 docker_runs_without_the_file
check "Docker runs without options" docker_with ''
on mv /root/daemon.json /etc/docker/daemon.json
check "and takes the file" setup runtime '{"runtime": "docker"}'
check "killed when Consul is unpacked and not configured" killed_at unpacked consul-package '{}'
check "Consul is installed from Debian 11 on its mirror, though killed once" setup consul-package '{}'
check "as a package" on dpkg -s consul
check "which was not started" on sh -c '! systemctl is-active consul'
check "and can be" on sh -c '[ "$(systemctl is-enabled consul)" != masked ] && [ "$(systemctl is-enabled consul)" != masked-runtime ]'
check "nothing else comes from Debian 11" on sh -c '! apt-get -s full-upgrade | grep bullseye'
check "a second time nothing changes" unchanged consul-package '{}'
fails "a runtime that nobody knows" EOPNOTSUPP "not on this host" runtime '{"runtime": "zones"}'
finish
