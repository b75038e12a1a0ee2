/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which of a host's machines wait for another one's start. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/start-order.h"

#define NOW 1000000

/* Two instances, `web` connected to `db`, which both ended with their host a moment ago. */
struct pair {
	struct runtime_ops ops;
	struct runtime runtime;
	struct agent agent;
	struct node_spec specs[2];
	struct node_link link, back;
	struct instance db, web;
};

static void make(struct pair *pair)
{
	*pair = (struct pair){ .ops.name = "machines" };
	pair->runtime.ops = &pair->ops;
	pair->agent.env.runtime = &pair->runtime;
	pair->agent.started_ms = NOW - 1000;
	pair->agent.instances = &pair->db;
	pair->link.component = (char *)"db";
	pair->back.component = (char *)"web";
	pair->specs[0] = (struct node_spec){ .desired = NODE_RUN };
	pair->specs[1] = (struct node_spec){ .desired = NODE_RUN, .links = &pair->link, .n_links = 1 };
	pair->db = (struct instance){ .next = &pair->web,
				      .agent = &pair->agent,
				      .assignment = (char *)"{}",
				      .spec = &pair->specs[0],
				      .container = CONTAINER_EXITED };
	pair->web = pair->db;
	pair->web.next = NULL;
	pair->web.spec = &pair->specs[1];
	pair->db.id.service = pair->web.id.service = (char *)"shop";
	pair->db.id.component = (char *)"db";
	pair->web.id.component = (char *)"web";
}

static void consumers_wait_for_providers(void **state)
{
	struct pair pair;

	(void)state;
	make(&pair);
	assert_true(start_order_waits(&pair.web, NOW));
	assert_false(start_order_waits(&pair.db, NOW));
	pair.db.container = CONTAINER_RUNNING;
	assert_false(start_order_waits(&pair.web, NOW));
}

static void nobody_waits_for_ever(void **state)
{
	struct pair pair;

	(void)state;
	make(&pair);
	assert_true(start_order_waits(&pair.web, pair.agent.started_ms + 180000));
	assert_false(start_order_waits(&pair.web, pair.agent.started_ms + 180001));
	/* Nor for one that does not come up, or two for each other. */
	pair.db.failed = true;
	assert_false(start_order_waits(&pair.web, NOW));
	pair.db.failed = false;
	pair.specs[0].links = &pair.back;
	pair.specs[0].n_links = 1;
	assert_false(start_order_waits(&pair.web, NOW));
	assert_false(start_order_waits(&pair.db, NOW));
}

static void only_what_is_to_start_here_is_waited_for(void **state)
{
	struct pair pair;

	(void)state;
	make(&pair);
	pair.db.id.service = (char *)"other";
	assert_false(start_order_waits(&pair.web, NOW));
	make(&pair);
	pair.specs[0].desired = NODE_STOP;
	assert_false(start_order_waits(&pair.web, NOW));
	make(&pair);
	pair.db.assignment = NULL;
	assert_false(start_order_waits(&pair.web, NOW));
	make(&pair);
	pair.db.spec = NULL; /* its assignment cannot be read */
	assert_false(start_order_waits(&pair.web, NOW));
	/* A first start is a deployment's, whose order is the leader's. */
	make(&pair);
	pair.web.container = CONTAINER_NONE;
	assert_false(start_order_waits(&pair.web, NOW));
	/* Containers are started again by their runtime. */
	make(&pair);
	pair.ops.quick = true;
	assert_false(start_order_waits(&pair.web, NOW));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(consumers_wait_for_providers),
		cmocka_unit_test(nobody_waits_for_ever),
		cmocka_unit_test(only_what_is_to_start_here_is_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
