/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <pthread.h>
#include <stdatomic.h>

#include "ssh/remote.h"

/* Deep enough for the resolver and OpenSSL, small enough for hundreds. */
enum { STACK = 512 << 10 };

struct fan_out {
	size_t n;
	_Atomic size_t next;
	remote_each_fn each;
	void *data;
};

static void *work(void *data)
{
	struct fan_out *fan_out = data;
	size_t i;

	while ((i = atomic_fetch_add(&fan_out->next, 1)) < fan_out->n)
		fan_out->each(fan_out->data, i);
	return NULL;
}

void remote_fan_out(size_t n, unsigned parallel, remote_each_fn each, void *data)
{
	struct fan_out fan_out = { .n = n, .each = each, .data = data };
	size_t wanted = parallel < n ? parallel : n, started = 0;
	_cleanup_(freep) pthread_t *threads = xcalloc(wanted ? wanted : 1, sizeof(*threads));
	pthread_attr_t attributes;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK);
	while (started < wanted && pthread_create(&threads[started], &attributes, work, &fan_out) == 0)
		started++;
	pthread_attr_destroy(&attributes);
	if (!started) /* no thread to be had: one after another is slow, and right */
		work(&fan_out);
	for (size_t i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
}
