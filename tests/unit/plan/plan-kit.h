/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Views made by hand for the tests of plan_next, and what is planned as text. */
#ifndef TEPUY_TESTS_PLAN_KIT_H
#define TEPUY_TESTS_PLAN_KIT_H

#include "plan/plan.h"

#define NOW 1000000

struct plan_host *add_host(struct plan_view *view, const char *name, const char *label);
struct plan_component *add_component(struct plan_spec *spec, const char *name, const char *fingerprint, unsigned nodes);
void link_to(struct plan_component *component, const char *target, bool optional);
struct plan_spec *new_spec(uint64_t revision);
/* A view of one host and one service, whose wanted revision has nothing in it yet. */
struct plan_service *start_view(struct plan_view *view, enum plan_phase phase, uint64_t revision, uint64_t good);
struct plan_instance *add_instance(struct plan_view *view, const char *component, unsigned n, uint64_t gen,
				   const char *fingerprint, enum plan_desired desired, enum plan_state state);
/* Two nodes on the way from revision 1 to 2: web/2.2 is prepared, web/1.2 is told that and says this. */
struct plan_service *rolling_web(struct plan_view *view, enum plan_desired desired, enum plan_state now);
/* Plans, holds the actions against what is expected, and frees the view. */
void plans(struct plan_view *view, const char *expected);

#endif
