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

layer() { # NAME: packs $dir/NAME
	tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$dir/$1" -cf "$dir/$1.tar" .
	sha256sum <"$dir/$1.tar" >"$dir/$1.sha256"
}

root=$dir/base
mkdir -p "$root/bin" "$root/etc" "$root/tmp" "$root/run" "$root/srv" "$root/dev" "$root/proc" "$root/sys" "$root/data"
mkdir -p "$dir/top/srv" "$dir/other/srv"
cp "$(command -v busybox)" "$root/bin/busybox"
cp "$build/tests/e2e/runtime-node" "$root/bin/runtime-node"
for applet in sh cat echo true touch sleep; do
	ln -s busybox "$root/bin/$applet"
done
printf 'root:x:0:0:root:/:/bin/sh\nweb:x:101:102::/:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\nweb:x:102:\n' >"$root/etc/group"
: >"$root/etc/link-target"
ln -s /etc "$root/srv/to-etc"
ln -s /etc/link-target "$root/srv/link"
ln -s ../../../../../../../../tmp "$root/srv/escape"
# Layers of this run only, so that none is there before.
echo "$dir" >"$root/etc/run"
echo "$dir" >"$dir/top/srv/top"
echo "$dir" >"$dir/other/srv/other"
layer base
layer top
layer other

if [ "$driver" = docker ]; then
	docker import "$dir/top.tar" tepuy-tests/foreign:1 >/dev/null
	foreign=$(foreign_docker)
fi

# shellcheck disable=SC2086
"$build/tests/e2e/runtime-contract" "$driver" "$dir" $foreign
