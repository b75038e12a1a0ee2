# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# Read by ./demo, ./check and the scripts beside it.

# Where output is parsed it must not be in the language of whoever runs this. Person-facing output of tepuy is not
# parsed anywhere.
export LC_ALL=C
export DEBIAN_FRONTEND=noninteractive

# shellcheck disable=SC2034 # used by its readers
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# The start of the whole, also in the scripts that a script runs.
export TEPUY_BEGAN=${TEPUY_BEGAN:-$EPOCHSECONDS}

# say TEXT…: a line of progress with the time since the start.
say()
{
	local seconds=$((EPOCHSECONDS - TEPUY_BEGAN))

	printf '%3d:%02d  %s\n' $((seconds / 60)) $((seconds % 60)) "$*"
}

# die TEXT…: a whole sentence that says what to do, and the end.
die()
{
	printf '%s: error: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# need_root WHAT: all that installs or starts things needs it, and bare machines have no sudo.
need_root()
{
	[ "$(id -u)" -eq 0 ] || die "$1 needs root. Run it as root, or with sudo."
}

# with_log LOG LABEL COMMAND…: runs a long command with its output in LOG, and shows every 15 seconds that it is alive.
# When it fails its last lines are shown. Returns its status.
with_log()
{
	local log=$1 label=$2 pid status=0 ticks=0

	shift 2
	mkdir -p "$(dirname "$log")"
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.2
		ticks=$((ticks + 1))
		if [ $((ticks % 75)) -eq 0 ]; then
			say "$label: $(tail -n 1 "$log" 2>/dev/null | tr -d '\r\033' | cut -c 1-100)"
		fi
	done
	wait "$pid" || status=$?
	if [ "$status" -ne 0 ]; then
		printf -- '--- %s ended with status %d; the last lines of %s:\n' "$label" "$status" "$log" >&2
		tail -n 40 "$log" >&2
		printf -- '---\n' >&2
	fi
	return "$status"
}

have_systemd()
{
	[ -d /run/systemd/system ]
}

# wait_for SECONDS COMMAND…: until it succeeds; 1 when the time is over.
wait_for()
{
	local end=$((SECONDS + $1))

	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.1
	done
}
