/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Events: xenstore tells when a domain comes or goes, inotify when the state of a node changes; what happened is found
 * by comparing what is with what was. Here is also who starts again what ended by itself, with back-off, and after the
 * host's restart what ran before, in the order in which it was first started: providers before consumers.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/i18n.h"
#include "base/log.h"
#include "base/run.h"
#include "base/thread.h"
#include "runtime/drivers.h"
#include "runtime/xen.h"

#define FOR_EVER ((int64_t)365 * 24 * 3600 * 1000)
#define SHORTEST_PAUSE 1000
#define LONGEST_PAUSE 60000
#define GOOD_RUN_MS 60000 /* what ran for so long has its next restart at once */
#define LOOK_AGAIN_MS 30000
#define BUSY_MS 2000
#define CLOCK_MS 3600000 /* a clock that is wrong by 1/10000 is off by less than half a second then */
#define CLOCK_AGAIN_MS 300000
#define CLOCK_STEP_MS 500

/* What was seen of a node. */
struct known {
	char *name, *instance;
	bool running;
	int64_t run;
	int64_t sequence;
	bool wanted; /* and does not run */
	int exit_code;
	bool out_of_memory;
};

struct picture {
	struct known *list;
	size_t n;
};

static void picture_release(struct picture *picture)
{
	for (size_t i = 0; i < picture->n; i++) {
		free(picture->list[i].name);
		free(picture->list[i].instance);
	}
	free(picture->list);
	*picture = (struct picture){ 0 };
}

static const struct known *find(const struct picture *picture, const char *name)
{
	for (size_t i = 0; i < picture->n; i++)
		if (!strcmp(picture->list[i].name, name))
			return &picture->list[i];
	return NULL;
}

static const char *instance_of(const struct xen_node *node)
{
	static const char label[] = RUNTIME_LABEL_INSTANCE "=";

	for (size_t i = 0; i < node->labels.n; i++)
		if (!strncmp(node->labels.v[i], label, strlen(label)))
			return node->labels.v[i] + strlen(label);
	return NULL;
}

static int look(struct xen *xen, struct picture *ret, struct err *err)
{
	const struct xen_config *config;
	_cleanup_xen_domains_ struct xen_domains domains = { 0 };
	_cleanup_strv_ struct strv names = { 0 };
	int r = xen_config_of(xen, &config, err);

	r = r < 0 ? r : xen_node_names(config, &names, err);
	r = r < 0 ? r : xen_list_domains(xen, &domains, err);
	if (r < 0)
		return r;
	*ret = (struct picture){ .list = xcalloc(names.n, sizeof(*ret->list)) };
	for (size_t i = 0; i < names.n; i++) {
		struct xen_seen seen = { 0 };

		if (xen_look(xen, names.v[i], &domains, &seen, NULL) == 0 && instance_of(&seen.node) && !seen.absent)
			ret->list[ret->n++] = (struct known){ .name = xstrdup(names.v[i]),
							      .instance = xstrdup(instance_of(&seen.node)),
							      .running = seen.running,
							      .run = seen.record.run,
							      .sequence = seen.record.sequence,
							      .wanted = seen.record.wanted && !seen.running,
							      .exit_code = seen.record.exit_code,
							      .out_of_memory = seen.record.out_of_memory };
		xen_seen_release(&seen);
	}
	return 0;
}

static void tell(runtime_event_fn fn, void *data, enum runtime_event_kind kind, const struct known *known)
{
	struct runtime_event event = { .kind = kind, .instance = known->instance };

	if (kind == RUNTIME_DIED) {
		event.exit_code = known->exit_code;
		event.out_of_memory = known->out_of_memory;
	}
	fn(data, &event);
}

static void compare(const struct picture *old, const struct picture *new, runtime_event_fn fn, void *data)
{
	for (size_t i = 0; i < old->n; i++) {
		const struct known *was = &old->list[i], *is = find(new, was->name);

		if (was->running && !is) {
			struct known gone = *was;

			gone.exit_code = 137;
			gone.out_of_memory = false;
			tell(fn, data, RUNTIME_DIED, &gone);
		} else if (was->running && (!is->running || is->run != was->run))
			tell(fn, data, RUNTIME_DIED, is);
		if (!is)
			tell(fn, data, RUNTIME_REMOVED, was);
	}
	for (size_t i = 0; i < new->n; i++) {
		const struct known *is = &new->list[i], *was = find(old, is->name);

		if (is->running && (!was || !was->running || was->run != is->run))
			tell(fn, data, RUNTIME_STARTED, is);
	}
}

/* Who starts again: a thread of its own, as a start takes long, with a runtime of its own, as it may outlive the watch.
 */
struct keeper {
	atomic_int users;
	_Atomic bool stopping;
	int wake[2]; /* a byte for each change */
	struct runtime *rt;
};

static void keeper_leave(struct keeper *keeper)
{
	if (atomic_fetch_sub(&keeper->users, 1) > 1)
		return;
	close(keeper->wake[0]);
	close(keeper->wake[1]);
	runtime_free(keeper->rt);
	free(keeper);
}

struct attempt {
	char *name;
	int64_t pause, next; /* ms; when it may be tried again */
	int64_t run, clock;  /* ms; when the clock of that run is looked at again */
};

struct attempts {
	struct attempt *list;
	size_t n, cap;
	int64_t offset; /* of the host's clock, ms, when that was last looked at */
};

static struct attempt *attempt_of(struct attempts *attempts, const char *name)
{
	for (size_t i = 0; i < attempts->n; i++)
		if (!strcmp(attempts->list[i].name, name))
			return &attempts->list[i];
	attempts->list = grow_array(attempts->list, attempts->n, &attempts->cap, sizeof(*attempts->list));
	attempts->list[attempts->n] = (struct attempt){ .name = xstrdup(name) };
	return &attempts->list[attempts->n++];
}

/* The one to start next, by order of first starts; NULL: none now. `*wait_ms` until one may be. */
static const struct known *choose(struct attempts *attempts, const struct picture *picture, int64_t *wait_ms)
{
	const struct known *best = NULL;
	int64_t now = clock_monotonic_ms();

	for (size_t i = 0; i < picture->n; i++) {
		const struct known *known = &picture->list[i];
		const struct attempt *attempt = known->wanted ? attempt_of(attempts, known->name) : NULL;

		if (!attempt)
			continue;
		if (attempt->next > now) {
			if (attempt->next - now < *wait_ms)
				*wait_ms = attempt->next - now;
		} else if (!best || known->sequence < best->sequence)
			best = known;
	}
	return best;
}

static void try_one(struct keeper *keeper, struct attempts *attempts, const char *name)
{
	struct attempt *attempt = attempt_of(attempts, name);
	_cleanup_err_ struct err err = ERR_INIT;
	int64_t began = clock_monotonic_ms();
	int r = xen_start_wanted(keeper->rt, name, &err);

	if (r == -EAGAIN) {
		attempt->next = clock_monotonic_ms() + BUSY_MS;
		return; /* somebody starts it, or stops it: this was no failure */
	}
	/* It was long ago that it was last started: its failure is a new one. */
	if (began - attempt->next > GOOD_RUN_MS)
		attempt->pause = 0;
	attempt->pause = attempt->pause ? attempt->pause * 2 : SHORTEST_PAUSE;
	if (attempt->pause > LONGEST_PAUSE)
		attempt->pause = LONGEST_PAUSE;
	if (r < 0)
		log_debug("Starting %s again: %s", name, err_text(&err));
	attempt->next = clock_monotonic_ms() + attempt->pause;
}

/* The host's own clock was set: those of its machines are to be looked at now. */
static void mind_set_clock(struct attempts *attempts)
{
	int64_t offset = clock_realtime_ms() - clock_monotonic_ms();

	if (llabs(offset - attempts->offset) > CLOCK_STEP_MS)
		for (size_t i = 0; i < attempts->n; i++)
			attempts->list[i].clock = 0;
	attempts->offset = offset;
}

/* Looks at one machine's clock at most: others may have to be started again. False: no clock is to be looked at now. */
static bool level_one(struct keeper *keeper, struct attempts *attempts, const struct picture *picture)
{
	int64_t now = clock_monotonic_ms();

	mind_set_clock(attempts);
	for (size_t i = 0; i < picture->n; i++) {
		const struct known *known = &picture->list[i];
		struct attempt *attempt = known->running ? attempt_of(attempts, known->name) : NULL;
		_cleanup_err_ struct err err = ERR_INIT;
		int r;

		if (!attempt || (attempt->run == known->run && attempt->clock > now))
			continue;
		r = xen_level_clock(xen_of(keeper->rt), known->name, &err);
		if (r < 0)
			log_debug("The clock of %s: %s", known->name, err_text(&err));
		attempt->run = known->run;
		attempt->clock = clock_monotonic_ms() + (r < 0 ? CLOCK_AGAIN_MS : CLOCK_MS);
		return true;
	}
	return false;
}

static void *keep(void *data)
{
	struct keeper *keeper = data;
	struct attempts attempts = { 0 };

	while (!atomic_load(&keeper->stopping)) {
		struct pollfd wake = { .fd = keeper->wake[0], .events = POLLIN };
		_cleanup_(picture_release) struct picture picture = { 0 };
		int64_t wait_ms = LOOK_AGAIN_MS;
		const struct known *next = NULL;
		char bytes[64];

		if (look(xen_of(keeper->rt), &picture, NULL) == 0)
			next = choose(&attempts, &picture, &wait_ms);
		if (next)
			try_one(keeper, &attempts, next->name);
		else if (!level_one(keeper, &attempts, &picture) && poll(&wake, 1, (int)wait_ms) > 0 &&
			 read(keeper->wake[0], bytes, sizeof(bytes)) <= 0)
			break;
	}
	for (size_t i = 0; i < attempts.n; i++)
		free(attempts.list[i].name);
	free(attempts.list);
	keeper_leave(keeper);
	return NULL;
}

static int keeper_start(struct xen *xen, struct keeper **ret, struct err *err)
{
	struct keeper *keeper = xcalloc(1, sizeof(*keeper));
	int code;

	if (pipe2(keeper->wake, O_CLOEXEC | O_NONBLOCK) < 0) {
		free(keeper);
		return err_errno(err, errno, _("Cannot make a pipe"));
	}
	keeper->rt = xen_runtime_new(xen->file);
	xen_of(keeper->rt)->stopping = &keeper->stopping;
	atomic_store(&keeper->users, 2);
	code = thread_detach(keep, keeper);
	if (code) {
		atomic_store(&keeper->users, 1);
		keeper_leave(keeper);
		return err_errno(err, code, _("Cannot make a thread"));
	}
	*ret = keeper;
	return 0;
}

static void keeper_stop(struct keeper *keeper)
{
	atomic_store(&keeper->stopping, true);
	(void)!write(keeper->wake[1], "x", 1);
	keeper_leave(keeper);
}

/* xenstore-watch, which writes a line for each change; in a thread, as programs are run to their end. */
struct store {
	pthread_t thread;
	int out[2], stop[2];
	_Atomic bool ended;
};

static void *watch_store(void *data)
{
	struct store *store = data;
	_cleanup_run_ struct run run = { .timeout_ms = FOR_EVER,
					 .output_fd = store->out[1],
					 .stop_fd = store->stop[0] };

	strv_add_all(&run.argv, "xenstore-watch", "@introduceDomain", "@releaseDomain", NULL);
	run_program(&run, NULL, NULL);
	atomic_store(&store->ended, true);
	(void)!write(store->out[1], "\n", 1);
	return NULL;
}

static int store_start(struct store *store)
{
	*store = (struct store){ .out = { -1, -1 }, .stop = { -1, -1 } };
	/* What is not read in time says the same as what is. */
	if (pipe2(store->out, O_CLOEXEC | O_NONBLOCK) < 0 || pipe2(store->stop, O_CLOEXEC) < 0 ||
	    thread_create(&store->thread, NULL, watch_store, store)) {
		for (int i = 0; i < 2; i++) {
			closep(&store->out[i]);
			closep(&store->stop[i]);
		}
		return -EAGAIN;
	}
	return 0;
}

static void store_stop(struct store *store)
{
	close(store->stop[1]);
	pthread_join(store->thread, NULL);
	close(store->stop[0]);
	close(store->out[0]);
	close(store->out[1]);
}

static int watch_directories(struct xen *xen)
{
	const struct xen_config *config;
	_cleanup_(freep) char *nodes = NULL, *states = NULL;
	int fd;

	if (xen_config_of(xen, &config, NULL) < 0)
		return -EINVAL;
	nodes = fs_join(config->directory, "nodes");
	states = fs_join(config->directory, "state");
	if (fs_mkdirs(nodes, 0700, NULL) < 0 || fs_mkdirs(states, 0700, NULL) < 0)
		return -EIO;
	fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (fd < 0 || inotify_add_watch(fd, nodes, IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE) < 0 ||
	    inotify_add_watch(fd, states, IN_MOVED_TO | IN_DELETE) < 0) {
		if (fd >= 0)
			close(fd);
		return -EIO;
	}
	return fd;
}

static void drain(int fd)
{
	char bytes[4096];

	while (read(fd, bytes, sizeof(bytes)) > 0)
		;
}

/* 0: stop_fd says stop; negative: something broke and is to be opened anew. */
static int follow(struct xen *xen, struct store *store, int changes, int stop_fd, struct keeper *keeper,
		  runtime_event_fn fn, void *data)
{
	const struct runtime_event reconnected = { .kind = RUNTIME_RECONNECTED };
	_cleanup_(picture_release) struct picture old = { 0 };
	int r = look(xen, &old, NULL);

	if (r < 0)
		return r;
	fn(data, &reconnected);
	for (;;) {
		struct pollfd fds[] = { { .fd = stop_fd, .events = POLLIN },
					{ .fd = store->out[0], .events = POLLIN },
					{ .fd = changes, .events = POLLIN } };
		struct picture new = { 0 };

		if (poll(fds, ARRAY_SIZE(fds), LOOK_AGAIN_MS) < 0 && errno != EINTR)
			return -errno;
		if (fds[0].revents)
			return 0;
		drain(store->out[0]);
		drain(changes);
		if (atomic_load(&store->ended))
			return -ECONNRESET;
		r = look(xen, &new, NULL);
		if (r < 0)
			return r;
		compare(&old, &new, fn, data);
		picture_release(&old);
		old = new;
		(void)!write(keeper->wake[1], "x", 1);
	}
}

static bool stopped_within(int stop_fd, int ms)
{
	struct pollfd stop = { .fd = stop_fd, .events = POLLIN };

	return poll(&stop, 1, ms) > 0;
}

int xen_watch(struct runtime *rt, int stop_fd, runtime_event_fn fn, void *data, struct err *err)
{
	struct xen *xen = xen_of(rt);
	struct keeper *keeper = NULL;
	int pause = SHORTEST_PAUSE, r = keeper_start(xen, &keeper, err);
	bool stopped = r < 0;

	while (!stopped) {
		int changes = watch_directories(xen);
		struct store store;

		r = changes < 0 ? changes : store_start(&store);
		if (r == 0) {
			r = follow(xen, &store, changes, stop_fd, keeper, fn, data);
			store_stop(&store);
		}
		if (changes >= 0)
			close(changes);
		stopped = r == 0 || stopped_within(stop_fd, pause);
		pause = r == -ECONNRESET ? SHORTEST_PAUSE : pause * 2 < LONGEST_PAUSE ? pause * 2 : LONGEST_PAUSE;
	}
	if (keeper)
		keeper_stop(keeper);
	return keeper ? 0 : r;
}
