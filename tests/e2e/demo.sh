#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# needs: docker
# lane: hosts
# timeout: 1500
# ./demo on a bare Debian 12 with systemd, from a clone, as a stranger would run it: it installs, builds, brings the
# example up and shows both nodes answering; the counter survives `down`; it can be run again and cleans up.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

root=$(cd "$(dirname "$0")/../.." && pwd)
name=tt-demo-$$
dns=$(awk '/^nameserver/ {print $2; exit}' /etc/resolv.conf)
container=''

remove_host() {
	[ -z "$container" ] || docker rm -f -v "$container" >/dev/null 2>&1
	docker volume rm "$name-docker" "$name-tepuy" >/dev/null 2>&1
}
at_exit remove_host

inside() {
	docker exec -w /root/tepuy "$container" "$@"
}

booted() {
	docker exec "$container" systemctl is-system-running 2>/dev/null | grep -qE 'running|degraded'
}

start_host() {
	"$root/tests/lab/build.sh" bare || return
	docker volume create "$name-docker" >/dev/null && docker volume create "$name-tepuy" >/dev/null || return
	container=$(docker run -d --name "$name" --hostname "$name" --cap-add ALL --cap-drop SYS_RESOURCE \
		--security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined \
		--device-cgroup-rule 'a *:* rwm' --cgroupns private \
		--tmpfs /run:exec,mode=755 --tmpfs /run/lock:mode=1777 --tmpfs /tmp:exec,mode=1777 \
		-v "$name-docker:/var/lib/docker" -v "$name-tepuy:/var/lib/tepuy" \
		-e LAB_DNS="$dns" --stop-signal SIGRTMIN+3 tepuy-lab:bare) || return
	wait_for 180 booted
}

# What a clone has, without what was built here.
give_source() {
	git -C "$root" archive --format=tar HEAD | docker exec -i "$container" sh -c 'mkdir -p /root/tepuy && tar -x -C /root/tepuy'
}

# demo LOG [ARGUMENT]: its output goes to the log and, prefixed, here.
demo() {
	local log=$TMP/$1

	shift
	inside ./demo "$@" >"$log" 2>&1 || { tail -n 40 "$log"; return 1; }
}

answered() {
	grep -q "web/1 answered" "$TMP/$1" && grep -q "web/2 answered" "$TMP/$1"
}

last_visit() {
	sed -n 's/.*visit number \([0-9]*\).*/\1/p' "$TMP/$1" | sort -n | tail -n 1
}

more_visits() {
	[ "$(last_visit second)" -gt "$(last_visit first)" ]
}

# By what Docker keeps of each, also one that stopped: it may have been stopped itself, and then tells of none.
containers() {
	inside find /var/lib/docker/containers -mindepth 1 -maxdepth 1 || echo "no answer"
}

nothing_runs() {
	[ -z "$(containers)" ] || { containers; return 1; }
	[ "$(inside systemctl is-active tepuy-agent.service)" = inactive ]
}

check "a bare Debian 12 with systemd starts" start_host
check "the source of a clone is put on it" give_source
check "./demo ends well on it" demo first
check "both web nodes answered through HAProxy" answered first
check "./demo down ends well" demo down down
check "nothing of it runs any more" nothing_runs
check "./demo can be run again" demo second
check "both web nodes answered again" answered second
check "the counter survived down and up" more_visits
check "./demo clean ends well" demo clean clean
check "the data of the example is gone then" inside test ! -e /srv/portal/db
finish
