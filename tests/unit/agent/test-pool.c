/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The worker threads: no job is lost, none is taken up that was not done. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "agent/pool.h"
#include "base/clock.h"

#define MANY 2000

struct world {
	sd_event *event;
	struct pool *pool;
	_Atomic unsigned at_work, most_at_once, worked;
	unsigned done, dropped, left;
	pthread_mutex_t gate; /* held: work waits */
};

static void setup(struct world *world, unsigned threads)
{
	*world = (struct world){ .gate = PTHREAD_MUTEX_INITIALIZER };
	assert_true(sd_event_new(&world->event) >= 0);
	assert_int_equal(pool_new(world->event, threads, &world->pool, NULL), 0);
}

static void teardown(struct world *world)
{
	pool_free(world->pool);
	sd_event_unref(world->event);
}

static void work(void *data)
{
	struct world *world = data;
	unsigned now = ++world->at_work, most = world->most_at_once;

	while (now > most && !atomic_compare_exchange_weak(&world->most_at_once, &most, now))
		;
	pthread_mutex_lock(&world->gate);
	pthread_mutex_unlock(&world->gate);
	world->worked++;
	world->at_work--;
}

static void done(void *data, bool dropped)
{
	struct world *world = data;

	if (dropped)
		world->dropped++;
	else
		world->done++;
}

/* Each result asks for one more job, as the steps of an instance do. */
static void done_and_more(void *data, bool dropped)
{
	struct world *world = data;

	done(data, dropped);
	if (!dropped && world->left) {
		world->left--;
		pool_submit(world->pool, work, done_and_more, world);
	}
}

static void run_until_done(struct world *world, unsigned n)
{
	int64_t end = clock_monotonic_ms() + 60000;

	while (world->done < n && clock_monotonic_ms() < end)
		sd_event_run(world->event, 100 * 1000);
}

static void no_job_is_lost(void **state)
{
	struct world world;

	(void)state;
	setup(&world, 4);
	for (unsigned i = 0; i < MANY; i++)
		pool_submit(world.pool, work, done, &world);
	run_until_done(&world, MANY);
	assert_int_equal(world.worked, MANY);
	assert_int_equal(world.done, MANY);
	assert_true(world.most_at_once <= 4);
	teardown(&world);
	assert_int_equal(world.dropped, 0);
}

static void results_may_submit_more(void **state)
{
	struct world world;

	(void)state;
	setup(&world, 3);
	world.left = MANY;
	for (unsigned i = 0; i < 3; i++)
		pool_submit(world.pool, work, done_and_more, &world);
	run_until_done(&world, MANY + 3);
	assert_int_equal(world.done, MANY + 3);
	teardown(&world);
}

/* All threads are held; more jobs than threads wait. */
static void what_waits_is_dropped_at_the_end(void **state)
{
	struct world world;

	(void)state;
	setup(&world, 2);
	pthread_mutex_lock(&world.gate);
	for (unsigned i = 0; i < 10; i++)
		pool_submit(world.pool, work, done, &world);
	for (int64_t end = clock_monotonic_ms() + 4000; world.at_work < 2 && clock_monotonic_ms() < end;)
		;
	assert_int_equal(world.at_work, 2);
	pthread_mutex_unlock(&world.gate);
	teardown(&world);
	/* Their results were never taken up: the loop did not run. */
	assert_int_equal(world.done, 0);
	assert_int_equal(world.dropped, 10);
	assert_true(world.worked >= 2 && world.worked <= 10);
}

/* What lasts for minutes, as waiting for an image, never has all threads; and none of it is lost. */
static void what_is_slow_leaves_threads_for_the_rest(void **state)
{
	struct world slow, quick;

	(void)state;
	setup(&slow, 4);
	quick = (struct world){ .event = slow.event, .pool = slow.pool, .gate = PTHREAD_MUTEX_INITIALIZER };
	pthread_mutex_lock(&slow.gate);
	for (unsigned i = 0; i < 20; i++)
		pool_submit_as(slow.pool, POOL_SLOW, work, done, &slow);
	for (int64_t end = clock_monotonic_ms() + 60000; slow.at_work < 2 && clock_monotonic_ms() < end;)
		;
	for (unsigned i = 0; i < 20; i++)
		pool_submit(slow.pool, work, done, &quick);
	for (int64_t end = clock_monotonic_ms() + 60000; quick.done < 20 && clock_monotonic_ms() < end;)
		sd_event_run(slow.event, 100 * 1000);
	assert_int_equal(quick.done, 20);
	assert_int_equal(slow.done, 0);
	pthread_mutex_unlock(&slow.gate);
	for (int64_t end = clock_monotonic_ms() + 60000; slow.done < 20 && clock_monotonic_ms() < end;)
		sd_event_run(slow.event, 100 * 1000);
	assert_int_equal(slow.done, 20);
	assert_int_equal(slow.most_at_once, 2);
	teardown(&slow);
}

/* Nodes' checks that hang keep neither from what is slow nor from the rest. */
static void no_kind_takes_all_threads(void **state)
{
	struct world kinds[POOL_KINDS];

	(void)state;
	setup(&kinds[0], 8);
	for (size_t i = 1; i < POOL_KINDS; i++) {
		kinds[i] =
		    (struct world){ .event = kinds[0].event, .pool = kinds[0].pool, .gate = PTHREAD_MUTEX_INITIALIZER };
		pthread_mutex_lock(&kinds[i].gate);
	}
	for (unsigned n = 0; n < 20; n++)
		for (int i = POOL_KINDS - 1; i >= 0; i--)
			pool_submit_as(kinds[i].pool, (enum pool_kind)i, work, done, &kinds[i]);
	run_until_done(&kinds[POOL_QUICK], 20);
	assert_int_equal(kinds[POOL_QUICK].done, 20);
	for (int64_t end = clock_monotonic_ms() + 60000;
	     (kinds[POOL_SLOW].at_work < 4 || kinds[POOL_CHECKS].at_work < 2) && clock_monotonic_ms() < end;)
		;
	for (size_t i = 1; i < POOL_KINDS; i++)
		pthread_mutex_unlock(&kinds[i].gate);
	run_until_done(&kinds[POOL_SLOW], 20);
	run_until_done(&kinds[POOL_CHECKS], 20);
	assert_int_equal(kinds[POOL_SLOW].done, 20);
	assert_int_equal(kinds[POOL_CHECKS].done, 20);
	assert_int_equal(kinds[POOL_SLOW].most_at_once, 4);
	assert_int_equal(kinds[POOL_CHECKS].most_at_once, 2);
	teardown(&kinds[0]);
}

static void slow_jobs_are_dropped_at_the_end_as_others(void **state)
{
	struct world world;

	(void)state;
	setup(&world, 1);
	pthread_mutex_lock(&world.gate);
	for (unsigned i = 0; i < 5; i++)
		pool_submit_as(world.pool, POOL_SLOW, work, done, &world);
	for (int64_t end = clock_monotonic_ms() + 60000; world.at_work < 1 && clock_monotonic_ms() < end;)
		;
	assert_int_equal(world.at_work, 1);
	pthread_mutex_unlock(&world.gate);
	teardown(&world);
	assert_int_equal(world.dropped, 5);
}

static void the_end_is_not_waited_for_without_bound(void **state)
{
	struct world world;

	(void)state;
	setup(&world, 2);
	assert_true(pool_stop(world.pool, 1)); /* nothing runs */
	teardown(&world);
	setup(&world, 2);
	pthread_mutex_lock(&world.gate);
	pool_submit(world.pool, work, done, &world);
	for (int64_t end = clock_monotonic_ms() + 4000; world.at_work < 1 && clock_monotonic_ms() < end;)
		;
	assert_false(pool_stop(world.pool, 0));
	pthread_mutex_unlock(&world.gate);
	assert_true(pool_stop(world.pool, 10));
	teardown(&world);
	assert_int_equal(world.dropped, 1);
}

static void an_unused_pool_ends(void **state)
{
	struct world world;

	(void)state;
	setup(&world, 16);
	teardown(&world);
	pool_free(NULL);
	assert_int_equal(world.done + world.dropped, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_job_is_lost),
		cmocka_unit_test(results_may_submit_more),
		cmocka_unit_test(what_waits_is_dropped_at_the_end),
		cmocka_unit_test(what_is_slow_leaves_threads_for_the_rest),
		cmocka_unit_test(no_kind_takes_all_threads),
		cmocka_unit_test(slow_jobs_are_dropped_at_the_end_as_others),
		cmocka_unit_test(the_end_is_not_waited_for_without_bound),
		cmocka_unit_test(an_unused_pool_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
