#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Breaks the plan, the agents' decisions or the simulated Consul in one way after the other and expects the simulator to
# notice each, or else a row of the unit tests, where what it takes is too rare for schedules that come by chance. A line is: file, what to replace, what with (sed, basic regular expressions; `|` does not occur in them).
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
rows='tests/unit/plan/test-plan-[!j]*.c tests/unit/agent/test-converge.c'
mkdir "$dir/tree"
cp -r --parents src/base src/plan src/agent src/model src/consul tests/sim tests/unit/plan tests/unit/agent "$dir/tree"
compile $sources $rows tests/unit/plan/plan-kit.c

# Builds and runs the simulator with that file as it is in $dir/tree.
try() {
	compile "$1" || return 2
	$cc "$dir"/src_*.o "$dir"/tests_sim_*.o $libs -o "$dir/sim" || return 2
	timeout 3000 "$dir/sim" --schedules "$schedules" >"$dir/output" 2>&1
}

# Do all rows pass with the objects that are there?
try_rows() {
	for source in $rows; do
		name=$(printf '%s' "$source" | tr / _)
		$cc "$dir"/src_*.o "$dir/${name%.c}.o" "$dir/tests_unit_plan_plan-kit.o" $libs -lcmocka -o "$dir/rows" || return 2
		timeout 60 "$dir/rows" >"$dir/output" 2>&1 || return 1
	done
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
src/plan/place.c|component_stop_first(want) \&\& i < node->n_units|false
src/plan/lookup.c|if (!take_turns(lookup, it))|if (true)
src/plan/fail.c|return unit->it->revision >= work->spec->revision|return unit->it->gen >= work->status.revision
src/plan/fail.c|unit_answers(unit, PLAN_FAILED) && unit->desired == PLAN_PREPARE|false
src/plan/fail.c|reached(work, told_ms < phase_ms ? told_ms : phase_ms, group->want->update.deadline_ms)|false
src/plan/phases.c|ready && !work->acted|!work->acted
src/plan/phases.c|work->acted .. work->full .. old_ones_left(work)|false
src/plan/phases.c|old_ones_left(work) .. work->service->n_leaving|old_ones_left(work)
src/plan/phases.c|old_ones_left(work)|false
src/plan/phases.c|^	retire_kept(work);|
src/plan/phases.c|(!unit->host .. unit->host->alive))$|true)
src/plan/phases.c|^	retire_extras(work);|
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
src/plan/take-over.c|one \&\& has_rival(work, unit) ? PLAN_DRAIN : PLAN_RUN|PLAN_RUN
src/plan/take-over.c|!has_awaited_providers(work, unit, \&soon)|true
src/plan/take-over.c|return unit_answers(unit, PLAN_RUNNING) \&\& unit->desired == PLAN_PREPARE.*|return false;
src/plan/take-over.c|bool vain = .*|bool vain = false;
src/plan/take-over.c|unit->it->desired != PLAN_RUN \&\& !runs_already(unit)|false
src/plan/act.c|action->index = 0;|action->index = 0; exclusive = false;
src/plan/next.c|if (take_over(work))|take_over(work); if (false)
src/plan/node.c|return !one .. node_alone(node, node->current).*|return true;
src/plan/node.c|.. !unit->it->revision))|))
src/agent/converge.c|(here \&\& !view->explained)|false
src/agent/converge.c|if (failed .. (view->foreign \&\& view->desired != NODE_STOP))|if (failed)
src/agent/converge.c|view->desired == NODE_PREPARE \&\& runs)|false)
src/agent/converge.c|view->container == CONTAINER_UNKNOWN .. |
src/agent/converge.c|\&\& !view->volumes_held|
src/agent/converge.c|if (view->desired == NODE_STOP \&\& !runs \&\& |if (failed) return "failed"; if (view->desired == NODE_STOP \&\& !runs \&\& |
src/agent/converge.c|\&\& view->container != CONTAINER_UNKNOWN \&\& !view->registered|
src/agent/converge.c|if (!view->registered .. !view->level)|if (!view->registered)
tests/sim/consul.c|a->index != w->kv.services\[service\].status_index|false
tests/sim/agents.c|a->mind.orphaned = .*|a->mind.orphaned = false;
tests/sim/agents.c|!a->heard.explained .. ours;|ours;
tests/sim/agents.c|bool ours = .*|bool ours = false;
tests/sim/agents.c|^		    !w->actual\[i\].mind.found_known)|		    false)
tests/sim/links.c|return w->hosts\[c->host\].away .*|return false;
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
	elif try "$file" && try_rows; then
		echo "SURVIVED         $file: $from -> $to"
		alive=$((alive + 1))
	elif grep -aq '^\[  FAILED  \]' "$dir/output"; then
		echo "caught by a row  $file: $from -> $to"
		echo "                 $(grep -a '^\[  FAILED  \]' "$dir/output" | head -n 1)"
	else
		echo "caught           $file: $from -> $to"
		echo "                 $(grep -a '^FAILED' "$dir/output" | head -n 1)"
	fi
	cp "$file" "$dir/tree/$file"
	compile "$file"
done <"$dir/mutants"
echo "$total mutants, $alive not caught"
[ "$alive" -eq 0 ]
