#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Breaks the plan, the agents' decisions or the simulated Consul in one way after the other and expects the simulator to
# notice each. A line is: file, what to replace, what with (sed, basic regular expressions; `|` does not occur in them).
# Usage: tests/sim/mutants.sh [SCHEDULES [PATTERN]]: only the lines that PATTERN matches.
set -eu
cd "$(dirname "$0")/../.."
schedules=${1:-10000}
pattern=${2:-.}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
flags="-std=gnu17 -O2 -D_GNU_SOURCE -w"
libs="-ljansson -lcrypto -lm -lpthread"
cc=${CC:-cc}
alive=0
total=0

# Objects of a tree, named by their place in it.
compile() {
	for source in "$@"; do
		name=$(printf '%s' "$source" | tr / _)
		$cc $flags -DTEPUY_VERSION='"0"' -I"$dir/tree/src" -I"$dir/tree/tests/sim" -c "$dir/tree/$source" -o "$dir/${name%.c}.o" || return 2
	done
}

sources='src/plan/*.c src/base/*.c src/agent/converge.c tests/sim/*.c'
mkdir "$dir/tree"
cp -r --parents src/base src/plan src/agent src/model src/consul tests/sim "$dir/tree"
compile $sources

# Builds and runs the simulator with that file as it is in $dir/tree.
try() {
	compile "$1" || return 2
	$cc "$dir"/*.o $libs -o "$dir/sim" || return 2
	timeout 3000 "$dir/sim" --schedules "$schedules" >"$dir/output" 2>&1
}

grep -e "$pattern" <<'END' >"$dir/mutants"
src/plan/facts.c|unit_answers(unit, PLAN_STOPPED)|true
src/plan/facts.c|unit->it->answers_ms == unit->it->since_ms|true
src/plan/node.c|group->want->exclusive ? !node_alone(node, node->current)|group->want->exclusive ? false
src/plan/node.c|component_stop_first(group->want) && others_live(node)|false
src/plan/drain.c|current->proven && serves(current) && |
src/plan/drain.c|group->down < want->update.parallel|true
src/plan/drain.c|!let_go(work, unit, group->consumers\[i\])|false
src/plan/facts.c|> ILL_MS ? for_ms : ILL_MS|> 0 ? 0 : 0
src/plan/facts.c|return unit->desired == PLAN_DRAIN .. unit->desired == PLAN_STOP ..|return
src/plan/fail.c|work->status.phase != PLAN_ROLLING_BACK && |
src/plan/fail.c|unit_answers(unit, PLAN_FAILED) && unit->desired == PLAN_PREPARE|false
src/plan/fail.c|reached(work, told_ms < phase_ms ? told_ms : phase_ms, group->want->update.deadline_ms)|false
src/plan/phases.c|ready && !work->acted|!work->acted
src/plan/phases.c|work->acted .. work->full .. extras_left(work)|false
src/plan/phases.c|if (!all_right(work))|if (false)
src/plan/act.c|unit->proven = false;|
src/plan/act.c|status->status.step++;|
src/plan/act.c|if (node->units\[i\].it->gen >= gen)|if (false)
src/plan/node.c|!unit->proven && passes(work, group->want, unit)|!unit->proven
src/plan/node.c|if (unit && node->out)|if (false)
src/plan/next.c|spec->revision != work->status.revision|false
src/plan/place.c|host->host->cordoned .. host->host->drained|false
src/plan/facts.c|if (a->displaced != b->displaced)|if (false)
src/plan/next.c|if (!host->alive) {|if (false) {
src/plan/place.c|if (!host->host->alive .. |if (
src/plan/next.c|if (!host .. !movable)|if (!host)
src/plan/node.c|if (node->current->lost)|if (false)
src/plan/facts.c|return !host->alive \&\& sure.*|return false;
src/plan/act.c|desired == PLAN_RUN ? ack_hosts(work, unit) : (struct strv){ 0 }|(struct strv){ 0 }
src/plan/facts.c|return reached(work, work->lookup->view->looking_ms, PLAN_SETTLE_MS)|return true
src/plan/facts.c|if (unit->misplaced .. work->status.phase|if (false \&\& work->status.phase
src/plan/groups.c|!host_fits(unit->host, group->want)|false
src/plan/phases.c|if (refused) {|if (false) {
src/plan/drain.c|(!acks\[i\]->since_ms .. acks\[i\]->since_ms == unit->it->since_ms)|true
src/agent/converge.c|(here \&\& !view->explained)|false
src/agent/converge.c|view->container == CONTAINER_UNKNOWN .. |
src/agent/converge.c|\&\& !view->volumes_held|
src/agent/converge.c|if (view->desired == NODE_STOP \&\& !runs \&\& |if (failed) return "failed"; if (view->desired == NODE_STOP \&\& !runs \&\& |
src/agent/converge.c|\&\& view->container != CONTAINER_UNKNOWN \&\& !view->registered|
src/agent/converge.c|if (!view->registered .. !view->level)|if (!view->registered)
tests/sim/consul.c|a->index != w->kv.services\[service\].status_index|false
tests/sim/links.c|return returned_at \&\& |return false \&\& 
tests/sim/links.c|until = r->health_at + HOLD_UNRUN_MS|until = 0
tests/sim/links.c|r->component) ? 0 : NEVER|r->component) ? 0 : 0
src/agent/converge.c|if (view->container == CONTAINER_UNKNOWN)|if (false)
END

while IFS='|' read -r file from to; do
	total=$((total + 1))
	sed "s|$from|$to|" "$file" >"$dir/tree/$file"
	if cmp -s "$file" "$dir/tree/$file"; then
		echo "NOTHING CHANGED  $file: $from"
		alive=$((alive + 1))
	elif try "$file"; then
		echo "SURVIVED         $file: $from -> $to"
		alive=$((alive + 1))
	else
		echo "caught           $file: $from -> $to"
		echo "                 $(grep -a '^FAILED' "$dir/output" | head -n 1)"
	fi
	cp "$file" "$dir/tree/$file"
	compile "$file"
done <"$dir/mutants"
echo "$total mutants, $alive not caught"
[ "$alive" -eq 0 ]
