/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "plan-kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"

struct plan_host *add_host(struct plan_view *view, const char *name, const char *label)
{
	struct plan_host *host = plan_view_add_host(view);

	host->name = xstrdup(name);
	host->runtime = xstrdup("docker");
	host->alive = true;
	host->alive_ms = 600000;
	if (label)
		strv_add(&host->labels, label);
	return host;
}

struct plan_component *add_component(struct plan_spec *spec, const char *name, const char *fingerprint, unsigned nodes)
{
	struct plan_component *component;

	spec->components = xreallocarray(spec->components, spec->n_components + 1, sizeof(*spec->components));
	component = &spec->components[spec->n_components++];
	*component = (struct plan_component){
		.name = xstrdup(name),
		.fingerprint = xstrdup(fingerprint),
		.around = xstrdup("checks"),
		.nodes = nodes,
		.update = { .parallel = 1, .healthy_for_ms = 3000, .deadline_ms = 60000, .rollback = true },
	};
	return component;
}

void link_to(struct plan_component *component, const char *target, bool optional)
{
	component->links = xreallocarray(component->links, component->n_links + 1, sizeof(*component->links));
	component->links[component->n_links++] = (struct plan_link){ xstrdup(target), xstrdup(target), optional };
}

struct plan_spec *new_spec(uint64_t revision)
{
	struct plan_spec *spec = xcalloc(1, sizeof(*spec));

	spec->service = xstrdup("portal");
	spec->revision = revision;
	return spec;
}

/* A view of one host and one service, whose wanted revision has nothing in it yet. */
struct plan_service *start_view(struct plan_view *view, enum plan_phase phase, uint64_t revision, uint64_t good)
{
	struct plan_service *service;

	*view = (struct plan_view){ .now_ms = NOW, .looking_ms = 600000 };
	add_host(view, "srv1", NULL);
	service = plan_view_add_service(view);
	service->name = xstrdup("portal");
	service->spec = new_spec(revision);
	service->status =
	    (struct plan_status){ .phase = phase, .revision = revision, .good = good, .step = 7, .since_ms = NOW };
	service->status_index = 70;
	return service;
}

struct plan_instance *add_instance(struct plan_view *view, const char *component, unsigned n, uint64_t gen,
				   const char *fingerprint, enum plan_desired desired, enum plan_state state)
{
	struct plan_instance *it = plan_view_add_instance(view);

	*it = (struct plan_instance){
		.host = xstrdup("srv1"),
		.service = xstrdup("portal"),
		.component = xstrdup(component),
		.n = n,
		.gen = gen,
		.index = gen * 100 + n,
		.revision = gen,
		.fingerprint = xstrdup(fingerprint),
		.around = xstrdup("checks"),
		.desired = desired,
		.since_ms = NOW - 50000,
		.told_ms = 50000,
		.proven = desired != PLAN_PREPARE,
		.state = state,
		.answers_ms = NOW - 50000,
		.health = state == PLAN_RUNNING ? PLAN_PASSING : PLAN_UNKNOWN,
		.health_ms = 40000,
	};
	return it;
}

static void write_action(struct buf *text, const struct plan_action *a)
{
	switch (a->kind) {
	case PLAN_ASSIGN:
		buf_printf(text, "assign %s/%u.%llu %s %s\n", a->component, a->n, (unsigned long long)a->gen, a->host,
			   plan_desired_name(a->desired));
		break;
	case PLAN_DESIRE:
		buf_printf(text, "desire %s/%u.%llu %s%s\n", a->component, a->n, (unsigned long long)a->gen,
			   plan_desired_name(a->desired), a->proven ? " proven" : "");
		break;
	case PLAN_UNASSIGN:
		buf_printf(text, "unassign %s/%u.%llu\n", a->component, a->n, (unsigned long long)a->gen);
		break;
	case PLAN_STATUS:
		buf_printf(text, "status %s %llu good %llu step %llu\n", plan_phase_name(a->status.phase),
			   (unsigned long long)a->status.revision, (unsigned long long)a->status.good,
			   (unsigned long long)a->status.step);
		break;
	case PLAN_EVENT:
		break;
	}
}

/* Plans, holds the actions against what is expected, and frees the view. */
void plans(struct plan_view *view, const char *expected)
{
	_cleanup_plan_actions_ struct plan_actions actions = { 0 };
	_cleanup_(buf_release) struct buf text = { 0 };

	assert_int_equal(plan_next(view, &actions, NULL), 0);
	for (size_t i = 0; i < actions.n; i++)
		for (size_t j = 0; j < actions.txns[i].n; j++)
			write_action(&text, &actions.txns[i].actions[j]);
	plan_view_release(view);
	assert_string_equal(buf_text(&text), expected);
}

struct plan_service *rolling_web(struct plan_view *view, enum plan_desired desired, enum plan_state now)
{
	struct plan_service *service = start_view(view, PLAN_ROLLING, 2, 1);

	service->good = new_spec(1);
	add_component(service->good, "web", "w1", 2);
	add_component(service->spec, "web", "w2", 2);
	add_instance(view, "web", 1, 1, "w1", PLAN_RUN, PLAN_RUNNING);
	add_instance(view, "web", 2, 1, "w1", PLAN_RUN, PLAN_RUNNING);
	add_instance(view, "web", 2, 2, "w2", PLAN_PREPARE, PLAN_PREPARED);
	add_instance(view, "web", 1, 2, "w2", desired, now)->proven = false;
	return service;
}
