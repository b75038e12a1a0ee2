/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keys kept level with what the agent wants, against a Consul that answers late or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/kv-level.h"
#include "base/clock.h"
#include "fake-consul.h"

struct world {
	struct fake_consul *fake;
	struct consul *consul;
	sd_event *event;
	struct http_loop *loop;
	struct kv_level *kv;
};

static int setup(void **state)
{
	static struct world world;

	world = (struct world){ .fake = fake_consul_start() };
	world.consul = consul_new(fake_consul_base(world.fake), NULL, NULL);
	if (sd_event_new(&world.event) < 0 || http_loop_new(world.event, &world.loop, NULL) < 0)
		return -1;
	world.kv = kv_level_new(world.loop, world.consul);
	*state = &world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	kv_level_free(world->kv);
	http_loop_free(world->loop);
	sd_event_unref(world->event);
	consul_free(world->consul);
	fake_consul_stop(world->fake);
	return 0;
}

/* Runs the loop until the key has that value (NULL: is absent). */
static bool becomes(struct world *world, const char *key, const char *value)
{
	int64_t end = clock_monotonic_ms() + 4000;

	while (clock_monotonic_ms() < end) {
		_cleanup_(freep) char *is = fake_consul_get(world->fake, key);

		if (is && value ? !strcmp(is, value) : is == value)
			return true;
		sd_event_run(world->event, 10 * 1000);
	}
	return false;
}

static void wait_for_requests(struct world *world, unsigned n)
{
	int64_t end = clock_monotonic_ms() + 4000;

	while (fake_consul_requests(world->fake) < n && clock_monotonic_ms() < end)
		sd_event_run(world->event, 10 * 1000);
	assert_int_equal(fake_consul_requests(world->fake), n);
}

static void a_value_is_written_and_deleted(void **state)
{
	struct world *world = *state;

	kv_level_put(world->kv, "a/b", "one");
	assert_true(becomes(world, "a/b", "one"));
	kv_level_delete(world->kv, "a/b");
	assert_true(becomes(world, "a/b", NULL));
	assert_int_equal(fake_consul_requests(world->fake), 2);
}

static void the_last_value_wins_and_one_write_is_in_flight(void **state)
{
	struct world *world = *state;

	fake_consul_hold(world->fake, true);
	kv_level_put(world->kv, "k", "0");
	wait_for_requests(world, 1);
	for (int i = 1; i <= 100; i++) {
		_cleanup_(freep) char *value = xasprintf("%d", i);

		kv_level_put(world->kv, "k", value);
		sd_event_run(world->event, 0);
	}
	fake_consul_hold(world->fake, false);
	assert_true(becomes(world, "k", "100"));
	assert_int_equal(fake_consul_requests(world->fake), 2);
	assert_int_equal(fake_consul_most_at_once(world->fake), 1);
}

static void a_delete_after_a_put_wins(void **state)
{
	struct world *world = *state;

	fake_consul_set(world->fake, "k", "old");
	fake_consul_hold(world->fake, true);
	kv_level_put(world->kv, "k", "new");
	wait_for_requests(world, 1);
	kv_level_delete(world->kv, "k");
	fake_consul_hold(world->fake, false);
	assert_true(becomes(world, "k", NULL));
}

static void other_keys_do_not_wait(void **state)
{
	struct world *world = *state;

	fake_consul_hold(world->fake, true);
	for (int i = 0; i < 5; i++) {
		_cleanup_(freep) char *key = xasprintf("k%d", i);

		kv_level_put(world->kv, key, "x");
	}
	wait_for_requests(world, 5);
	assert_int_equal(fake_consul_waiting(world->fake), 5);
}

static void a_failed_write_is_tried_again_by_itself(void **state)
{
	struct world *world = *state;
	int64_t begin = clock_monotonic_ms();

	fake_consul_fail(world->fake, 1);
	kv_level_put(world->kv, "k", "v");
	assert_true(becomes(world, "k", "v"));
	assert_true(clock_monotonic_ms() - begin >= 900);
	assert_int_equal(fake_consul_requests(world->fake), 2);
}

/* Consul is back: nobody waits for the timer. */
static void a_retry_does_not_wait(void **state)
{
	struct world *world = *state;
	int64_t begin = clock_monotonic_ms();

	fake_consul_fail(world->fake, 1);
	kv_level_put(world->kv, "k", "v");
	wait_for_requests(world, 1);
	while (clock_monotonic_ms() - begin < 800) {
		_cleanup_(freep) char *is = fake_consul_get(world->fake, "k");

		if (is)
			break;
		sd_event_run(world->event, 10 * 1000);
		kv_level_retry(world->kv);
	}
	assert_true(becomes(world, "k", "v"));
	assert_true(clock_monotonic_ms() - begin < 800);
}

static void what_changed_meanwhile_is_what_the_retry_writes(void **state)
{
	struct world *world = *state;

	fake_consul_fail(world->fake, 1);
	kv_level_put(world->kv, "k", "first");
	wait_for_requests(world, 1);
	kv_level_put(world->kv, "k", "second");
	assert_true(becomes(world, "k", "second"));
}

static void freed_with_writes_in_flight(void **state)
{
	struct world *world = *state;

	fake_consul_hold(world->fake, true);
	kv_level_put(world->kv, "k", "v");
	kv_level_put(world->kv, "l", "v");
	wait_for_requests(world, 2);
	kv_level_free(TAKE_PTR(world->kv));
	fake_consul_hold(world->fake, false);
	sd_event_run(world->event, 10 * 1000);
}

static void what_is_held_is_written_later(void **state)
{
	struct world *world = *state;

	kv_level_hold(world->kv, true);
	kv_level_put(world->kv, "k", "first");
	kv_level_put(world->kv, "k", "second");
	kv_level_retry(world->kv);
	sd_event_run(world->event, 50 * 1000);
	assert_int_equal(fake_consul_requests(world->fake), 0);
	kv_level_hold(world->kv, false);
	assert_true(becomes(world, "k", "second"));
	assert_int_equal(fake_consul_requests(world->fake), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_held_is_written_later, setup, teardown),
		cmocka_unit_test_setup_teardown(a_value_is_written_and_deleted, setup, teardown),
		cmocka_unit_test_setup_teardown(the_last_value_wins_and_one_write_is_in_flight, setup, teardown),
		cmocka_unit_test_setup_teardown(a_delete_after_a_put_wins, setup, teardown),
		cmocka_unit_test_setup_teardown(other_keys_do_not_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(a_failed_write_is_tried_again_by_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(a_retry_does_not_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(what_changed_meanwhile_is_what_the_retry_writes, setup, teardown),
		cmocka_unit_test_setup_teardown(freed_with_writes_in_flight, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
