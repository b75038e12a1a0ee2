/* SPDX-License-Identifier: GPL-3.0-or-later */
/* When a deployment has failed, and what follows: back to the last good revision, or stay and say so. */
#include "plan/work.h"

#include "base/i18n.h"

/* Takes ownership of reason and detail. `want` NULL: nothing was touched yet, so that going back is right whatever
 * on_failure says. */
void deployment_failed(struct work *work, const struct plan_component *want, char *reason, char *detail)
{
	bool back = work->status.phase != PLAN_ROLLING_BACK && work->service->good && (!want || want->update.rollback);

	if (back) {
		act_event(work, "rollback", NULL, _("Revision %llu failed: %s. Going back to revision %llu"),
			  (unsigned long long)work->status.revision, reason, (unsigned long long)work->status.good);
		act_phase(work, PLAN_ROLLING_BACK, reason, detail);
		return;
	}
	act_event(work, "failed", NULL, _("Revision %llu failed: %s"), (unsigned long long)work->status.revision,
		  reason);
	act_phase(work, PLAN_GAVE_UP, reason, detail);
}

/* With its last words: going back takes the node away, and its state with it, before anybody may have read them. */
static char *node_why(const struct unit *unit)
{
	const char *why = unit->it->why, *log = unit->it->log;

	if (!why || !*why)
		return NULL;
	return log && *log ? xasprintf("%s\n%s", why, log) : xstrdup(why);
}

/*
 * Was it made or changed for what is going on now, or is it an older one that the revision keeps? Its number does not
 * tell: it runs ahead of the revisions. Going back is to an older revision, of which are also those that were never
 * touched; what is made for that takes a number beyond the revision that failed.
 */
static bool is_new(const struct work *work, const struct unit *unit)
{
	return unit->it->revision >= work->spec->revision &&
	       (work->status.phase != PLAN_ROLLING_BACK || unit->it->gen >= work->status.revision);
}

/* One that is healthy at its deadline becomes proven or ill soon: a leader that is new has not seen it for long yet. */
static bool never_healthy(struct work *work, const struct group *group, const struct unit *unit)
{
	int64_t told_ms = told_for(work, unit), phase_ms = phase_for(work);

	return unit->desired == PLAN_RUN && unit->it->desired == PLAN_RUN && !unit->proven && !unit_healthy(unit) &&
	       sure(work) && reached(work, told_ms < phase_ms ? told_ms : phase_ms, group->want->update.deadline_ms);
}

static bool long_ill(struct work *work, const struct group *group, const struct unit *unit)
{
	int64_t ill_ms = health_for(work, unit), phase_ms = phase_for(work);

	return unit->desired == PLAN_RUN && unit->proven && !unit_healthy(unit) && is_new(work, unit) && sure(work) &&
	       reached(work, ill_ms < phase_ms ? ill_ms : phase_ms, group->want->update.deadline_ms);
}

bool node_failed(struct work *work, struct group *group, struct node *node)
{
	const struct unit *unit = node->current;
	const char *format = NULL;

	if (!unit || unit->displaced)
		return false;
	if (unit_answers(unit, PLAN_FAILED) && unit->desired == PLAN_PREPARE)
		format = _("%s/%u could not be prepared on host %s");
	else if (work->status.phase == PLAN_PREPARING || node->out)
		return false;
	else if (unit_answers(unit, PLAN_FAILED) && unit->desired == PLAN_RUN && !unit->proven)
		format = _("%s/%u could not be started on host %s");
	else if (never_healthy(work, group, unit))
		format = _("%s/%u on host %s did not pass its checks in time");
	else if (long_ill(work, group, unit))
		format = _("%s/%u on host %s stopped passing its checks");
	if (!format)
		return false;
	deployment_failed(work,
			  unit->desired == PLAN_PREPARE && work->status.phase == PLAN_PREPARING ? NULL : group->want,
			  xasprintf(format, group->name, node->n, unit->it->host), node_why(unit));
	return true;
}
