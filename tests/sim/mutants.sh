#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Breaks the plan in one way after the other and expects the simulator to notice each. A line is: file, what to replace,
# what with (sed, basic regular expressions; `|` does not occur in them). Usage: tests/sim/mutants.sh [SCHEDULES]
set -eu
cd "$(dirname "$0")/../.."
schedules=${1:-10000}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
flags="-std=gnu17 -O2 -D_GNU_SOURCE -Isrc -w"
libs="-ljansson -lcrypto -lm -lpthread"
cc=${CC:-cc}
alive=0
total=0

for source in src/base/*.c; do
	$cc $flags -c "$source" -o "$dir/base-$(basename "$source" .c).o"
done
for source in tests/sim/*.c; do
	$cc $flags -Isrc -c "$source" -o "$dir/sim-$(basename "$source" .c).o"
done

# Builds and runs the simulator with src/plan as it is in $dir/plan.
try() {
	for source in "$dir"/plan/*.c; do
		$cc $flags -I"$dir" -c "$source" -o "$dir/plan-$(basename "$source" .c).o" || return 2
	done
	$cc "$dir"/*.o $libs -o "$dir/sim" || return 2
	timeout 120 "$dir/sim" --schedules "$schedules" >"$dir/output" 2>&1
}

while IFS='|' read -r file from to; do
	[ -n "$file" ] || continue
	total=$((total + 1))
	rm -rf "$dir/plan"
	cp -r src/plan "$dir/plan"
	sed "s|$from|$to|" "src/plan/$file" >"$dir/plan/$file"
	if cmp -s "src/plan/$file" "$dir/plan/$file"; then
		echo "NOTHING CHANGED  $file: $from"
		alive=$((alive + 1))
	elif try; then
		echo "SURVIVED         $file: $from -> $to"
		alive=$((alive + 1))
	else
		echo "caught           $file: $from -> $to"
		echo "                 $(grep -a '^FAILED' "$dir/output" | head -n 1)"
	fi
done <<'END'
facts.c|unit_answers(unit, PLAN_STOPPED)|true
facts.c|unit->it->answers_ms == unit->it->since_ms|true
node.c|group->want->exclusive ? !node_alone(node, node->current)|group->want->exclusive ? false
node.c|component_stop_first(group->want) && others_live(node)|false
drain.c|current->proven && serves(current) && |
drain.c|group->down < want->update.parallel|true
drain.c|!let_go(work, unit, group->consumers\[i\])|false
drain.c|acks\[i\]->since_ms == unit->it->since_ms|true
facts.c|> ILL_MS ? for_ms : ILL_MS|> 0 ? 0 : 0
facts.c|return unit->desired == PLAN_DRAIN .. unit->desired == PLAN_STOP ..|return
fail.c|work->status.phase != PLAN_ROLLING_BACK && |
fail.c|unit_answers(unit, PLAN_FAILED) && unit->desired == PLAN_PREPARE|false
fail.c|reached(work, since(work, start_ms), group->want->update.deadline_ms)|false
phases.c|ready && !work->acted|!work->acted
phases.c|work->acted .. work->full .. extras_left(work)|false
phases.c|if (!all_right(work))|if (false)
act.c|unit->proven = false;|
act.c|status->status.step++;|
act.c|if (node->units\[i\].it->gen >= gen)|if (false)
node.c|!unit->proven && passes(work, group->want, unit)|!unit->proven
node.c|if (unit && node->out)|if (false)
next.c|spec->revision != work->status.revision|false
place.c|host->host->cordoned .. host->host->drained|false
facts.c|if (a->displaced != b->displaced)|if (false)
END
echo "$total mutants, $alive not caught"
[ "$alive" -eq 0 ]
