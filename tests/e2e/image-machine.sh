#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# lane: built
# Real images for machines from the host's own apt mirror: made twice to the same bits, with an init and the way in, and
# with nothing that starts by itself of what a recipe's packages enable. Needs root, mmdebstrap and about 2 GB below
# $TMPDIR. BUILD is the Meson build directory.
#
#   tests/e2e/image-machine.sh [BUILD]
#
# timeout: 1800

# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2054,SC2317 # commas are for the tool; lib.sh calls what it is given
. "$(dirname "$0")/lib.sh"

tool=${1:-${BUILD:-$(dirname "$0")/../../build}}/tests/e2e/image-tool
# shellcheck source=/dev/null
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
one=$TMP/one two=$TMP/two root=$TMP/root

# run NAME STORE COMMAND…: its output in $TMP/NAME.out, what it says in $TMP/NAME.err. Shows the end of it on failure.
run() {
	local name=$1
	shift
	"$tool" "$@" >"$TMP/$name.out" 2>"$TMP/$name.err" </dev/null || {
		tail -n 5 "$TMP/$name.err"
		return 1
	}
}

# layers NAME: of the image that `run NAME` told, lowest first.
layers() {
	awk '$1 == "layer" { print $2 }' "$TMP/$1.out"
}

# enabled UNIT…: what systemd in the image thinks of each, in one line.
enabled() {
	local unit
	for unit in "$@"; do
		chroot "$root" systemctl is-enabled "$unit" 2>/dev/null || true
	done | tr '\n' ' '
}

# starts UNIT: whether any link in the image has it started at boot, and it is not masked.
starts() {
	local link
	find "$root"/etc/systemd/system "$root"/usr/lib/systemd/system -path '*.wants/*' -name "$1" | while read -r link; do
		[ "$(readlink "$root/etc/systemd/system/${link##*/}")" = /dev/null ] || echo "$link"
	done | grep .
}

mkdir -p "$TMP/recipe"
echo x >"$TMP/recipe/x"
bundle=$("$tool" "$one" bundle "$TMP/recipe")
"$tool" "$two" bundle "$TMP/recipe" >/dev/null
web=(-m -s "$suite" -n web -B "$bundle" -p nginx-light -p haproxy -p postgresql-common -p cron
	-b 'sh|-c|systemctl enable nginx && systemctl set-default rescue.target')

check "base and image for machines are made" run web "$one" build "${web[@]}"
check "they are told to be" grep -qx machine "$TMP/web.out"
check "the base is made anew in another store" run renew "$two" renew "$suite" machine
check "and the image on it" run web2 "$two" build "${web[@]}"
equal "to the same bits" "$(grep -v ^ms "$TMP/web.out")" "$(grep -v ^ms "$TMP/web2.out")"
equal "the base has a name of its own" "1 0" \
	"$(find "$one/bases" -name "$suite-machine-*" | wc -l) $(find "$one/bases" -name "$suite-[!m]*" | wc -l)"
refuse "a recipe for containers is not found on it" run find "$one" find -s "$suite" -n web -B "$bundle" -p nginx-light

# As the driver unpacks it; none of these packages hides a file of the base.
mkdir "$root"
for layer in $(layers web); do
	tar -C "$root" -xf "$one/layers/$layer.tar"
done
equal "sshd starts" "enabled " "$(enabled ssh.service)"
equal "what the packages bring does not" "disabled disabled disabled disabled " \
	"$(enabled nginx haproxy postgresql cron)"
for unit in nginx.service haproxy.service postgresql.service cron.service '*.timer'; do
	refuse "nothing starts $unit" starts "$unit"
done
equal "the default is the base's" /lib/systemd/system/multi-user.target "$(readlink "$root/etc/systemd/system/default.target")"
refuse "no generator of the packages is there" test -e "$root/usr/lib/systemd/system-generators/postgresql-generator"
equal "scripts in /etc/init.d start nothing" /dev/null \
	"$(readlink "$root/etc/systemd/system-generators/systemd-sysv-generator")"
equal "timers that write are masked" "masked masked masked masked " \
	"$(enabled apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer)"
equal "consoles are closed" "masked masked " "$(enabled getty@tty1.service serial-getty@hvc0.service)"
check "directories in /run are made at boot" grep -rq /run/postgresql "$root/usr/lib/tmpfiles.d"

mkdir -p "$root/run/sshd"
: >"$root/dev/null"
ssh-keygen -q -t ed25519 -N '' -f "$root/etc/ssh/ssh_host_ed25519_key"
check "sshd takes its configuration" chroot "$root" /usr/sbin/sshd -T
chroot "$root" /usr/sbin/sshd -T >"$TMP/sshd.out" 2>/dev/null
for line in 'passwordauthentication no' 'kbdinteractiveauthentication no' 'authenticationmethods publickey' 'usedns no' \
	'permitrootlogin without-password'; do
	check "it says $line" grep -qx "$line" "$TMP/sshd.out"
done
for path in etc/machine-id var/lib/systemd/random-seed etc/ssh/ssh_host_rsa_key usr/sbin/policy-rc.d boot/vmlinuz; do
	refuse "no $path" test -e "$root/$path"
done
equal "the time is UTC" /usr/share/zoneinfo/Etc/UTC "$(readlink "$root/etc/localtime")"
equal "nobody has a password" "" "$(awk -F: '$2 !~ /^[!*]/' "$root/etc/shadow")"

check "what is kept is kept with its base" "$tool" "$one" collect "$bundle"
check "so that the image is found" run found "$one" find "${web[@]}"
check "what is not kept" "$tool" "$one" collect
equal "goes with its base" 0 "$(find "$one/layers" "$one/bases" -type f | wc -l)"

finish
