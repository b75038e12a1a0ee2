/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/runtime-watch.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/i18n.h"
#include "base/log.h"
#include "base/thread.h"

struct queued {
	struct queued *next;
	struct runtime_event event; /* instance is owned here */
};

struct runtime_watch {
	struct runtime *rt;
	runtime_event_fn fn;
	void *data;
	pthread_t thread;
	bool started;
	int stop_fd, wake_fd;
	sd_event_source *source;
	pthread_mutex_t lock;
	struct queued *first, **end; /* under the lock */
};

static void ring(int fd)
{
	uint64_t one = 1;

	(void)!write(fd, &one, sizeof(one));
}

static void on_event(void *data, const struct runtime_event *event)
{
	struct runtime_watch *watch = data;
	struct queued *queued = xcalloc(1, sizeof(*queued));

	queued->event = *event;
	queued->event.instance = xstrdup(event->instance);
	pthread_mutex_lock(&watch->lock);
	*watch->end = queued;
	watch->end = &queued->next;
	pthread_mutex_unlock(&watch->lock);
	ring(watch->wake_fd);
}

static struct queued *take_all(struct runtime_watch *watch)
{
	struct queued *first;

	pthread_mutex_lock(&watch->lock);
	first = watch->first;
	watch->first = NULL;
	watch->end = &watch->first;
	pthread_mutex_unlock(&watch->lock);
	return first;
}

static int on_wake(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct runtime_watch *watch = data;
	uint64_t count;

	(void)source, (void)events;
	(void)!read(fd, &count, sizeof(count));
	for (struct queued *queued = take_all(watch), *next; queued; queued = next) {
		next = queued->next;
		watch->fn(watch->data, &queued->event);
		free(queued->event.instance);
		free(queued);
	}
	return 0;
}

static void *thread_main(void *data)
{
	struct runtime_watch *watch = data;
	_cleanup_err_ struct err err = ERR_INIT;

	if (watch->rt->ops->watch(watch->rt, watch->stop_fd, on_event, watch, &err) < 0)
		log_error("The runtime's events cannot be followed: %s", err_text(&err));
	return NULL;
}

static int start_thread(struct runtime_watch *watch)
{
	int r = thread_create(&watch->thread, NULL, thread_main, watch);

	watch->started = r == 0;
	return -r;
}

int runtime_watch_new(sd_event *event, struct runtime *rt, runtime_event_fn fn, void *data, struct runtime_watch **ret,
		      struct err *err)
{
	struct runtime_watch *watch = xcalloc(1, sizeof(*watch));
	int r;

	*watch = (struct runtime_watch){ .rt = rt, .fn = fn, .data = data };
	watch->end = &watch->first;
	pthread_mutex_init(&watch->lock, NULL);
	watch->stop_fd = eventfd(0, EFD_CLOEXEC);
	watch->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = sd_event_add_io(event, &watch->source, watch->wake_fd, EPOLLIN, on_wake, watch);
	if (r >= 0)
		r = start_thread(watch);
	if (r < 0) {
		runtime_watch_free(watch);
		return err_errno(err, -r, _("Cannot follow the runtime's events"));
	}
	*ret = watch;
	return 0;
}

void runtime_watch_free(struct runtime_watch *watch)
{
	if (!watch)
		return;
	ring(watch->stop_fd);
	if (watch->started)
		pthread_join(watch->thread, NULL);
	watch->source = sd_event_source_disable_unref(watch->source);
	for (struct queued *queued = take_all(watch), *next; queued; queued = next) {
		next = queued->next;
		free(queued->event.instance);
		free(queued);
	}
	closep(&watch->stop_fd);
	closep(&watch->wake_fd);
	pthread_mutex_destroy(&watch->lock);
	free(watch);
}
