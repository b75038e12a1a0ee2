/* SPDX-License-Identifier: GPL-3.0-or-later */
/* All that the agent must ask its runtime to begin is asked by the try, which may be a job: begin() is on the loop. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/attempt.h"
#include "base/fs.h"

static enum runtime_probe probe(struct runtime *rt, char **ret_version, struct err *err)
{
	(void)rt, (void)err;
	*ret_version = xstrdup("4.17.5");
	return RUNTIME_MINE;
}

static int capacity(struct runtime *rt, uint64_t *ret_memory, struct err *err)
{
	if (!rt->priv)
		return err_set(err, EIO, "Xen does not answer");
	*ret_memory = (uint64_t)5 << 30;
	return 0;
}

static void nothing(void *priv)
{
	(void)priv;
}

static const struct runtime_ops ops = { .name = "fake", .probe = probe, .capacity = capacity, .free = nothing };

/* Consul is away, and said once who this host is. */
static void try_with(void *priv, const char *kept, struct attempt *attempt)
{
	static const struct agent_options options;
	const char *tmp = getenv("TMPDIR");
	_cleanup_(freep) char *dir = xasprintf("%s/tt-attempt.XXXXXX", tmp ? tmp : "/tmp"), *file = NULL;
	struct runtime *rt = xcalloc(1, sizeof(*rt));

	assert_non_null(mkdtemp(dir));
	file = fs_join(dir, "host.json");
	if (kept)
		assert_int_equal(fs_write(file, kept, strlen(kept), 0600, NULL), 0);
	*rt = (struct runtime){ &ops, priv };
	*attempt = (struct attempt){ .options = &options,
				     .consul = consul_new("http://127.0.0.1:1", NULL, NULL),
				     .state_dir = dir,
				     .runtime = rt,
				     .err = ERR_INIT };
	attempt_run(attempt);
	consul_free(attempt->consul);
	fs_remove_tree(dir, NULL);
}

static void the_runtime_is_asked_what_it_has(void **state)
{
	struct attempt attempt;

	(void)state;
	try_with(&attempt, "{\"host\":\"h1\",\"address\":\"192.0.2.11\"}", &attempt);
	assert_int_equal(attempt.r, 0);
	assert_int_equal(attempt.waits, NODE_WAITS_FOR_NOTHING);
	assert_string_equal(attempt.version, "4.17.5");
	assert_int_equal(attempt.memory, INT64_C(5) << 30);
	attempt_release(&attempt);
}

static void one_that_does_not_say_has_the_hosts_memory(void **state)
{
	struct attempt attempt;

	(void)state;
	try_with(NULL, "{\"host\":\"h1\",\"address\":\"192.0.2.11\"}", &attempt);
	assert_int_equal(attempt.r, 0);
	assert_true(attempt.memory > 0);
	attempt_release(&attempt);
}

static void without_consul_nothing_more_is_asked(void **state)
{
	struct attempt attempt;

	(void)state;
	try_with(&attempt, NULL, &attempt);
	assert_true(attempt.r < 0);
	assert_int_equal(attempt.waits, NODE_WAITS_FOR_CONSUL);
	assert_null(attempt.version);
	attempt_release(&attempt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_runtime_is_asked_what_it_has),
		cmocka_unit_test(one_that_does_not_say_has_the_hosts_memory),
		cmocka_unit_test(without_consul_nothing_more_is_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
