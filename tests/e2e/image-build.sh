#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# lane: built
# Real images from the host's own apt mirror: built twice to the same bits, and every way in which a build can fail.
# Needs root, mmdebstrap and about 3 GB below $TMPDIR. BUILD is the Meson build directory.
#
#   tests/e2e/image-build.sh [BUILD]
#
# timeout: 1500

# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2054,SC2154,SC2317 # commas are for the tool; lib.sh sets pid and calls what it is given
. "$(dirname "$0")/lib.sh"

tool=${1:-${BUILD:-$(dirname "$0")/../../build}}/tests/e2e/image-tool
# shellcheck source=/dev/null
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
one=$TMP/one two=$TMP/two

unmount() {
	umount -l "$1" 2>/dev/null || true
}

# run NAME STORE COMMAND…: its output in $TMP/NAME.out, what it says in $TMP/NAME.err. Shows the end of it on failure.
run() {
	local name=$1
	shift
	"$tool" "$@" >"$TMP/$name.out" 2>"$TMP/$name.err" </dev/null || {
		tail -n 5 "$TMP/$name.err"
		return 1
	}
}

# fails NAME CODE PATTERN STORE COMMAND…: a whole case: it fails with that error, whose text has the pattern.
fails() {
	local name=$1 code=$2 pattern=$3
	shift 3
	case_begin "$name"
	if "$tool" "$@" >"$TMP/fails.out" 2>"$TMP/fails.err" </dev/null; then
		not_ok "it succeeded"
	elif grep -q "^error $code: .*$pattern" "$TMP/fails.err"; then
		ok
	else
		not_ok "$(tail -n 1 "$TMP/fails.err")"
	fi
}

layer() {
	awk '$1 == "layer" { sha = $2 } END { print sha }' "$TMP/$1.out"
}

took() {
	printf '      %s: %s ms\n' "$1" "$(awk '$1 == "ms" { print $2 }' "$TMP/$2.out")"
}

# Nothing half-made, nothing mounted, nothing running.
clean() {
	local left
	left=$(find "$1/build" -mindepth 1 ! -name '*.lock')
	[ -z "$left" ] || { echo "left behind: $left"; return 1; }
	! grep -F "$1/" /proc/self/mounts
}

# Another store with the same base, as a host has it that was given the layer.
copy_store() {
	mkdir -p "$2"/{layers,bases}
	cp "$1"/bases/* "$2/bases/"
	cp "$1/layers/$base.tar" "$2/layers/"
}

mkdir -p "$TMP/recipe/files/site"
echo '<h1>hola</h1>' >"$TMP/recipe/files/site/index.html"
printf '#!/bin/sh\nexec nginx -g "daemon off;"\n' >"$TMP/recipe/files/start"
chmod 755 "$TMP/recipe/files/start"

check "a base system is made" run base "$one" build -s "$suite"
took "base system" base
base=$(layer base)
copy_store "$one" "$two"
bundle=$("$tool" "$one" bundle "$TMP/recipe")
equal "the bundle is the same in both stores" "$bundle" "$("$tool" "$two" bundle "$TMP/recipe")"

web=(-s "$suite" -n web -B "$bundle" -p nginx-light -f files/site,/srv/site,www-data:www-data -f files/start,/srv/start
	-t /etc/tepuy-text,words -b 'ln|-s|/srv/site|/var/www/site' -b 'sh|-c|id -u www-data >/srv/uid')

check "a recipe becomes a layer" run web "$one" build "${web[@]}"
took "nginx-light with unpacking the base" web
check "again in another store" run web2 "$two" build "${web[@]}"
equal "to the same bits" "$(layer web)" "$(layer web2)"
check "what is built is found" run found "$one" find "${web[@]}"
took "found" found
equal "with the same id" "$(head -n 1 "$TMP/web.out")" "$(head -n 1 "$TMP/found.out")"

tar -tvf "$one/layers/$(layer web).tar" >"$TMP/web.list"
tar -tvf "$one/layers/$base.tar" >"$TMP/base.list"
check "the files have their owner" grep -Eq '^-rw-r--r-- 33/33 .* srv/site/index.html$' "$TMP/web.list"
check "the text is there" grep -Eq '^-rwxr-xr-x 0/0 .* etc/tepuy-text$' "$TMP/web.list"
check "the build steps ran" grep -Eq ' var/www/site -> /srv/site$' "$TMP/web.list"
refuse "nothing of the mirror stays" \
	grep -E ' (etc/apt/sources.list$|etc/apt/(sources.list|auth.conf).d/.|var/lib/apt/lists/.|run/.|etc/resolv.conf)' \
	"$TMP/web.list" "$TMP/base.list"
refuse "nothing of the builder stays" grep -E 'policy-rc.d|machine-id$|99mmdebstrap$.*apt|\.log$|pkgcache' "$TMP/web.list" \
	"$TMP/base.list"

big=(-s "$suite" -n big -p php-fpm -p nginx-light -p postgresql -p python3)
check "php-fpm, postgresql and python become a layer" run big "$one" build "${big[@]}"
took "php-fpm, nginx-light, postgresql, python3" big
check "again in another store, with them" run big2 "$two" build "${big[@]}"
equal "to the same bits, with them" "$(layer big)" "$(layer big2)"
tar -tf "$one/layers/$(layer big).tar" >"$TMP/big.list"
refuse "no private key and no cluster is shared" grep -E 'ssl-cert-snakeoil|PG_VERSION' "$TMP/big.list"

fails "a package that does not exist is named" ENOENT 'recipe shop wants the package ngnix-light' \
	"$one" build -s "$suite" -n shop -p ngnix-light
check "it leaves nothing" clean "$one"
fails "a build step that fails is named" EIO "Build step 2 of the recipe shop ended with status 3: sh -c 'exit 3'" \
	"$one" build -s "$suite" -n shop -b 'true' -b 'sh|-c|exit 3'
fails "a program that is not in the image is named" ENOENT 'no-such-program' \
	"$one" build -s "$suite" -n shop -b 'no-such-program'
check "its output reaches the log" grep -q "^+ no-such-program" "$TMP/fails.err"
fails "a suite that the host lacks is named" ENOENT "suite 'potato'" "$one" build -s potato -n shop

free_port
printf 'Types: deb\nURIs: http://127.0.0.1:%s/debian\nSuites: %s\nComponents: main\nTrusted: yes\n' "$PORT" "$suite" \
	>"$TMP/away.sources"
fails "a mirror that is away is named" EHOSTUNREACH "http://127.0.0.1:$PORT/" \
	"$one" build -s "$suite" -n shop -p nginx-light -S "$TMP/away.sources"
fails "also when there is no base yet" EHOSTUNREACH "http://127.0.0.1:$PORT/" \
	"$TMP/none" build -s "$suite" -S "$TMP/away.sources"
check "neither leaves anything" clean "$one"

fails "a build that takes too long is stopped" ETIMEDOUT "sleep 98765.$$" \
	"$one" build -s "$suite" -n slow -T 60000 -b "sh|-c|sleep 98765.$$ & sleep 98765.$$"
refuse "with all that it started" pgrep -f "^sleep 98765.$$"
check "and leaves nothing" clean "$one"

# Killed in the middle of installing; its key's working directory stays for the next builder to clear.
start_process killed "$tool" "$two" build -s "$suite" -n killed -p nginx-light -b "sleep|87654.$$"
check "a build is under way" wait_for 240 pgrep -f "^sleep 87654.$$"
kill -KILL "$pid"
check "killed, it takes its processes with it" wait_for 60 sh -c "! pgrep -f '^sleep 87654.$$'"
refuse "and its mounts" grep -F "$two/" /proc/self/mounts
check "the same recipe can be built at once" run web3 "$two" build "${web[@]}" -t /etc/tepuy-more,more
check "and the remains are gone" clean "$two"

start_process first "$tool" "$one" build -s "$suite" -n both -b 'sleep|2'
start_process second "$tool" "$one" build -s "$suite" -n both -b 'sleep|2'
wait "${lib_pids[-1]}" "${lib_pids[-2]}" 2>/dev/null
equal "of two builders one builds" 1 "$(cat "$TMP/first.log" "$TMP/second.log" | grep -c '^+ sleep 2')"
equal "and both have it" 1 "$(grep -h '^id ' "$TMP/first.log" "$TMP/second.log" | sort | uniq -c | awk '{ print NR }' | tail -n 1)"

mkdir "$TMP/small"
at_exit unmount "$TMP/small"
mount -t tmpfs -o size=64m tmpfs "$TMP/small"
fails "a disk too small for a base is named" ENOSPC "disk that holds $TMP/small/s is full" "$TMP/small/s" build -s "$suite"
check "it leaves no half base" clean "$TMP/small/s"
umount "$TMP/small"

# The kernel's size of it, so that the base fits and the layer does not.
mount -t tmpfs -o size=360m tmpfs "$TMP/small"
copy_store "$one" "$TMP/small/s"
"$tool" "$TMP/small/s" build -s "$suite" -n warm -b true >/dev/null 2>&1
fails "a disk that gets full in a build is named" ENOSPC "is full" "$TMP/small/s" build "${big[@]}"
check "and nothing is left of it" clean "$TMP/small/s"
umount "$TMP/small"

mkdir -p "$TMP/o"/{lower,upper,work,root}
at_exit unmount "$TMP/o/root"
mount -t overlay -o "lowerdir=$TMP/o/lower,upperdir=$TMP/o/upper,workdir=$TMP/o/work" overlay "$TMP/o/root"
copy_store "$one" "$TMP/o/root/s"
"$tool" "$TMP/o/root/s" bundle "$TMP/recipe" >/dev/null
check "a store on an overlay works" run web4 "$TMP/o/root/s" build "${web[@]}"
equal "with the same bits" "$(layer web)" "$(layer web4)"

before=$(find "$one/layers" -name '*.tar' | wc -l)
check "what is not needed is collected" "$tool" "$one" collect "$bundle"
check "what is needed stays" run found2 "$one" find "${web[@]}"
equal "and nothing else" "2 of more" "$(find "$one/layers" -name '*.tar' | wc -l) of $([ "$before" -gt 2 ] && echo more)"

finish
