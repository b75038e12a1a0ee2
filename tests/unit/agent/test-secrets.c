/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a host gives back of the secrets that Consul lost: what Consul gave, the last value, and only what is lacking.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/node-secrets.h"
#include "base/fs.h"
#include "fake-consul.h"

#define WEB "portal/web/1.5"
#define DB "portal/db/1.2"
#define KEY "tepuy/secret/portal/db-password"

struct world {
	char dir[40];
	struct fake_consul *before, *after; /* Consul, and the one that knows nothing */
	struct node_env env;
};

static void use(struct world *world, struct fake_consul *fake)
{
	consul_free(world->env.consul);
	world->env.consul = consul_new(fake_consul_base(fake), NULL, NULL);
}

static int setup(void **state)
{
	static struct world world;

	world = (struct world){ .dir = "/tmp/tt-secrets-XXXXXX" };
	if (!mkdtemp(world.dir))
		return -1;
	world.before = fake_consul_start();
	world.after = fake_consul_start();
	world.env = (struct node_env){ .run_dir = world.dir };
	use(&world, world.before);
	*state = &world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	consul_free(world->env.consul);
	fake_consul_stop(world->before);
	fake_consul_stop(world->after);
	return fs_remove_tree(world->dir, NULL);
}

/* Files written within one tick of the kernel's coarse clock are of the same age. */
static void wait_for_a_tick(void)
{
	struct timespec before, now;

	clock_gettime(CLOCK_REALTIME_COARSE, &before);
	do
		clock_gettime(CLOCK_REALTIME_COARSE, &now);
	while (now.tv_sec == before.tv_sec && now.tv_nsec == before.tv_nsec);
}

/* The instance is started with its secret as Consul has it. */
static void start_node(struct world *world, const char *text)
{
	_cleanup_strv_ struct strv names = { 0 };
	struct instance_id id;

	strv_add(&names, "db-password");
	assert_int_equal(instance_id_parse(text, &id, NULL), 0);
	assert_int_equal(node_secrets_write(&world->env, &id, &names, NULL), 0);
	wait_for_a_tick();
	instance_id_release(&id);
}

static void give_back(struct world *world, const char *first, const char *second)
{
	_cleanup_strv_ struct strv instances = { 0 };
	_cleanup_err_ struct err err = ERR_INIT;

	strv_add(&instances, first);
	if (second)
		strv_add(&instances, second);
	use(world, world->after);
	if (node_secrets_give_back(&world->env, &instances, &err) < 0)
		fail_msg("%s", err_text(&err));
}

static void assert_secret(struct world *world, const char *expected)
{
	_cleanup_(freep) char *is = fake_consul_get(world->after, KEY);

	if (expected)
		assert_string_equal(is, expected);
	else
		assert_null(is);
}

static void what_is_lacking_comes_back(void **state)
{
	struct world *world = *state;

	fake_consul_set(world->before, KEY, "one");
	start_node(world, WEB);
	give_back(world, WEB, NULL);
	assert_secret(world, "one");
}

static void what_is_there_stays(void **state)
{
	struct world *world = *state;

	fake_consul_set(world->before, KEY, "one");
	start_node(world, WEB);
	fake_consul_set(world->after, KEY, "another");
	give_back(world, WEB, NULL);
	assert_secret(world, "another");
}

static void the_last_value_counts(void **state)
{
	struct world *world = *state;

	fake_consul_set(world->before, KEY, "one");
	start_node(world, WEB);
	fake_consul_set(world->before, KEY, "two");
	start_node(world, DB);
	give_back(world, DB, WEB);
	assert_secret(world, "two");
}

/* In whatever order they are looked at, and though the other one was started once more with its old value. */
static void also_in_the_other_order(void **state)
{
	struct world *world = *state;

	fake_consul_set(world->before, KEY, "one");
	start_node(world, WEB);
	fake_consul_set(world->before, KEY, "two");
	start_node(world, DB);
	start_node(world, DB);
	give_back(world, WEB, DB);
	assert_secret(world, "two");
}

static void what_a_node_wrote_counts_for_nothing(void **state)
{
	struct world *world = *state;
	_cleanup_(freep) char *path = xasprintf("%s/secrets/tepuy.portal.web.1.5/db-password", world->dir);

	fake_consul_set(world->before, KEY, "one");
	start_node(world, WEB);
	assert_int_equal(fs_write(path, "bad", 3, 0400, NULL), 0);
	give_back(world, WEB, NULL);
	assert_secret(world, "one");
}

static void a_node_that_was_removed_gives_nothing(void **state)
{
	struct world *world = *state;
	struct instance_id id;

	fake_consul_set(world->before, KEY, "one");
	start_node(world, WEB);
	assert_int_equal(instance_id_parse(WEB, &id, NULL), 0);
	node_secrets_remove(&world->env, &id);
	instance_id_release(&id);
	give_back(world, WEB, NULL);
	assert_secret(world, NULL);
}

/* As a Consul may have it that somebody wrote to by hand: the others are given back all the same, and the host goes on.
 */
static void one_that_is_too_large_is_left_out(void **state)
{
	struct world *world = *state;
	_cleanup_(freep) char *large = xmalloc(NODE_SECRETS_MOST_BYTES + 2), *is = NULL;

	memset(large, 'x', NODE_SECRETS_MOST_BYTES + 1);
	large[NODE_SECRETS_MOST_BYTES + 1] = '\0';
	fake_consul_set(world->before, KEY, large);
	start_node(world, WEB);
	fake_consul_set(world->before, "tepuy/secret/other/db-password", "one");
	start_node(world, "other/web/1.1");
	give_back(world, WEB, "other/web/1.1");
	assert_secret(world, NULL);
	is = fake_consul_get(world->after, "tepuy/secret/other/db-password");
	assert_string_equal(is, "one");
}

static void a_consul_that_is_away_is_an_error(void **state)
{
	struct world *world = *state;
	_cleanup_strv_ struct strv instances = { 0 };

	fake_consul_set(world->before, KEY, "one");
	start_node(world, WEB);
	strv_add(&instances, WEB);
	use(world, world->after);
	fake_consul_fail(world->after, 1);
	assert_true(node_secrets_give_back(&world->env, &instances, NULL) < 0);
	assert_secret(world, NULL);
}

/* A file's owner in a node is a number, which on the host is somebody else. */
static void users_of_the_host_do_not_get_in(void **state)
{
	struct world *world = *state;
	_cleanup_(freep) char *secrets = fs_join(world->dir, "secrets");
	_cleanup_err_ struct err err = ERR_INIT;
	struct stat st;
	int r;

	/* As an agent of before left it. */
	assert_int_equal(mkdir(secrets, 0755), 0);
	r = node_secrets_prepare(world->dir, &err);
	if (r == 0)
		r = stat(secrets, &st);
	umount(secrets);
	if (r < 0)
		fail_msg("%s", err_text(&err));
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(st.st_uid, 0);
}

/* The node may write to its directory: what its links lead to on the host is neither read nor written. */
static void links_that_a_node_made_are_not_followed(void **state)
{
	struct world *world = *state;
	_cleanup_(freep) char *path = xasprintf("%s/secrets/tepuy.portal.web.1.5/db-password", world->dir);
	_cleanup_(freep) char *outside = fs_join(world->dir, "outside");
	struct stat st;

	fake_consul_set(world->before, KEY, "one");
	start_node(world, WEB);
	assert_int_equal(fs_write(outside, "one", 3, 0400, NULL), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink(outside, path), 0);
	start_node(world, WEB);
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(what_is_lacking_comes_back),
		test(what_is_there_stays),
		test(the_last_value_counts),
		test(also_in_the_other_order),
		test(what_a_node_wrote_counts_for_nothing),
		test(a_node_that_was_removed_gives_nothing),
		test(a_consul_that_is_away_is_an_error),
		test(one_that_is_too_large_is_left_out),
		test(users_of_the_host_do_not_get_in),
		test(links_that_a_node_made_are_not_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
