#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Holds a runtime driver against its contract: runtime-contract.sh [DRIVER [BUILD]]. Needs root, busybox-static, and the
# runtime running. Removes what it made, also after a failure. For runtimes whose nodes are machines: BASE is the tar of a
# system that boots (mmdebstrap makes one when it is not given); RUNTIME_SLOW multiplies all bounds of time (4 where the
# processor is emulated).
# needs: docker
# timeout: 600
set -eu

driver=${1:-docker}
build=${2:-${BUILD:-build}}
dir=$(mktemp -d "${TMPDIR:-/tmp}/tt-runtime.XXXXXX")
foreign=
program=

# The runtime's own part: what tepuy did not make, and what no node is left of.
foreign_docker() {
	docker import "$dir/top.tar" "tepuy-tests/foreign:${dir##*.}" >/dev/null
	docker create --label tt-runtime=foreign "tepuy-tests/foreign:${dir##*.}" /bin/sh
}

# The program removes its nodes itself, unless it was killed: all that it makes has its process id in the name.
tidy_docker() {
	[ -z "$foreign" ] || docker rm -f "$foreign" >/dev/null
	docker rmi "tepuy-tests/foreign:${dir##*.}" >/dev/null 2>&1 || :
	[ -n "$program" ] || return 0
	docker ps -aq --filter label=tepuy.instance --filter "name=^/tepuy.tt-runtime-$program\\." | xargs -r docker rm -f >/dev/null
	docker images --format '{{.Repository}}:{{.Tag}}' | grep "^tepuy/image:tt-runtime-$program-" |
		xargs -r docker rmi -f >/dev/null
}

xen=${XEN_DIRECTORY:-/var/lib/tepuy/xen}
foreign_xen() {
	printf 'name="foreign-%s"\ntype="pv"\nmemory=128\nkernel="%s/kernel"\n' "${dir##*.}" "$xen" >"$dir/foreign.cfg"
	xl create -q -p "$dir/foreign.cfg" >&2
	echo "foreign-${dir##*.}"
}

tidy_xen() {
	[ -z "$foreign" ] || xl destroy "$foreign"
	[ -n "$program" ] || return 0
	for node in "$xen"/nodes/*tt-runtime-"$program".*; do
		[ -d "$node" ] || continue
		echo "left behind: $node" >&2
		xl destroy "${node##*/}" 2>/dev/null || :
		rm -rf "$node" "$xen/state/${node##*/}.json"
	done
	rm -f "$xen"/golden/tt-runtime-"$program"-*
}

tidy() {
	trap '' INT TERM HUP # a second one must not end the tidying
	[ -z "$program" ] || kill "$program" 2>/dev/null || :
	"tidy_$driver" || :
	rm -rf "$dir"
}
trap tidy EXIT
trap 'exit 1' INT TERM HUP

# shellcheck source=tests/e2e/lib-runtime-layers.sh
. "$(dirname "$0")/lib-runtime-layers.sh"
base=
if "$build/tests/e2e/runtime-contract" "$driver" machines; then
	base=${BASE:-$dir/system.tar}
	[ -f "$base" ] || mmdebstrap --quiet --variant=minbase --include=systemd-sysv,udev,openssh-server,iproute2 \
		bookworm "$base"
fi
runtime_layers "$build" "$dir" "$base"
foreign=$("foreign_$driver")

# shellcheck disable=SC2086
"$build/tests/e2e/runtime-contract" "$driver" "$dir" $foreign &
program=$!
wait "$program"
