#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Holds a runtime driver against its contract: runtime-contract.sh [DRIVER [BUILD]]. Needs root, busybox-static, and the
# runtime running. Removes what it made, also after a failure.
set -eu

driver=${1:-docker}
build=${2:-${BUILD:-build}}
dir=$(mktemp -d "${TMPDIR:-/tmp}/tt-runtime.XXXXXX")
foreign=
program=

# The runtime's own part: what tepuy did not make, and what no node is left of.
foreign_docker() {
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
runtime_layers "$build" "$dir"

if [ "$driver" = docker ]; then
	docker import "$dir/top.tar" "tepuy-tests/foreign:${dir##*.}" >/dev/null
	foreign=$(foreign_docker)
fi

# shellcheck disable=SC2086
"$build/tests/e2e/runtime-contract" "$driver" "$dir" $foreign &
program=$!
wait "$program"
