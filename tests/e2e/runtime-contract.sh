#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Holds a runtime driver against its contract: runtime-contract.sh [DRIVER [BUILD]]. Needs root, busybox-static, and the
# runtime running. Removes what it made, also after a failure.
set -eu

driver=${1:-docker}
build=${2:-build}
dir=$(mktemp -d "${TMPDIR:-/tmp}/tt-runtime.XXXXXX")
foreign=

# The runtime's own part: what tepuy did not make, and what no node is left of.
foreign_docker() {
	docker create --label tt-runtime=foreign tepuy-tests/foreign:1 /bin/sh
}

tidy_docker() {
	[ -z "$foreign" ] || docker rm -f "$foreign" >/dev/null
	docker images --format '{{.Repository}}:{{.Tag}}' | grep -E '^tepuy/image:tt-runtime-|^tepuy-tests/foreign:' |
		xargs -r docker rmi -f >/dev/null
}

tidy() {
	"tidy_$driver" || :
	rm -rf "$dir"
}
trap tidy EXIT
trap 'exit 1' INT TERM HUP

# shellcheck source=tests/e2e/runtime-layers.sh
. "$(dirname "$0")/runtime-layers.sh"
runtime_layers "$build" "$dir"

if [ "$driver" = docker ]; then
	docker import "$dir/top.tar" tepuy-tests/foreign:1 >/dev/null
	foreign=$(foreign_docker)
fi

# shellcheck disable=SC2086
"$build/tests/e2e/runtime-contract" "$driver" "$dir" $foreign
