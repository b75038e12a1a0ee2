#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Holds the Docker driver against what it promises over restarts of dockerd: runtime-docker-restart.sh [BUILD]. Needs root,
# busybox-static and dockerd, of which it runs one of its own. Removes what it made, also after a failure.
set -eu

build=${1:-${BUILD:-build}}
# Not below /tmp, which may be an overlay or a tmpfs, where Docker cannot keep images as it usually does.
dir=$(mktemp -d /var/lib/tt-runtime.XXXXXX)
program=

tidy() {
	trap '' INT TERM HUP # a second one must not end the tidying
	if [ -n "$program" ]; then
		kill "$program" 2>/dev/null || :
	fi
	if [ -e "$dir/pid" ]; then
		kill "$(cat "$dir/pid")" 2>/dev/null || :
	fi
	tries=600
	while [ -e "$dir/pid" ] && [ "$tries" -gt 0 ]; do
		tries=$((tries - 1))
		sleep 0.1
	done
	rm -rf "$dir"
}
trap tidy EXIT
trap 'exit 1' INT TERM HUP

# shellcheck source=tests/e2e/lib-runtime-layers.sh
. "$(dirname "$0")/lib-runtime-layers.sh"
runtime_layers "$build" "$dir"
"$build/tests/e2e/runtime-docker-restart" "$dir" &
program=$!
wait "$program"
