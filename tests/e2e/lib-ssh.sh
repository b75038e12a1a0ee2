# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# For scripts that need SSH servers: source it after lib.sh. Needs root, openssh-server. The script runs again in name
# spaces of its own: all of 127.0.0.0/8 is there for hundreds of addresses of one sshd, no port is open to others, and
# users can be made without touching the machine's.
#
#   . "$(dirname "$0")/lib-ssh.sh"        # must be the first thing that a script does
#   start_sshd main 2200 PermitRootLogin=yes
#
# $SSH_HOME is the operator's home, with a key, an ssh configuration and known_hosts; commands of tepuy are run in $WORK.

if [ -z "${TEPUY_SSH_SPACE:-}" ]; then
	exec unshare --net --mount --propagation private env TEPUY_SSH_SPACE=1 bash "$0" "$@"
fi
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

ip link set lo up
# sshd changes into its user's name space of a directory that only root may change.
mkdir -p /run/sshd
SSH_HOME=$TMP/home
WORK=$TMP/work
ETC=$TMP/etc
mkdir -p "$SSH_HOME/.ssh" "$WORK" "$ETC" "$TMP/keys" "$TMP/users/root" "$TMP/users/ana"
chmod 755 "$TMP" "$TMP/users"
export HOME=$SSH_HOME
unset SSH_AUTH_SOCK
TEPUY=${TEPUY:-${BUILD:-$(dirname "${BASH_SOURCE[0]}")/../../build}/src/cli/tepuy}
# A copy: a build that goes on meanwhile must not be run half written.
cp "$TEPUY" "$TMP/tepuy"
TEPUY=$TMP/tepuy
# shellcheck disable=SC2034  # for the scripts
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# root's own start files must not be part of a test, and ana is there in this name space alone.
make_users() {
	sed "s|^root:.*|root:x:0:0:root:$TMP/users/root:/bin/sh|" /etc/passwd >"$ETC/passwd"
	echo "ana:x:60001:60001:Ana:$TMP/users/ana:/bin/sh" >>"$ETC/passwd"
	grep -v '^ana:' /etc/shadow >"$ETC/shadow"
	echo "ana:$(openssl passwd -6 -salt tepuy 'pass word'):20000::::::" >>"$ETC/shadow"
	{ cat /etc/group; echo ana:x:60001:; } >"$ETC/group"
	chmod 600 "$ETC/shadow"
	chown 60001:60001 "$TMP/users/ana"
	mount --bind "$ETC/passwd" /etc/passwd
	mount --bind "$ETC/shadow" /etc/shadow
	mount --bind "$ETC/group" /etc/group
}

# make_key NAME [TYPE [PASSPHRASE]]
make_key() {
	ssh-keygen -q -t "${2:-ed25519}" -N "${3:-}" -C "$1" -f "$TMP/keys/$1"
}

# start_sshd NAME PORT [KEYWORD=VALUE]…: on all addresses, with the host key $TMP/keys/host unless HostKey is given.
start_sshd() {
	local name=$1 port=$2
	shift 2
	{
		printf '%s\n' "$@" | sed 's/=/ /'
		cat <<-END
			Port $port
			ListenAddress 0.0.0.0
			HostKey $TMP/keys/host
			PidFile none
			AuthorizedKeysFile $TMP/keys/authorized
			StrictModes no
			UsePAM no
			PasswordAuthentication no
			KbdInteractiveAuthentication no
			PermitRootLogin yes
			MaxStartups 1000
			UseDNS no
			PrintMotd no
		END
	} >"$TMP/sshd-$name.conf"
	start_process "sshd-$name" /usr/sbin/sshd -D -e -f "$TMP/sshd-$name.conf"
	# shellcheck disable=SC2034  # for the scripts
	SSHD_PID=$pid
	wait_for 60 port_open "$port" || { echo "sshd did not start:"; cat "$TMP/sshd-$name.log"; exit 1; } >&2
}

# know ADDRESS PORT [KEY]: its host key is known from now on.
know() {
	printf '[%s]:%s %s\n' "$1" "$2" "$(cut -d' ' -f1,2 "$TMP/keys/${3:-host}.pub")" >>"$SSH_HOME/.ssh/known_hosts"
}

# tepuy ARGUMENT…: in $WORK, without a terminal to ask on; status in $status, output in $TMP/out and $TMP/err.
tepuy() {
	status=0
	(cd "$WORK" && exec setsid --wait timeout --kill-after=5 "$((${SECONDS_MOST:-120} * SLOWER))" "$TEPUY" "$@") \
		>"$TMP/out" 2>"$TMP/err" </dev/null || status=$?
}

# shows FILE TEXT…: all the texts are in it.
shows() {
	local file=$1 text
	shift
	for text; do
		grep -qF -- "$text" "$TMP/$file" || { echo "no '$text' in $file:"; cat "$TMP/$file"; return 1; }
	done
}

# expect NAME STATUS FILE TEXT…: a whole case, of the last tepuy.
expect() {
	local name=$1 wanted=$2 file=$3
	shift 3
	case_begin "$name"
	if [ "$status" != "$wanted" ]; then
		not_ok "exit status $status instead of $wanted"
		cat "$TMP/out" "$TMP/err"
	elif shows "$file" "$@"; then
		ok
	else
		not_ok
	fi
}

make_users
make_key host
make_key operator
cp "$TMP/keys/operator.pub" "$TMP/keys/authorized"
chmod 644 "$TMP/keys/authorized"
