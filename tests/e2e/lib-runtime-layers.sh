# shellcheck shell=sh
# SPDX-License-Identifier: GPL-3.0-or-later
# For sourcing: runtime_layers BUILD DIR makes DIR/{base,top,other}.{tar,sha256}, the layers of the runtime tests' nodes.
# They differ in each run, so that the runtime has none of them before.

runtime_layer() { # DIR NAME: packs DIR/NAME
	tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$1/$2" -cf "$1/$2.tar" .
	sha256sum <"$1/$2.tar" >"$1/$2.sha256"
}

runtime_layers() {
	root=$2/base
	mkdir -p "$root/bin" "$root/etc" "$root/tmp" "$root/run" "$root/srv" "$root/dev" "$root/proc" "$root/sys" "$root/data"
	mkdir -p "$2/top/srv" "$2/other/srv"
	cp "$(command -v busybox)" "$root/bin/busybox"
	cp "$1/tests/e2e/runtime-node" "$root/bin/runtime-node"
	for applet in sh cat echo true touch sleep; do
		ln -s busybox "$root/bin/$applet"
	done
	printf 'root:x:0:0:root:/:/bin/sh\nweb:x:101:102::/:/bin/sh\n' >"$root/etc/passwd"
	printf 'root:x:0:\nweb:x:102:\n' >"$root/etc/group"
	: >"$root/etc/link-target"
	ln -s /etc "$root/srv/to-etc"
	ln -s /etc/link-target "$root/srv/link"
	ln -s ../../../../../../../../tmp "$root/srv/escape"
	for layer in base top other; do
		echo "$2" >"$2/$layer/srv/$layer"
		runtime_layer "$2" "$layer"
	done
}
