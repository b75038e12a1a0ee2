# shellcheck shell=sh
# SPDX-License-Identifier: GPL-3.0-or-later
# For sourcing: runtime_layers BUILD DIR [BASE] makes DIR/{base,top,other}.{tar,sha256}, the layers of the runtime tests'
# nodes. They differ in each run, so that the runtime has none of them before. BASE is the tar of a system that boots, for
# runtimes whose nodes are machines; without one, nodes have busybox and nothing else.

runtime_layer() { # DIR NAME: packs DIR/NAME
	tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$1/$2" -cf "$1/$2.tar" .
	sha256sum <"$1/$2.tar" >"$1/$2.sha256"
}

runtime_layers() {
	mkdir -p "$2/base" "$2/top/srv" "$2/other/srv"
	root=$2/base bin=bin
	if [ -n "${3:-}" ]; then
		root=$2/top bin=usr/bin # where /bin leads to
		mkdir -p "$root/etc"
		tar -xf "$3" -C "$root" etc/passwd etc/group 2>/dev/null || tar -xf "$3" -C "$root" ./etc/passwd ./etc/group
	else
		mkdir -p "$root/bin" "$root/etc" "$root/tmp" "$root/run" "$root/dev" "$root/proc" "$root/sys" "$root/data"
		printf 'root:x:0:0:root:/:/bin/sh\n' >"$root/etc/passwd"
		printf 'root:x:0:\n' >"$root/etc/group"
		for applet in sh cat echo true touch sleep; do
			mkdir -p "$root/bin"
			ln -s busybox "$root/bin/$applet"
		done
	fi
	mkdir -p "$root/$bin" "$root/srv"
	cp "${BUSYBOX:-$(command -v busybox)}" "$root/$bin/busybox"
	cp "$1/tests/e2e/runtime-node" "$root/$bin/runtime-node"
	printf 'web:x:4101:4102::/:/bin/sh\n' >>"$root/etc/passwd"
	printf 'web:x:4102:\n' >>"$root/etc/group"
	: >"$root/etc/link-target"
	ln -s /etc "$root/srv/to-etc"
	ln -s /etc/link-target "$root/srv/link"
	ln -s ../../../../../../../../tmp "$root/srv/escape"
	for layer in base top other; do
		if [ "$layer" = base ] && [ -n "${3:-}" ]; then
			cp "$3" "$2/base.tar"
			sha256sum <"$3" >"$2/base.sha256"
			continue
		fi
		echo "$2" >"$2/$layer/srv/$layer"
		runtime_layer "$2" "$layer"
	done
}
