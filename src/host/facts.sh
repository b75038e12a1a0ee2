# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# What `tepuy doctor` wants to know of a machine, told by the machine: `sh -s -- PORT…` with this as standard input. Runs
# where nothing of tepuy is, as root or not, and changes nothing; what it tries it tries in name spaces of its own. One
# line KEY=VALUE a fact (facts.h); a key may come several times. What takes long is bounded, and done side by side.
# `done=1` is last: without it the list is not whole.
LC_ALL=C
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
umask 077

say() { # KEY VALUE
	printf '%s=%s\n' "$1" "$(printf '%s' "$2" | tr '\n\t\r' '   ' | cut -c 1-4000)"
}

bounded() { # SECONDS COMMAND…
	timeout -k 1 "$@" 2>/dev/null </dev/null
}

have() {
	command -v "$1" >/dev/null 2>&1
}

say time "$(date +%s%3N)"
uid=$(id -u)
say uid "$uid"
work=$(mktemp -d /tmp/tepuy-doctor.XXXXXX) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
chmod 711 "$work"

release() {
	sed -n "s/^$1=//p" /etc/os-release 2>/dev/null | tr -d '"'
}

system() {
	say os_id "$(release ID)"
	say os_version "$(release VERSION_ID)"
	say os_name "$(release PRETTY_NAME)"
	say architecture "$(uname -m)"
	say kernel "$(uname -r)"
	say container "$(bounded 8 systemd-detect-virt -c)"
	say memory "$(awk '/^MemTotal:/ {t = $2} /^MemAvailable:/ {a = $2} END {print t, a}' /proc/meminfo)"
	say zone "$(readlink -f /etc/localtime 2>/dev/null | sed -n 's|.*/zoneinfo/||p')"
	say zone_offset "$(date +%z)"
	say clock_synchronized "$(bounded 8 timedatectl show -p NTPSynchronized --value)"
	for unit in systemd-timesyncd chrony ntp ntpsec openntpd; do
		[ "$(bounded 10 systemctl is-active "$unit")" != active ] || say clock_service "$unit"
	done
}

# The place that the path is, or will be, on: its type, KiB available and in all.
disk() {
	place=$1
	while [ ! -d "$place" ]; do place=${place%/*}; [ -n "$place" ] || place=/; done
	say disk "$1 $(bounded 10 stat -f -c '%T %a %b %S' "$place" | awk '{printf "%s %.0f %.0f", $1, $2 * $4 / 1024, $3 * $4 / 1024}')"
}

feature() { # NAME COMMAND…
	feature=$1
	shift
	bounded 15 "$@" >/dev/null
	case $? in
	0) say feature "$feature yes" ;;
	124 | 137) ;; # too busy to say
	*) say feature "$feature no" ;;
	esac
}

# Only root can try; others are not told that something is missing.
features() {
	case $(stat -f -c %T /sys/fs/cgroup 2>/dev/null) in
	cgroup2fs) say cgroup "v2 $(cat /sys/fs/cgroup/cgroup.controllers 2>/dev/null)" ;;
	tmpfs) say cgroup "v1 $(awk 'NR > 1 && $4 == 1 {printf "%s ", $1}' /proc/cgroups)" ;;
	esac
	[ "$uid" = 0 ] || return
	feature namespaces unshare -m -u -i -n -p -f true
	feature overlayfs unshare -m sh -c "mount -t tmpfs none '$work' && cd '$work' && mkdir l u w m &&
		mount -t overlay -o lowerdir=l,upperdir=u,workdir=w none m"
	if have ip; then
		feature bridge unshare -n ip link add tepuy0 type bridge
		feature veth unshare -n ip link add tepuy0 type veth peer name tepuy1
	fi
	! have nft || feature nftables unshare -n nft add table inet doctor
}

packages() {
	bounded 30 apt-cache policy docker.io consul xen-system-amd64 >"$work/policy" || return
	# Nothing is known of any package before the first `apt-get update`.
	if ls /var/lib/apt/lists/*Packages* >/dev/null 2>&1; then say packages listed; else say packages unlisted; fi
	while read -r key value; do
		case $key in
		docker.io:) name=docker ;;
		consul:) name=consul ;;
		xen-system-amd64:) name=xen ;;
		Candidate:) [ "$value" = '(none)' ] || say "${name}_candidate" "$value" ;;
		esac
	done <"$work/policy"
}

# What apt would read, as apt itself would read it, so that its proxies count. It need not have read anything yet.
mirrors() {
	bounded 30 apt-get --print-uris update | sed -n "s|^'\([^']*/InRelease\)'.*|\1|p" | sort -u | head -n 6 >"$work/mirrors"
	[ -s "$work/mirrors" ] || say mirror none
	n=0
	while read -r uri; do
		n=$((n + 1))
		mirror "$uri" "$work/mirror-$n" >"$work/said-$n" &
	done <"$work/mirrors"
	wait
	cat "$work"/said-* 2>/dev/null
	name=$(sed -n 's|^[a-z+]*https*://\([^/@]*@\)\{0,1\}\([^/:]*\).*|\2|p' "$work/mirrors" | grep '[a-z]' | head -n 1)
	[ -z "$name" ] || if bounded 12 getent hosts "$name" >/dev/null; then say resolves "$name"; else say unresolved "$name"; fi
}

mirror() { # URI FILE
	if bounded 20 /usr/lib/apt/apt-helper download-file "$1" "$2" >/dev/null; then
		say mirror "reached ${1%/*}"
	else
		say mirror "away ${1%/*}"
	fi
}

runtimes() {
	if have dockerd; then
		say docker_unit "$(bounded 10 systemctl is-active docker)"
		say docker "$(bounded 20 docker version --format '{{.Server.Version}} {{.Server.APIVersion}}')"
		say docker_live "$(bounded 20 docker info --format '{{.LiveRestoreEnabled}}')"
		say docker_storage "$(bounded 20 docker info --format '{{.Driver}}')"
	fi
}

# A kernel that can be dom0's; those for cloud machines cannot.
xen_kernel() {
	if grep -q '^CONFIG_XEN_DOM0=y' "/boot/config-$1" 2>/dev/null; then echo yes; else echo no; fi
}

xen() {
	[ ! -r /etc/tepuy/xen.json ] || say xen_config "$(cat /etc/tepuy/xen.json)"
	say xen_package "$(dpkg-query -W -f '${db:Status-Status} ${Version}\n' xen-system-amd64 2>/dev/null | sed -n 's/^installed //p')"
	[ ! -r "/boot/config-$(uname -r)" ] || say xen_kernel "$(xen_kernel "$(uname -r)")"
	for directory in /sys/class/net/*/bridge; do
		[ -d "$directory" ] || continue
		name=${directory%/bridge}
		name=${name##*/}
		say bridge "$name $(bounded 8 ip -o -4 addr show dev "$name" | awk '{printf "%s ", $4}')"
	done
	[ ! -e /var/lib/tepuy/network-change.json ] || say network_change unconfirmed
	: >"$work/groups"
	[ "$uid" != 0 ] || ! have vgs || bounded 15 vgs --noheadings --nosuffix --units m -o vg_name,vg_free >"$work/groups"
	while read -r name free; do say volume_group "$name $free"; done <"$work/groups"
	grep -qs control_d /proc/xen/capabilities || return 0
	timeout -k 1 20 xl info >"$work/xl" 2>"$work/xl-says" </dev/null
	say xen "$(sed -n 's/^xen_version *: *//p' "$work/xl")"
	say xen_says "$(tail -n 1 "$work/xl-says")"
	say xen_caps "$(sed -n 's/^virt_caps *: *//p' "$work/xl")"
	say xen_memory "$(awk '/^total_memory/ {t = $3} /^free_memory/ {f = $3} END {print t, f}' "$work/xl")"
	say xen_command_line "$(sed -n 's/^xen_commandline *: *//p' "$work/xl")"
}

# consul_get PATH [nobody]: with the host's token, which is in no argument, or without any.
consul_get() {
	if [ "${2:-}" != nobody ] && [ -s "$work/token" ]; then set -- "$1" -H "@$work/token"; else set -- "$1"; fi
	path=$1
	shift
	bounded 12 curl -sS --max-time 10 -w '\n%{http_code}' "$@" "http://127.0.0.1:8500$path"
}

# A member of Consul's own record of itself, flat enough for sed.
self() {
	sed -n "s/.*\"$1\": *\"\{0,1\}\([^\",}]*\).*/\1/p" "$work/self" | head -n 1
}

cluster() {
	have consul || return
	say consul "$(bounded 10 consul version | sed -n '1s/^Consul v//p')"
	say consul_unit "$(bounded 10 systemctl is-active consul)"
	if [ -e /etc/tepuy/consul-token ]; then
		if [ -r /etc/tepuy/consul-token ]; then
			printf 'X-Consul-Token: %s\n' "$(head -n 1 /etc/tepuy/consul-token)" >"$work/token"
			say consul_token file
		else
			say consul_token unreadable
		fi
	fi
	have curl || return
	leader=$(consul_get /v1/status/leader)
	[ "$(printf '%s' "$leader" | tail -n 1)" = 200 ] || return
	say consul_leader "$(printf '%s' "$leader" | head -n 1 | tr -d '"')"
	say consul_anonymous "$(consul_get '/v1/kv/tepuy/schema?stale' nobody | tail -n 1)"
	say consul_key "$(consul_get '/v1/kv/tepuy/schema?stale' | tail -n 1)"
	consul_get /v1/agent/self >"$work/self"
	say consul_self "$(tail -n 1 "$work/self")"
	if [ "$(tail -n 1 "$work/self")" = 200 ]; then
		say consul_node "$(self NodeName)"
		for key in Server VerifyOutgoing VerifyIncoming VerifyIncomingRPC VerifyServerHostname ACLsEnabled; do
			say consul_setting "$key $(self $key)"
		done
		say consul_setting "encrypted $(self encrypted)"
	fi
	consul_get /v1/agent/members | head -n 1 | sed 's/},{"Name/}\n{"Name/g' >"$work/members"
	while read -r line; do
		printf 'member=%s\n' "$(printf '%s\n' "$line" |
			sed -n 's/.*"Name":"\([^"]*\)","Addr":"\([^"]*\)".*"Status":\([0-9]*\).*/\1 \2 \3/p')"
	done <"$work/members"
}

ports() {
	have ss || return
	for port; do
		held=$(bounded 10 ss -Hlntup "sport = :$port")
		if [ -z "$held" ]; then
			say port "$port free"
		else
			say port "$port held $(printf '%s' "$held" | sed -n 's/.*users:(("\([^"]*\)".*/\1/p' | sort -u | head -n 1)"
		fi
	done
}

names() {
	own=$(uname -n)
	say name "$own"
	say name_address "$(bounded 10 getent ahosts "$own" | awk '{print $1}' | sort -u | tr '\n' ' ')"
	say addresses "$(bounded 8 ip -o addr show 2>/dev/null | awk '{sub(/\/.*/, "", $4); printf "%s ", $4}')"
}

agent() {
	have tepuy || return
	say tepuy "$(bounded 15 tepuy --version | sed 's/^tepuy //')"
	say agent_unit "$(bounded 10 systemctl is-active tepuy-agent)"
	say agent "$(bounded 15 tepuy version --json)"
	[ ! -r /etc/tepuy/tls/host.pem ] ||
		say certificate "$(sed -n '/^-----BEGIN/,/^-----END/{/^-----/d;p}' /etc/tepuy/tls/host.pem | tr -d '\n')"
}

firewall() {
	have nft || { say firewall no-nft; return; }
	[ "$uid" = 0 ] || return
	if ! bounded 10 nft -s list table inet tepuy >"$work/table"; then
		say firewall absent
		return
	fi
	say firewall "$(grep -c '@.* drop$' "$work/table")"
	say firewall_hosts "$(tr -d '\n' <"$work/table" | sed -n 's/.*set hosts {[^}=]*elements = {\([^}]*\)}.*/\1/p' | tr ',\t' '  ')"
}

# Side by side, each into its own file: the slow ones wait for the network.
for part in system features mirrors packages runtimes xen cluster names agent firewall; do
	$part >"$work/part-$part" &
done
ports "$@" >"$work/part-ports"
disk /var/lib/docker
disk /var/lib/tepuy
wait
cat "$work"/part-*
say time_end "$(date +%s%3N)"
echo 'done=1'
