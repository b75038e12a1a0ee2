/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/i18n.h"
#include "base/thread.h"

struct job {
	struct job *next;
	pool_work work;
	pool_done done;
	void *data;
	enum pool_kind kind;
};

struct queue {
	struct job *first, **end;
};

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t more, ended;
	struct queue finished; /* under the lock, as all that is counted */
	struct line {
		struct queue waiting;
		unsigned n_waiting, n_working, most_working; /* jobs */
	} lines[POOL_KINDS];
	unsigned n_threads, n_idle, n_ended, most_threads;
	pthread_t *threads;
	bool stopping;
	int wake_fd;
	sd_event_source *source;
};

static void queue_init(struct queue *queue)
{
	queue->first = NULL;
	queue->end = &queue->first;
}

static void queue_add(struct queue *queue, struct job *job)
{
	job->next = NULL;
	*queue->end = job;
	queue->end = &job->next;
}

static struct job *queue_take(struct queue *queue)
{
	struct job *job = queue->first;

	if (!job)
		return NULL;
	queue->first = job->next;
	if (!queue->first)
		queue->end = &queue->first;
	return job;
}

static void wake_loop(struct pool *pool)
{
	uint64_t one = 1;

	(void)!write(pool->wake_fd, &one, sizeof(one));
}

/* Jobs that a thread could take up now. */
static unsigned n_to_take(const struct pool *pool)
{
	unsigned n = 0;

	for (size_t i = 0; i < POOL_KINDS; i++) {
		const struct line *line = &pool->lines[i];
		unsigned room = line->most_working - line->n_working;

		n += line->n_waiting < room ? line->n_waiting : room;
	}
	return n;
}

static struct job *take_job(struct pool *pool)
{
	for (size_t i = 0; i < POOL_KINDS; i++) {
		struct line *line = &pool->lines[i];
		struct job *job = line->n_working < line->most_working ? queue_take(&line->waiting) : NULL;

		if (!job)
			continue;
		line->n_waiting--;
		line->n_working++;
		return job;
	}
	return NULL;
}

static void *thread_main(void *data)
{
	struct pool *pool = data;
	struct job *job;

	pthread_mutex_lock(&pool->lock);
	while (!pool->stopping) {
		job = take_job(pool);
		if (!job) {
			pool->n_idle++;
			pthread_cond_wait(&pool->more, &pool->lock);
			pool->n_idle--;
			continue;
		}
		pthread_mutex_unlock(&pool->lock);
		job->work(job->data);
		pthread_mutex_lock(&pool->lock);
		/* Who has ended one looks for the next itself: none waits for a signal. */
		pool->lines[job->kind].n_working--;
		queue_add(&pool->finished, job);
		wake_loop(pool);
	}
	pool->n_ended++;
	pthread_cond_signal(&pool->ended);
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

static int on_finished(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct pool *pool = data;
	struct job *job;
	uint64_t count;

	(void)source, (void)events;
	(void)!read(fd, &count, sizeof(count));
	for (;;) {
		pthread_mutex_lock(&pool->lock);
		job = queue_take(&pool->finished);
		pthread_mutex_unlock(&pool->lock);
		if (!job)
			return 0;
		job->done(job->data, false);
		free(job);
	}
}

int pool_new(sd_event *event, unsigned most_threads, struct pool **ret, struct err *err)
{
	struct pool *pool = xcalloc(1, sizeof(*pool));
	pthread_condattr_t monotonic;
	int r;

	pool->most_threads = most_threads;
	for (size_t i = 0; i < POOL_KINDS; i++) {
		unsigned most = most_threads >> i; /* all, half, a quarter */

		pool->lines[i].most_working = most ? most : 1;
		queue_init(&pool->lines[i].waiting);
	}
	pool->threads = xcalloc(most_threads, sizeof(*pool->threads));
	queue_init(&pool->finished);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->more, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&pool->ended, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pool->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = pool->wake_fd < 0 ? -errno
			      : sd_event_add_io(event, &pool->source, pool->wake_fd, EPOLLIN, on_finished, pool);
	if (r < 0) {
		pool_free(pool);
		return err_errno(err, -r, _("Cannot start the worker threads"));
	}
	*ret = pool;
	return 0;
}

static void start_thread(struct pool *pool)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 512 * 1024);
	if (thread_create(&pool->threads[pool->n_threads], &attr, thread_main, pool) == 0)
		pool->n_threads++;
	else if (pool->n_threads == 0)
		abort();
	pthread_attr_destroy(&attr);
}

void pool_submit_as(struct pool *pool, enum pool_kind kind, pool_work work, pool_done done, void *data)
{
	struct job *job = xcalloc(1, sizeof(*job));

	*job = (struct job){ .work = work, .done = done, .data = data, .kind = kind };
	pthread_mutex_lock(&pool->lock);
	queue_add(&pool->lines[kind].waiting, job);
	pool->lines[kind].n_waiting++;
	if (n_to_take(pool) > pool->n_idle && pool->n_threads < pool->most_threads)
		start_thread(pool);
	pthread_cond_signal(&pool->more);
	pthread_mutex_unlock(&pool->lock);
}

void pool_submit(struct pool *pool, pool_work work, pool_done done, void *data)
{
	pool_submit_as(pool, POOL_QUICK, work, done, data);
}

bool pool_stop(struct pool *pool, int seconds)
{
	struct timespec until;
	bool stopped;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += seconds;
	pthread_mutex_lock(&pool->lock);
	pool->stopping = true;
	pthread_cond_broadcast(&pool->more);
	while (pool->n_ended < pool->n_threads && pthread_cond_timedwait(&pool->ended, &pool->lock, &until) == 0)
		;
	stopped = pool->n_ended == pool->n_threads;
	pthread_mutex_unlock(&pool->lock);
	return stopped;
}

static void drop(struct queue *queue)
{
	struct job *job;

	while ((job = queue_take(queue))) {
		job->done(job->data, true);
		free(job);
	}
}

void pool_free(struct pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->stopping = true;
	pthread_cond_broadcast(&pool->more);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->n_threads; i++)
		pthread_join(pool->threads[i], NULL);
	drop(&pool->finished);
	for (size_t i = 0; i < POOL_KINDS; i++)
		drop(&pool->lines[i].waiting);
	sd_event_source_disable_unref(pool->source);
	closep(&pool->wake_fd);
	pthread_cond_destroy(&pool->more);
	pthread_cond_destroy(&pool->ended);
	pthread_mutex_destroy(&pool->lock);
	free(pool->threads);
	free(pool);
}
