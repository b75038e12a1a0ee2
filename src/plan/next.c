/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "plan/plan.h"

#include <errno.h>
#include <string.h>

#include "base/i18n.h"
#include "plan/work.h"

#define PHASES_MAX 8 /* a call goes through no more phases in which there was nothing to do */

/* Data does not move. A component that no spec explains any more may have had some. */
bool service_exclusive(const struct plan_service *service, const char *name)
{
	const struct plan_component *wanted = spec_component(service->spec, name);
	const struct plan_component *good = spec_component(service->good, name);

	return (wanted && wanted->exclusive) || (good && good->exclusive) || (!wanted && !good);
}

/*
 * Consul's checks of a service stay as they were when its host dies, and go on when only answers do not reach it. What
 * runs there counts as healthy no longer than it is alive itself.
 */
static void judge(struct unit *unit)
{
	const struct plan_host *host = unit->host;

	unit->health = unit->it->health;
	unit->health_ms = unit->it->health_ms;
	if (!host || !unit_healthy(unit))
		return;
	if (!host->alive) {
		unit->health = PLAN_CRITICAL;
		unit->health_ms = host->dead_ms;
	} else if (host->alive_ms < unit->health_ms)
		unit->health_ms = host->alive_ms;
}

static void init_unit(struct work *work, struct unit *unit, const struct plan_instance *it)
{
	struct place_host *host = lookup_host(work->lookup, it->host);
	bool movable = !service_exclusive(work->service, it->component);

	*unit =
	    (struct unit){ .it = it, .host = host ? host->host : NULL, .desired = it->desired, .proven = it->proven };
	judge(unit);
	if (!host || !movable)
		return;
	unit->lost = host_given_up(work, host->host);
	unit->evicted = unit->displaced = unit->lost || host->host->drained;
}

static void init_work(struct work *work, struct lookup *lookup, const struct plan_service *service, size_t first,
		      size_t n)
{
	const struct plan_status *status = &service->status;

	*work =
	    (struct work){ .lookup = lookup, .service = service, .now_ms = lookup->view->now_ms, .wake_ms = INT64_MAX };
	work->units = xcalloc(n, sizeof(*work->units));
	for (size_t i = 0; i < n; i++) {
		const struct plan_instance *it = lookup->instances[first + i];

		/* What a host found that is not of the cluster any more, or not yet, is not there. */
		if (!it->found || lookup_host(lookup, it->host))
			init_unit(work, &work->units[work->n_units++], it);
	}
	status_copy(&work->status, status);
}

static void release_work(struct work *work)
{
	groups_release(work);
	free(work->units);
	plan_status_release(&work->status);
}

static void begin_revision(struct work *work)
{
	const struct plan_spec *spec = work->service->spec;

	work->status.revision = spec->revision;
	act_event(work, spec->down ? "down" : "deploy", NULL,
		  spec->down ? _("Taking the service down") : _("Preparing revision %llu"),
		  (unsigned long long)spec->revision);
	act_phase(work, spec->down ? PLAN_REMOVING : PLAN_PREPARING, NULL, NULL);
}

static void plan_service(struct work *work)
{
	const struct plan_spec *spec = work->service->spec;

	if (!spec && work->status.phase != PLAN_REMOVED)
		return;
	if (spec && spec->revision != work->status.revision)
		begin_revision(work);
	if (take_over(work))
		return;
	for (int i = 0; i < PHASES_MAX; i++) {
		enum plan_phase phase = work->status.phase;

		plan_phase_step(work);
		if (work->status.phase == phase || work->acted || work->full)
			break;
	}
}

static int check_view(const struct plan_view *view, struct err *err)
{
	for (size_t i = 0; i < view->n_services; i++) {
		const struct plan_service *service = &view->services[i];

		if (service->spec && strcmp(service->spec->service, service->name))
			return err_set(err, EINVAL, _("The spec of service %s names service %s"), service->name,
				       service->spec->service);
	}
	for (size_t i = 0; i < view->n_instances; i++)
		if (!view->instances[i].n)
			return err_set(err, EINVAL, _("An instance of %s/%s has the number 0"),
				       view->instances[i].service, view->instances[i].component);
	return 0;
}

static void plan_all(struct lookup *lookup, struct plan_actions *actions)
{
	const struct plan_view *view = lookup->view;
	size_t at = 0;

	for (size_t i = 0; i < view->n_services; i++) {
		const struct plan_service *service = lookup->services[i];
		struct work work;
		size_t first;

		for (; at < view->n_instances && strcmp(lookup->instances[at]->service, service->name) < 0; at++)
			actions->n_unexplained++;
		first = at;
		while (at < view->n_instances && !strcmp(lookup->instances[at]->service, service->name))
			at++;
		init_work(&work, lookup, service, first, at - first);
		plan_service(&work);
		act_finish(&work, actions);
		release_work(&work);
	}
	actions->n_unexplained += view->n_instances - at;
}

int plan_next(const struct plan_view *view, struct plan_actions *ret, struct err *err)
{
	struct plan_actions actions = { .wake_ms = INT64_MAX };
	struct lookup lookup;
	int r = check_view(view, err);

	if (r < 0)
		return r;
	if (!view->consul_unwell) {
		lookup_init(&lookup, view);
		/* When every host looks dead, it is the one who looks that is cut off. */
		if (lookup.any_alive)
			plan_all(&lookup, &actions);
		lookup_release(&lookup);
	}
	*ret = actions;
	return 0;
}
