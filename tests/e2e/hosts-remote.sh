#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Logs of and commands in nodes on other hosts than the one that is asked: by the operator's SSH, straight or through the
# host of --host. A host dies: what is on it is named, the rest goes on; its nodes move after the default minute; `down`
# ends without it and is completed when it returns.
# needs: docker
# lane: built
# timeout: 1200

# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2119,SC2120,SC2154,SC2317 # lib.sh sets and calls what looks unset and uncalled
. "$(dirname "$0")/lib.sh"
# shellcheck source=lib-service.sh
. "$(dirname "$0")/lib-service.sh"
# shellcheck source=lib-faults.sh
. "$(dirname "$0")/lib-faults.sh"
# shellcheck source=../lab/hosts.sh
. "$(dirname "$0")/../lab/hosts.sh"
# shellcheck source=lib-hosts.sh
. "$(dirname "$0")/lib-hosts.sh"

make_tiny
make_haproxy
hosts_begin remote 3
hosts_seed
cat >"$TMP/service.yaml" <<-END
	service: $SERVICE
	components:
	  web: {recipe: tiny, nodes: 3}
	  front: {recipe: haproxy, connect: {backend: web}, publish: {http: 8080}, place: {host: h1}}
	  keeper: {recipe: tiny-data, place: {host: h3}}
END
hosts_copy 1 "$TMP/service.yaml"
checked "the service comes up" hosts_up 1
spread_out() {
	[ "$(placed web)" = "h1 h2 h3" ] || { echo "web: $(placed web)"; return 1; }
}
checked "a page is on each host" spread_out

# --- the operator ---

# Two of them: one whose hosts.yaml has all hosts, one who knows h1 only.
for who in all one; do
	mkdir -p "$TMP/$who/.ssh"
	chmod 700 "$TMP/$who/.ssh"
done
cp "$(lab_dir "$LAB")/ssh_config" "$TMP/all/.ssh/config"
lab_inventory "$LAB" 3 >"$TMP/all/hosts.yaml"
sed '/^Host h[23]$/,+1d' "$(lab_dir "$LAB")/ssh_config" >"$TMP/one/.ssh/config"

# operator WHO ARGUMENT…: not as a person, so nothing is asked.
operator() {
	local who=$1
	shift
	(cd "$TMP/$who" && exec env -u TEPUY_HOST -u TEPUY_SOCKET -u SSH_AUTH_SOCK HOME="$TMP/$who" setsid -w "$TEPUY" "$@")
}

# on HOST COMPONENT: the name of its node there, as SERVICE/web/2.
on() {
	hosts_json | jq -r --arg h "$1" --arg c "$2/" --arg s "$SERVICE" '[.services[0].nodes[] | select(.host == $h and
		(.node | startswith($c)) and .desired == "run") | "\($s)/\(.node)"] | first'
}

page1=$(on h1 web) page2=$(on h2 web) page3=$(on h3 web)

# write_line NODE TEXT: to the node's own output.
write_line() {
	operator all exec --host h1 "$1" sh -c "echo $2 >/proc/1/fd/1"
}

# --- logs ---

# Docker takes what a node writes from a pipe, in its own time: until then logs are asked for again.
for who in all one; do
	mark_is_there() {
		operator "$who" logs --host h1 "$page2" >"$TMP/out" 2>&1 || return 0
		grep -qx "mark-$who" "$TMP/out"
	}
	one_log() {
		write_line "$page2" "mark-$who" || return 1
		wait_for 60 mark_is_there
		operator "$who" logs --host h1 "$page2" >"$TMP/out" 2>&1 || { cat "$TMP/out"; return 1; }
		grep -qx "mark-$who" "$TMP/out" || { cat "$TMP/out"; return 1; }
	}
	checked "logs of a node on another host; the operator knows: $who" one_log
done

all_are_there() {
	operator one logs --host h1 "$SERVICE/web" >"$TMP/out" 2>"$TMP/err" || return 0
	[ "$(grep -c '| I-am-' "$TMP/out")" -ge 3 ]
}
all_logs() {
	local node
	for node in "$page1" "$page2" "$page3"; do write_line "$node" "I-am-${node##*/}" || return 1; done
	wait_for 60 all_are_there
	operator one logs --host h1 "$SERVICE/web" >"$TMP/out" 2>"$TMP/err" || { cat "$TMP/out" "$TMP/err"; return 1; }
	for node in "$page1" "$page2" "$page3"; do
		grep -qx "${node#"$SERVICE"/} | I-am-${node##*/}" "$TMP/out" || { cat "$TMP/out"; return 1; }
	done
	[ ! -s "$TMP/err" ] || { cat "$TMP/err"; return 1; }
}
checked "logs of a component on three hosts, each line behind its node" all_logs

line_came() {
	grep -qx "${1#"$SERVICE"/} | $2" "$TMP/follow.log"
}
followed() {
	local node
	start_process follow operator one logs --host h1 -f -n 0 "$SERVICE/web"
	follow_pid=$pid
	# It has begun at a host once a line comes through: written again until then.
	for node in "$page1" "$page2" "$page3"; do
		came() { write_line "$node" "new" && line_came "$node" new; }
		wait_for 90 came || { cat "$TMP/follow.log"; return 1; }
	done
	for node in "$page3" "$page1" "$page2"; do
		write_line "$node" "last-${node##*/}" || return 1
		wait_for 60 line_came "$node" "last-${node##*/}" || { cat "$TMP/follow.log"; return 1; }
	done
	end_process "$follow_pid"
}
checked "logs -f: new lines of all three come as they are written" followed

reader_goes() {
	write_line "$page2" "one-more" || return 1
	(operator one logs --host h1 -f "$page2" | head -n 1) >"$TMP/out" 2>"$TMP/err" &
	pid=$!
	lib_pids+=("$pid")
	# The line that shows it that nobody reads any more.
	ended() { gone_or_zombie "$pid" || { write_line "$page2" "and-more"; false; }; }
	wait_for 90 ended || { echo "it goes on"; return 1; }
	[ "$(wc -l <"$TMP/out") $(wc -c <"$TMP/err")" = "1 0" ] || { cat "$TMP/out" "$TMP/err"; return 1; }
}
checked "logs -f ends when its reader has gone" reader_goes

# --- exec ---

for who in all one; do
	one_command() {
		local status=0
		operator "$who" exec --host h1 "$page2" sh -c 'cat /etc/hostname; echo problem >&2; exit 7' >"$TMP/out" 2>"$TMP/err" || status=$?
		[ "$status $(cat "$TMP/err")" = "7 problem" ] || { echo "exit status $status"; cat "$TMP/out" "$TMP/err"; return 1; }
		grep -q . "$TMP/out"
	}
	checked "exec in a node on another host: outputs and exit status; the operator knows: $who" one_command
done

head -c 3000000 /dev/urandom | base64 -w 100 >"$TMP/input"
input_through() {
	operator one exec -i --host h1 "$page3" cat <"$TMP/input" >"$TMP/output" || return 1
	cmp "$TMP/input" "$TMP/output"
}
checked "exec -i: 4 MB go there and back, the end of input arrives" input_through

typing() {
	(cd "$TMP/$1" && HOME=$TMP/$1 env -u TEPUY_HOST -u TEPUY_SOCKET -u SSH_AUTH_SOCK \
		python3 "$root/tests/e2e/typist.py" "$TEPUY" exec -it --host h1 "$2" sh) >"$TMP/typed" || { cat "$TMP/typed"; return 1; }
}
checked "exec -it on the host of --host: a terminal, its size, its exit status" typing one "$page1"
echo "      a typed line comes back after $(cat "$TMP/typed") ms (median of 20): one host away"
checked "exec -it on another host, through that one" typing one "$page2"
echo "      a typed line comes back after $(cat "$TMP/typed") ms: through h1"
checked "exec -it on another host, straight" typing all "$page2"
echo "      a typed line comes back after $(cat "$TMP/typed") ms: straight"

sleeps_there() {
	hosts_exec 2 pgrep -f 'sleep 98765'
}
given_up() {
	start_process session python3 "$root/tests/e2e/terminal.py" 80 24 '' env -u TEPUY_HOST -u TEPUY_SOCKET HOME="$TMP/one" \
		"$TEPUY" exec -it --host h1 "$page2" sleep 98765
	wait_for 60 sleeps_there || { echo "it does not begin"; cat "$TMP/session.log"; return 1; }
	pkill -KILL -P "$pid" # the program itself, by its parent's id
	wait_for 60 eval '! sleeps_there' || { echo "it goes on without its terminal"; return 1; }
	end_process "$pid"
}
checked "the command line is killed in the middle: its command in the node ends" given_up

by_component() {
	[ "$(operator one exec --host h1 "$SERVICE/keeper" sh -c 'echo here' 2>&1)" = here ]
}
checked "a component that is on another host only" by_component

# Somebody at work on h2 itself, whom no host lets in.
no_way() {
	hosts_exec 2 tepuy exec "$page1" true >"$TMP/out" 2>&1 && return 1
	grep -qE "$page1 is on another host: .*key of h1 .* is not known" "$TMP/out" || { cat "$TMP/out"; return 1; }
}
checked "who is let in nowhere is told so" no_way

# (sshd that is told to reload refuses connections for a moment, and nobody says when it is over.)
no_forwarding() {
	lab_root "$LAB" 1 sh -c 'echo AllowTcpForwarding no >/etc/ssh/sshd_config.d/lab.conf; systemctl restart ssh'
	operator one exec --host h1 "$page2" true >"$TMP/out" 2>&1 && return 1
	lab_root "$LAB" 1 sh -c 'rm /etc/ssh/sshd_config.d/lab.conf; systemctl restart ssh'
	grep -q "$page2 is on another host: No SSH session with h2 .*h1 does not let us go on from there" "$TMP/out" || { cat "$TMP/out"; return 1; }
}
checked "a host that forwards nothing is named" no_forwarding

# --- a host dies ---

# ended_with STATUS FILE PATTERN: it ended with $status, and the pattern is in the file.
ended_with() {
	if [ "$status" = "$1" ] && grep -q -- "$3" "$TMP/$2"; then return 0; fi
	echo "exit status $status"
	cat "$TMP/$2"
	return 1
}

lab_kill "$LAB" 3
died_ms=$(now_ms)
to_the_dead() {
	local began status=0
	began=$(now_ms)
	operator one exec --host h1 "$page3" true >"$TMP/out" 2>&1 || status=$?
	ended_with 1 out "$page3 is on another host: .*h3" || return 1
	[ $(($(now_ms) - began)) -lt 40000 ] || { echo "it took $(seconds $(($(now_ms) - began)))"; return 1; }
}
checked "exec on a host that is dead: a sentence, within its bound" to_the_dead

others_logs() {
	local status=0
	operator one logs --host h1 "$SERVICE/web" >"$TMP/out" 2>"$TMP/err" || status=$?
	ended_with 3 err "^tepuy: h3: .*h3" || return 1
	ended_with 3 out "${page1#"$SERVICE"/} | " && ended_with 3 out "${page2#"$SERVICE"/} | "
}
checked "logs of the component: the others' lines, and which host is missing; exit status 3" others_logs

# The default of reschedule_after counts from the moment at which Consul says that the host is dead, which is after its death;
# that moment is seen here only when what is above has ended.
moved() {
	wait_for 120 host_is h3 '.alive | not' || return 1
	wait_for 180 healthy_elsewhere web 3 h3 || { echo "web: $(placed web)"; return 1; }
	moved_ms=$(now_ms)
	[ $((moved_ms - died_ms)) -ge 60000 ] || { echo "after $(seconds $((moved_ms - died_ms))) already"; return 1; }
}
checked "its nodes are elsewhere after the default minute, not before" moved
echo "      healthy elsewhere $(seconds $((moved_ms - died_ms))) after its death"

told() {
	grep -q "^tepuy: h3 has not answered for .*$SERVICE/keeper/1.*tepuy host remove h3 --force" "$TMP/down.log"
}
down_without() {
	local status=0 pid
	began=$(now_ms)
	start_process down operator one down --host h1 "$SERVICE" --yes
	wait_for 60 told || { cat "$TMP/down.log"; return 1; }
	told_ms=$(($(now_ms) - began))
	wait "$pid" || status=$?
	down_ms=$(($(now_ms) - began))
	ended_with 3 down.log "$SERVICE is down but for what is on h3" || return 1
	[ "$(hosts_json | jq -r '[.services[0].nodes[].host] | unique | join(" ")')" = h3 ]
}
checked "down: the dead host is named at once, the rest is taken down, exit status 3" down_without
echo "      named after $(seconds "$told_ms"), ended after $(seconds "$down_ms")"

completed() {
	lab_start "$LAB" 3 || return 1
	within 120 hosts_phase 1 removed || return 1
	wait_for 120 nothing_runs 3
}
checked "it returns: the rest is done" completed
finish
