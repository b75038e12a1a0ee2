/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Watches and locks against a real Consul, driven by scripts. Prints a line for each thing told, until SIGTERM:
 *   consul-loop watch BASE PATH         "value INDEX JSON", "away MESSAGE"
 *   consul-loop lock BASE KEY VALUE     "elected SESSION", "lost MESSAGE"; the TTL is 10 s
 *   consul-loop latency BASE N          writes a key N times, prints the microseconds from the write to the watch
 */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "consul/consul-decode.h"
#include "consul/consul-lock.h"
#include "consul/consul-watch.h"

static struct http_loop *loop;
static struct consul *consul;

static void on_value(void *data, const json_t *value, uint64_t index, const struct err *err)
{
	_cleanup_(freep) char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

	(void)data;
	if (err)
		printf("away %s\n", err_text(err));
	else
		printf("value %" PRIu64 " %s\n", index, text ? text : "none");
}

static void on_lock(void *data, bool held, const struct err *err)
{
	struct consul_lock **lock = data;

	if (held)
		printf("elected %s\n", consul_lock_session(*lock));
	else
		printf("lost %s\n", err_text(err));
}

static int on_term(sd_event_source *source, const struct signalfd_siginfo *info, void *data)
{
	(void)info, (void)data;
	return sd_event_exit(sd_event_source_get_event(source), 0);
}

/* The latency mode: a thread writes, waits until the watch told it, writes again. */
struct latency {
	int count;
	_Atomic int64_t written_ns;
	_Atomic uint64_t seen; /* number in the value told last */
	sd_event *event;
};

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void on_change(void *data, const json_t *value, uint64_t index, const struct err *err)
{
	_cleanup_consul_kvs_ struct consul_kvs kvs = { 0 };
	struct latency *latency = data;
	uint64_t number;

	(void)index;
	if (err || consul_decode_kvs(value, &kvs, NULL) < 0 || !kvs.n)
		return;
	number = strtoull(kvs.v[0].value, NULL, 10);
	if (number)
		printf("%" PRId64 "\n", (now_ns() - latency->written_ns) / 1000);
	latency->seen = number;
	if (number == (uint64_t)latency->count)
		sd_event_exit(latency->event, 0);
}

static void *write_all(void *data)
{
	struct latency *latency = data;

	for (int i = 1; i <= latency->count; i++) {
		char text[16];

		snprintf(text, sizeof(text), "%d", i);
		latency->written_ns = now_ns();
		consul_kv_put(consul, "latency", text, strlen(text), NULL);
		/* The watch tells before or after the write's own answer; then give the next question time to arrive.
		 */
		while (latency->seen != (uint64_t)i)
			usleep(200);
		usleep(3000);
	}
	return NULL;
}

static int run_latency(sd_event *event, int count)
{
	struct latency latency = { .count = count, .seen = UINT64_MAX, .event = event };
	struct consul_watch *watch = NULL;
	pthread_t writer;
	int r;

	consul_kv_put(consul, "latency", "0", 1, NULL);
	r = consul_watch_new(loop, consul, "/v1/kv/latency", on_change, &latency, &watch, NULL);
	while (r >= 0 && latency.seen == UINT64_MAX)
		r = sd_event_run(event, UINT64_MAX);
	pthread_create(&writer, NULL, write_all, &latency);
	if (r >= 0)
		r = sd_event_loop(event);
	pthread_join(writer, NULL);
	consul_watch_free(watch);
	return r;
}

static int run(sd_event *event, int argc, char **argv)
{
	struct consul_lock_options options = { .ttl_ms = 10000 };
	struct consul_watch *watch = NULL;
	struct consul_lock *lock = NULL;
	int r = -1;

	if (!strcmp(argv[1], "latency"))
		return run_latency(event, atoi(argv[3]));
	if (!strcmp(argv[1], "watch"))
		r = consul_watch_new(loop, consul, argv[3], on_value, NULL, &watch, NULL);
	else if (argc == 5) {
		options.key = argv[3];
		options.value = argv[4];
		r = consul_lock_new(loop, consul, &options, on_lock, &lock, &lock, NULL);
	}
	if (r >= 0)
		r = sd_event_loop(event);
	consul_watch_free(watch);
	consul_lock_free(lock);
	return r;
}

int main(int argc, char **argv)
{
	sd_event *event = NULL;
	sigset_t signals;
	int r;

	if (argc < 4)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (sd_event_new(&event) < 0 || sd_event_add_signal(event, NULL, SIGTERM, on_term, NULL) < 0)
		return 1;
	consul = consul_new(argv[2], NULL, NULL);
	r = http_loop_new(event, &loop, NULL);
	if (r >= 0)
		r = run(event, argc, argv);
	http_loop_free(loop);
	consul_free(consul);
	sd_event_unref(event);
	return r < 0 ? 1 : 0;
}
