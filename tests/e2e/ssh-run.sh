#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# tepuy run, copy, --host and dial-stdio against real sshd: host keys, ways to log in, jump hosts, hosts that hang, many
# hosts at once. Needs openssh-server, python3, socat, jq.
# timeout: 900
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib-ssh.sh"

PORT=2200
cat >"$SSH_HOME/.ssh/config" <<END
Host a1
	HostName 127.0.1.1
Host a2
	HostName 127.0.1.2
Host a3
	HostName 127.0.1.3
Host other
	HostName 127.0.2.1
	Port 2201
Host encrypted
	HostName 127.0.1.1
	Port 2206
	IdentityFile $TMP/keys/encrypted
	IdentitiesOnly yes
Host password
	HostName 127.0.1.1
	Port 2202
	User ana
	PubkeyAuthentication no
Host inner
	HostName 127.0.9.1
	Port 2203
	ProxyJump root@127.0.1.1:2200
Host nowhere
	HostName 127.0.9.1
	Port 2299
	ProxyJump root@127.0.1.1:2200
Host piped
	HostName 127.0.1.4
	ProxyCommand socat - TCP:%h:%p
Host *
	Port 2200
	User root
	IdentityFile $TMP/keys/operator
END
make_key other
make_key encrypted ed25519 'open sesame'
start_sshd main $PORT
start_sshd other 2201 "HostKey=$TMP/keys/other"
start_sshd password 2202 PasswordAuthentication=yes

start_sshd encrypted 2206 "AuthorizedKeysFile=$TMP/keys/encrypted.pub"
know 127.0.1.1 2206

echo "-- host keys"
tepuy run -H a1 -- true
expect "a new key is refused when nobody can be asked" 1 err "is not known, and nobody accepted it" \
	"$(ssh-keygen -lf "$TMP/keys/host.pub" | cut -d' ' -f2)"
case_begin "a new key is asked for at the terminal, its fingerprint shown"
if python3 "$here/answer.py" 'Is it right? [yes/no]' yes -- "$TEPUY" run -H a1 -- echo reached >"$TMP/out" 2>&1 &&
	shows out "a1: reached" "$(ssh-keygen -lf "$TMP/keys/host.pub" | cut -d' ' -f2)"; then ok; else not_ok "$(cat "$TMP/out")"; fi
check "and remembered where ssh finds it" ssh-keygen -F '[127.0.1.1]:2200' -f "$SSH_HOME/.ssh/known_hosts"
tepuy run -H a1 -- echo again
expect "so that it is not asked for again" 0 out "a1: again"
case_begin "'no' is no"
python3 "$here/answer.py" 'Is it right? [yes/no]' no -- "$TEPUY" run -H a2 -- echo reached >"$TMP/out" 2>&1
status=$?
if [ $status -eq 1 ] && ! grep -q 'a2: reached' "$TMP/out"; then ok; else not_ok "$status $(cat "$TMP/out")"; fi
know 127.0.1.2 2200
printf '# a line before it\n' >>"$SSH_HOME/.ssh/known_hosts"
know 127.0.1.3 2200 other
line=$(wc -l <"$SSH_HOME/.ssh/known_hosts")
tepuy run -H a1,a2,a3 -- echo here
expect "a changed key is refused with both fingerprints, the file and the line" 3 err "has changed" \
	"$(ssh-keygen -lf "$TMP/keys/host.pub" | cut -d' ' -f2)" "$(ssh-keygen -lf "$TMP/keys/other.pub" | cut -d' ' -f2)" \
	"known_hosts:$line" "ssh-keygen -R '[127.0.1.3]:2200'"
check "and the others go on" shows out "a1: here" "a2: here"
ssh-keygen -q -R '[127.0.1.3]:2200' -f "$SSH_HOME/.ssh/known_hosts" >"$TMP/keygen.log" 2>&1
know 127.0.1.3 2200
ssh-keygen -q -H -f "$SSH_HOME/.ssh/known_hosts" >"$TMP/keygen.log" 2>&1
tepuy run -H a1,a2,a3 -- true
expect "hashed names are found" 0 err "3 of 3 hosts done"
printf 'hosts:\n  f: {address: 127.0.3.1, port: 2201, user: root, fingerprint: "%s"}\n' \
	"$(ssh-keygen -lf "$TMP/keys/other.pub" | cut -d' ' -f2)" >"$WORK/right.yaml"
printf 'hosts:\n  f: {address: 127.0.3.1, port: 2201, user: root, fingerprint: "%s"}\n' \
	"$(ssh-keygen -lf "$TMP/keys/host.pub" | cut -d' ' -f2)" >"$WORK/wrong.yaml"
tepuy run -I right.yaml -- echo named
expect "a fingerprint of hosts.yaml is enough" 0 out "f: named"
tepuy run -I wrong.yaml -- true
expect "another one is refused" 1 err "shows another host key than the one expected"

echo "-- ways to log in"
tepuy run -H encrypted -- true
expect "an encrypted key without a terminal" 1 err "its passphrase was not given"
case_begin "the passphrase of an encrypted key"
if python3 "$here/answer.py" 'Passphrase of the key' 'open sesame' -- "$TEPUY" run -H encrypted -- echo in >"$TMP/out" 2>&1 &&
	shows out "encrypted: in"; then ok; else not_ok "$(cat "$TMP/out")"; fi
case_begin "an agent's key"
eval "$(ssh-agent -s)" >"$TMP/agent.log"
at_exit kill "$SSH_AGENT_PID"
ssh-add -q - <"$TMP/keys/operator" 2>>"$TMP/agent.log"
sed -i "s|IdentityFile $TMP/keys/operator|IdentityFile $TMP/keys/none|" "$SSH_HOME/.ssh/config"
tepuy run -H a1 -- echo by-agent
sed -i "s|IdentityFile $TMP/keys/none|IdentityFile $TMP/keys/operator|" "$SSH_HOME/.ssh/config"
unset SSH_AUTH_SOCK
if [ "$status" -eq 0 ] && shows out "a1: by-agent"; then ok; else not_ok "$(cat "$TMP/err")"; fi
know 127.0.1.1 2202
case_begin "a password, typed once and not shown"
if python3 "$here/answer.py" 'Password of ana on password' 'pass word' -- "$TEPUY" run -H password -- id -un >"$TMP/out" 2>&1 &&
	shows out "password: ana" && ! grep -q 'pass word' "$TMP/out"; then ok; else not_ok "$(cat "$TMP/out")"; fi
case_begin "a wrong password"
python3 "$here/answer.py" 'Password of ana on password' wrong -- "$TEPUY" run -H password -- true >"$TMP/out" 2>&1
status=$?
if [ $status -eq 1 ] && shows out "did not let ana in (it takes: publickey, password; tried: password)"; then ok; else not_ok "$status"; fi
tepuy run -H nobody-there@a1 -- true
expect "a user who is not there" 1 err "did not let nobody-there in"

echo "-- the way there"
start_sshd inner 2203 "HostKey=$TMP/keys/other"
know 127.0.9.1 2203 other
tepuy run -H inner -- sh -c 'echo "${SSH_CONNECTION%% *}"; cat /proc/version >/dev/null; head -c 300000 /dev/zero | wc -c'
expect "through a jump host" 0 out "inner: 127.0.0.1" "inner: 300000"
tepuy run -H nowhere -- true
expect "a host that the jump host cannot reach" 1 err "No SSH session with nowhere"
know 127.0.1.4 2200
tepuy run -H piped -- echo through
expect "through a command" 0 out "piped: through"
tepuy run -H root@127.0.1.1:2298 -- true
expect "nobody listens" 1 err "refuses connections at 127.0.1.1:2298"
tepuy run -H no-such-name.invalid -- true
expect "no such name" 1 err "cannot be found"

echo "-- what is run"
tepuy run -H a1 -- printf '<%s>' 'a b' "it's" '$HOME' '' '*'
expect "words reach the command as they are" 0 out "a1: <a b><it's><\$HOME><><*>"
tepuy run -H a1 -c -- 'echo $((1 + 2)); false || echo or'
expect "--shell gives a line to the shell" 0 out "a1: 3" "a1: or"
tepuy run -H a1,a2,a3 -- sh -c 'exit $(echo "$SSH_CONNECTION" | cut -d" " -f3 | cut -d. -f4)'
expect "exit statuses of the hosts" 1 err "a1 (1), a2 (2), a3 (3)"
tepuy run -H a1,a2 --json -- sh -c 'echo out; echo err >&2; case $SSH_CONNECTION in *127.0.1.2*) exit 7;; esac'
equal "--json has status, output and time of each" '[0,7,"out\n","err\n",true,1,1]' \
	"$(jq -c '[.hosts[0].status, .hosts[1].status, .hosts[0].stdout, .hosts[1].stderr, (.hosts[0].ms > 0), .done, .failed]' "$TMP/out")"
equal "and the exit status is 3 when some failed" 3 "$status"
# The first host ends last.
tepuy run -H a1,a2,a3 --group -- sh -c 'case $SSH_CONNECTION in *127.0.1.1\ *) sleep 1;; esac; echo x; echo y'
equal "--group keeps the order of the hosts" "a1:x,y,a2:x,y,a3:x,y," \
	"$(sed 's/^\(a[0-9]\):.*/\1:/' "$TMP/out" | tr '\n' ',' | sed 's/:,/:/g')"
head -c 200000 /dev/urandom | base64 >"$TMP/input"
case_begin "standard input goes to all, whole"
(cd "$WORK" && "$TEPUY" run -i -H a1,a2,a3 -- sha256sum) <"$TMP/input" >"$TMP/out" 2>"$TMP/err"
if [ "$(grep -c "$(sha256sum <"$TMP/input" | cut -d' ' -f1)" "$TMP/out")" = 3 ]; then ok; else not_ok "$(cat "$TMP/out" "$TMP/err")"; fi
tepuy run -H a1 --timeout 5s -- sleep 30
expect "--timeout gives a command up" 1 err "did not end in its time"
tepuy run -H a1,a2,a3 --serial -- sh -c 'case $SSH_CONNECTION in *127.0.1.2\ *) exit 1;; esac; echo begun'
expect "--serial stops at a failure" 3 err "1 of 3 hosts done, 1 failed, 1 not begun"
tepuy run -H a1,a2,a3 -P 1 --max-failures 0 -- false
expect "--max-failures begins no others" 1 err "1 failed, 2 not begun"
tepuy run -- true
expect "no hosts at all" 2 err "There is no hosts.yaml here"
printf 'hosts:\n  web1: {address: 127.0.1.1, port: 2200, labels: {role: web}}\n  web2: {address: 127.0.1.2, port: 2200, labels: {role: web}}\n  db: {address: 127.0.1.3, port: 2200}\n' >"$WORK/hosts.yaml"
tepuy run -l role=web -g -- true
equal "--label chooses" "web1 web2" "$(cut -d: -f1 "$TMP/out" | xargs)"
tepuy run -H 'web*,db' -g -- true
equal "--hosts takes patterns" "web1 web2 db" "$(cut -d: -f1 "$TMP/out" | xargs)"
tepuy run -H web3 -- true
expect "a name that is nearly one of them" 2 err "did you mean 'web"

echo "-- copy"
head -c 3000000 /dev/urandom >"$WORK/file"
tepuy copy file -H web1 --to "$TMP/copied" --mode 0640
expect "a file is copied" 0 out "web1: done"
check "whole" cmp "$WORK/file" "$TMP/copied"
equal "with its mode" 640 "$(stat -c %a "$TMP/copied")"
inode=$(stat -c %i "$TMP/copied")
tepuy copy file -H web1 --to "$TMP/copied" --mode 0600
equal "one that is there is not sent again, its mode is set" "$inode 600" "$(stat -c '%i %a' "$TMP/copied")"
tepuy copy file -H web1 --to "$TMP/none/file"
expect "a directory that is not there" 1 err "could not be written"
mkdir "$TMP/full"
mount -t tmpfs -o size=1m tmpfs "$TMP/full"
tepuy copy file -H web1 --to "$TMP/full/file"
expect "a full disk" 1 err "No space left on device"
equal "leaves nothing behind" "" "$(ls -A "$TMP/full")"
umount "$TMP/full"

echo "-- another host's agent"
mkdir "$TMP/bin"
printf '#!/bin/sh\necho $$ >>%s/dialled\nTEPUY_SOCKET=%s exec %s "$@"\n' "$TMP" "$TMP/far.sock" "$TEPUY" >"$TMP/bin/tepuy"
chmod 755 "$TMP/bin/tepuy"
cat >"$TMP/far.py" <<'END'
import os, sys, time
sys.path.insert(0, sys.argv[2])
from fake_agent import Exec, FakeAgent, Reply, Stream

def echo(frames):
    while True:
        kind, data = frames.receive()
        if kind == "0":
            frames.send("1", data)
        elif kind in (None, "5"):
            break
    frames.send("2", b"that was all\n")
    frames.exit(5)

agent = FakeAgent(sys.argv[1])
agent.on("GET", "/v1/services", Reply(200, {"services": []}))
agent.on("POST", "/v1/exec/portal/web/1", Exec(echo))
agent.on("GET", "/v1/events.*", Stream([{"time": 1, "host": "far", "kind": "up", "text": "one", "node": "", "service": "portal"}], hold=True))
while True:
    time.sleep(60)
END
start_process far python3 "$TMP/far.py" "$TMP/far.sock" "$here/../unit/cli"
start_sshd far 2204 "SetEnv=PATH=$TMP/bin:/usr/bin:/bin"
printf 'hosts:\n  far: {address: 127.0.5.1, port: 2204, user: root}\n  web1: {address: 127.0.1.1, port: 2200}\n' >"$WORK/hosts.yaml"
know 127.0.5.1 2204
wait_for 60 test -S "$TMP/far.sock"
export XDG_RUNTIME_DIR=$TMP/runtime # of this script alone
mkdir "$XDG_RUNTIME_DIR"
tepuy ps --host far --json
expect "--host asks that host's agent" 0 out '"nodes": []'
case_begin "\$TEPUY_HOST does the same"
export TEPUY_HOST=far
tepuy ps --json
unset TEPUY_HOST
if [ "$status" -eq 0 ]; then ok; else not_ok "$(cat "$TMP/err")"; fi
head -c 3000000 /dev/urandom >"$TMP/session"
case_begin "a session goes through, both ways, with its exit status"
(cd "$WORK" && timeout 60 "$TEPUY" exec --host far -i portal/web/1 -- cat) <"$TMP/session" >"$TMP/out" 2>"$TMP/err"
status=$?
if [ $status -eq 5 ] && cmp -s "$TMP/session" "$TMP/out" && shows err "that was all"; then ok; else not_ok "$status $(cat "$TMP/err")"; fi
case_begin "a stream comes as it is told, and ends with us"
(cd "$WORK" && exec timeout 60 "$TEPUY" events --host far --follow) >"$TMP/events" 2>&1 &
events=$!
if wait_for 60 grep -q one "$TMP/events"; then ok; else not_ok "$(cat "$TMP/events")"; fi
kill "$events"
wait "$events" 2>/dev/null
equal "nothing of it stays behind" "" "$(ls -A "$XDG_RUNTIME_DIR")"
check "its other side ends too" wait_for 60 sh -c "! xargs ps -p <'$TMP/dialled'"
tepuy ps --host web1
expect "a host without tepuy" 1 err "web1: " "not found"
tepuy ps --host no-such-host.invalid
expect "a host that is not there" 1 err "cannot be found"

echo "-- hosts that hang"
start_sshd hang 2205
know 127.0.6.1 2205
hang=$SSHD_PID
kill -STOP "$hang"
start=$(now_ms)
tepuy run -H root@127.0.6.1:2205,a1 -- echo there
took=$(($(now_ms) - start))
expect "a host that takes connections and says nothing" 3 err "127.0.6.1" "in time"
check "is given up in bounded time ($took ms)" test "$took" -lt "$(most 40000)"
kill -CONT "$hang"
# The session of before, whose client has gone, ends first: then it is this one's.
no_session() {
	! pgrep -P "$hang"
}
wait_for 60 no_session
case_begin "a host that hangs in the middle of a command"
(cd "$WORK" && exec setsid --wait "$TEPUY" run -H root@127.0.6.1:2205 -- sh -c "echo >$TMP/hung; exec sleep 300") >"$TMP/out" 2>"$TMP/err" </dev/null &
runner=$!
if wait_for 60 test -e "$TMP/hung"; then
	session=$(pgrep -P "$hang")
	kill -STOP "$session"
	start=$(now_ms)
	wait "$runner"
	status=$?
	took=$(($(now_ms) - start))
	kill -KILL "$session"
	if [ $status -eq 1 ] && [ $took -lt "$(most 50000)" ] && shows err "has not answered for"; then ok; else not_ok "$status after $took ms: $(cat "$TMP/err")"; fi
else
	not_ok "it did not begin"
fi

echo "-- many hosts"
many=''
for i in $(seq 1 250); do
	know "127.1.1.$i" 2200
	know "127.1.2.$i" 2200
	many+="127.1.1.$i,127.1.2.$i,"
done
case_begin "500 hosts, 64 at a time, with 256 descriptors to begin with"
(cd "$WORK" && ulimit -S -n 256 && exec setsid --wait "$TEPUY" run -P 64 -H "$many" -- true) >"$TMP/out" 2>"$TMP/err" </dev/null &
runner=$!
most_fds=0 most_kb=0
while alive "$runner" && ! gone_or_zombie "$runner"; do
	child=$(pgrep -P "$runner" -f 'run -P 64' | head -n 1)
	fds=$(find "/proc/${child:-$runner}/fd" -mindepth 1 2>/dev/null | wc -l)
	kb=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/${child:-$runner}/status" 2>/dev/null)
	[ "$fds" -le "$most_fds" ] || most_fds=$fds
	[ "${kb:-0}" -le "$most_kb" ] || most_kb=$kb
	sleep 0.05
done
wait "$runner"
status=$?
if [ $status -eq 0 ] && shows err "500 of 500 hosts done" && [ "$most_fds" -lt 250 ] && [ "$most_kb" -lt "$(most 100000)" ]; then ok; else not_ok "$status $(tail -n 3 "$TMP/err")"; fi
echo "      at most $most_fds descriptors, $most_kb kB of memory; $(tail -n 1 "$TMP/err")"
finish
