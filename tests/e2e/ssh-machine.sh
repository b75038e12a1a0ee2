#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What the driver of machines asks of SSH, against a real sshd (ssh-machine.c). Needs openssh-server, socat.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib-ssh.sh"

make_key other
# None of this is for machines that the program made by itself.
printf 'Host *\n\tProxyCommand false\n\tUser nobody\n' >"$SSH_HOME/.ssh/config"
start_sshd main 2200
start_process echo socat "UNIX-LISTEN:$TMP/echo.sock,fork" EXEC:cat
check "a server of echoes listens" wait_for 60 test -S "$TMP/echo.sock"
(cd "$WORK" && timeout 600 "${BUILD:-$here/../../build}/tests/e2e/ssh-machine" 2200 "$TMP/keys/operator" "$TMP/keys/other" \
	"$(ssh-keygen -lf "$TMP/keys/host.pub" | cut -d' ' -f2)" "$TMP/echo.sock") | tee "$TMP/result"
count_results "$TMP/result"
finish
