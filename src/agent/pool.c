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
	bool slow;
};

struct queue {
	struct job *first, **end;
};

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t more, ended;
	struct queue waiting, slow, finished; /* under the lock, as all that is counted */
	unsigned n_threads, n_idle, n_ended, most_threads;
	unsigned n_waiting, n_slow_waiting; /* jobs */
	unsigned n_slow, most_slow;         /* threads that are at slow jobs */
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
	unsigned room = pool->most_slow - pool->n_slow;

	return pool->n_waiting + (pool->n_slow_waiting < room ? pool->n_slow_waiting : room);
}

static struct job *take_job(struct pool *pool)
{
	struct job *job = queue_take(&pool->waiting);

	if (job)
		pool->n_waiting--;
	else if (pool->n_slow < pool->most_slow && (job = queue_take(&pool->slow))) {
		pool->n_slow_waiting--;
		pool->n_slow++;
	}
	return job;
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
		/* Who has ended one looks for the next itself: no slow job waits for a signal. */
		pool->n_slow -= job->slow;
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
	pool->most_slow = most_threads > 1 ? most_threads / 2 : 1;
	pool->threads = xcalloc(most_threads, sizeof(*pool->threads));
	queue_init(&pool->waiting);
	queue_init(&pool->slow);
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

static void submit(struct pool *pool, pool_work work, pool_done done, void *data, bool slow)
{
	struct job *job = xcalloc(1, sizeof(*job));

	*job = (struct job){ .work = work, .done = done, .data = data, .slow = slow };
	pthread_mutex_lock(&pool->lock);
	queue_add(slow ? &pool->slow : &pool->waiting, job);
	if (slow)
		pool->n_slow_waiting++;
	else
		pool->n_waiting++;
	if (n_to_take(pool) > pool->n_idle && pool->n_threads < pool->most_threads)
		start_thread(pool);
	pthread_cond_signal(&pool->more);
	pthread_mutex_unlock(&pool->lock);
}

void pool_submit(struct pool *pool, pool_work work, pool_done done, void *data)
{
	submit(pool, work, done, data, false);
}

void pool_submit_slow(struct pool *pool, pool_work work, pool_done done, void *data)
{
	submit(pool, work, done, data, true);
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

void pool_free(struct pool *pool)
{
	struct job *job;

	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->stopping = true;
	pthread_cond_broadcast(&pool->more);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->n_threads; i++)
		pthread_join(pool->threads[i], NULL);
	while ((job = queue_take(&pool->finished)) || (job = queue_take(&pool->waiting)) ||
	       (job = queue_take(&pool->slow))) {
		job->done(job->data, true);
		free(job);
	}
	sd_event_source_disable_unref(pool->source);
	closep(&pool->wake_fd);
	pthread_cond_destroy(&pool->more);
	pthread_cond_destroy(&pool->ended);
	pthread_mutex_destroy(&pool->lock);
	free(pool->threads);
	free(pool);
}
