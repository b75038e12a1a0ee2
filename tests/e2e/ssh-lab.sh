#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# SSH to machines of a lab: sudo without, with a right and with a wrong password, keyboard-interactive, secrets that are
# seen nowhere, a machine that stands still. Needs a running Docker, python3.
# needs: docker
# lane: hosts
# timeout: 600
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
export LAB_STATE=$TMP/lab
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/../lab/hosts.sh"

here=$(cd "$(dirname "$0")" && pwd)
TEPUY=$(realpath "${TEPUY:-${BUILD:-$here/../../build}/src/cli/tepuy}") || exit 1
cp "$TEPUY" "$TMP/tepuy"
TEPUY=$TMP/tepuy
LAB=tl-ssh-$$
unset SSH_AUTH_SOCK
export HOME=$TMP/home
mkdir -p "$HOME/.ssh"
at_exit lab_down "$LAB"
lab_up "$LAB" "${LAB_SUBNET:-auto}" 2 bare || exit 1
cp "$LAB_STATE/$LAB/ssh_config" "$HOME/.ssh/config"
lab_inventory "$LAB" >"$TMP/hosts.yaml"
cd "$TMP" || exit 1
for i in 1 2; do
	lab_root "$LAB" $i sh -c 'useradd -m -s /bin/bash ana && echo "ana:secret word" | chpasswd &&
		echo "ana ALL=(ALL) ALL" >/etc/sudoers.d/ana && useradd -m -s /bin/bash eva && echo "eva:other word" | chpasswd &&
		for u in ana eva; do mkdir -p /home/$u/.ssh && cp /home/admin/.ssh/authorized_keys /home/$u/.ssh/ && chown -R $u: /home/$u/.ssh; done'
done
sed 's/user: *admin/user: ana/' "$TMP/hosts.yaml" >"$TMP/ana.yaml"
sed 's/user: *admin/user: eva/' "$TMP/hosts.yaml" >"$TMP/eva.yaml"

# quiet ARGUMENT…: tepuy with nobody to ask.
quiet() {
	status=0
	setsid --wait timeout 60 "$TEPUY" "$@" >"$TMP/out" 2>"$TMP/err" </dev/null || status=$?
}

# asked ANSWER ARGUMENT…: tepuy at a terminal where sudo's password is typed.
asked() {
	local answer=$1
	shift
	status=0
	python3 "$here/answer.py" 'Password for sudo' "$answer" -- "$TEPUY" "$@" >"$TMP/out" 2>&1 || status=$?
}

# says NAME STATUS FILE TEXT…: a whole case, of the last tepuy.
says() {
	local name=$1 wanted=$2 file=$3 text
	shift 3
	case_begin "$name"
	if [ "$status" != "$wanted" ]; then
		not_ok "exit status $status instead of $wanted: $(cat "$TMP/out" "$TMP/err")"
		return
	fi
	for text; do
		grep -qF -- "$text" "$TMP/$file" || { not_ok "no '$text': $(cat "$TMP/$file")"; return; }
	done
	ok
}

quiet run -S -g -- id -un
says "sudo without a password" 0 out root
equal "on both machines" 2 "$(grep -c '^root$' "$TMP/out")"
quiet run -I ana.yaml -S -- true
says "sudo that asks, and nobody to ask" 1 err "asks for the password of ana, and nobody gave it"
asked 'secret word' run -I ana.yaml -S -g -- id -un
says "sudo's password, typed once for both" 0 out "2 of 2 hosts done"
equal "is asked for once" 1 "$(grep -c 'Password for sudo' "$TMP/out")"
equal "and both are root" 2 "$(tr -d '\r' <"$TMP/out" | grep -c '^root$')"
case_begin "input comes behind the password, whole"
head -c 100000 /dev/urandom | base64 >"$TMP/input"
python3 "$here/answer.py" 'Password for sudo' 'secret word' -- \
	sh -c "exec '$TEPUY' run -I ana.yaml -S -i -- sha256sum <'$TMP/input'" >"$TMP/out" 2>&1
if [ "$(grep -c "$(sha256sum <"$TMP/input" | cut -d' ' -f1)" "$TMP/out")" -eq 2 ]; then ok; else not_ok "$(cat "$TMP/out")"; fi
asked 'wrong word' run -I ana.yaml -H "$(sed -n 's/^ *\(h1\):.*/\1/p' ana.yaml | head -n 1)" -S -- true
says "a wrong one" 1 out "did not take the password of ana"
asked 'other word' run -I eva.yaml -S -- true
says "a user whom sudo does not know" 1 out "refused eva"
case_begin "a password is on no command line, here or there, and in no log"
echo 'secret word' >"$TMP/password"
python3 "$here/answer.py" 'Password for sudo' "@$TMP/password" -- \
	"$TEPUY" run -I ana.yaml -S -- sh -c 'touch /tmp/begun; while [ -e /tmp/begun ]; do sleep 0.1; done' >"$TMP/out" 2>&1 &
runner=$!
found=''
if wait_for 60 lab_root "$LAB" 1 test -e /tmp/begun; then
	found=$(grep -laE 'secret wor[d]' /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null)
	found+=$(lab_root "$LAB" 1 sh -c 'cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ | tr "\0" " " | grep -o "secret wor[d]"; journalctl | grep "secret wor[d]"')
	for i in 1 2; do wait_for 60 lab_root "$LAB" $i test -e /tmp/begun && lab_root "$LAB" $i rm /tmp/begun; done
	wait "$runner"
	if [ -z "$found" ]; then ok; else not_ok "$found"; fi
else
	not_ok "it did not begin: $(cat "$TMP/out")"
fi
quiet copy hosts.yaml -S --to /etc/tepuy-copied --mode 0600
says "copy as root" 0 out "h1: done" "h2: done"
equal "with its owner and mode" "root 600" "$(lab_root "$LAB" 2 stat -c '%U %a' /etc/tepuy-copied)"
quiet copy hosts.yaml --to /etc/tepuy-copied
says "without it the place is refused" 1 err "Permission denied"
for i in 1 2; do
	lab_root "$LAB" $i sh -c 'printf "PasswordAuthentication no\nKbdInteractiveAuthentication yes\nUsePAM yes\n" >/etc/ssh/sshd_config.d/00-kbd.conf; systemctl restart ssh; rm /home/ana/.ssh/authorized_keys'
done
case_begin "keyboard-interactive, typed once for both"
wait_for 60 lab_ssh "$LAB" 1 true
wait_for 60 lab_ssh "$LAB" 2 true
if python3 "$here/answer.py" 'assword' 'secret word' -- "$TEPUY" run -I ana.yaml -P 1 -- id -un >"$TMP/out" 2>&1 &&
	[ "$(grep -c ': ana' "$TMP/out")" -eq 2 ]; then ok; else not_ok "$(cat "$TMP/out")"; fi
case_begin "a machine that stands still in the middle is noticed, the other goes on"
setsid --wait "$TEPUY" run -- sh -c 'touch /tmp/standing; until [ -e /tmp/go ]; do sleep 0.1; done; echo went-on' >"$TMP/out" 2>"$TMP/err" </dev/null &
runner=$!
wait_for 60 lab_root "$LAB" 1 test -e /tmp/standing
wait_for 60 lab_root "$LAB" 2 test -e /tmp/standing
lab_hang "$LAB" 2
lab_root "$LAB" 1 touch /tmp/go
start=$(now_ms)
wait "$runner"
status=$?
took=$(($(now_ms) - start))
lab_unhang "$LAB" 2
if [ $status -eq 3 ] && [ $took -lt 60000 ] && grep -q 'h2 has not answered for' "$TMP/err" && grep -q 'h1: went-on' "$TMP/out"; then
	ok
else
	not_ok "$status after $took ms: $(cat "$TMP/out" "$TMP/err")"
fi
echo "      noticed after $took ms"
finish
