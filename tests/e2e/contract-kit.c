/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "contract-kit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"

static unsigned int n_passed, n_failed;

bool expect(bool ok, const char *what, const struct err *err)
{
	if (ok)
		n_passed++;
	else
		n_failed++;
	if (!ok)
		printf("FAILED: %s%s%s\n", what, err && err->code ? ": " : "", err && err->code ? err_text(err) : "");
	fflush(stdout);
	return ok;
}

int report(void)
{
	printf("%u passed, %u failed\n", n_passed, n_failed);
	return n_failed || !n_passed;
}

void measured(const char *what, int64_t us)
{
	printf("  %-58s %8.2f ms\n", what, (double)us / 1000);
}

int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void kit_add_layer(struct kit *kit, struct image *image, const char *name)
{
	_cleanup_(freep) char *sum = xasprintf("%s/%s.sha256", kit->dir, name);
	_cleanup_buf_ struct buf text = { 0 };
	struct image_layer *layer;

	image->layers = xreallocarray(image->layers, image->n_layers + 1, sizeof(*image->layers));
	layer = &image->layers[image->n_layers++];
	if (fs_read(sum, 256, &text, NULL) < 0 || text.len < 64)
		expect(false, "the layers were made", NULL);
	*layer = (struct image_layer){ .sha256 = xstrndup(buf_text(&text), 64),
				       .path = xasprintf("%s/%s.tar", kit->dir, name) };
}

void image_clear(struct image *image)
{
	for (size_t i = 0; i < image->n_layers; i++) {
		free(image->layers[i].sha256);
		free(image->layers[i].path);
	}
	free(image->layers);
	free(image->id);
	free(image->external);
	*image = (struct image){ 0 };
}

int kit_ms(const struct kit *kit, int ms)
{
	return ms * kit->slow;
}

int kit_kilobytes(const struct kit *kit, int kilobytes)
{
	return kit->slow > 1 ? kilobytes / 10 : kilobytes;
}

int kit_open(struct kit *kit, const char *driver, const char *endpoint, const char *dir)
{
	_cleanup_err_ struct err err = ERR_INIT;

	const char *slow = getenv("RUNTIME_SLOW"), *tag = getenv("RUNTIME_TAG");

	*kit = (struct kit){ .dir = dir,
			     .tag = tag ? xstrdup(tag) : xasprintf("tt-runtime-%d", (int)getpid()),
			     .slow = slow && atoi(slow) > 0 ? atoi(slow) : 1 };
	if (!expect(runtime_open(driver, endpoint, &kit->rt, &err) == 0, "the driver opens", &err))
		return -1;
	kit_add_layer(kit, &kit->image, "base");
	kit_add_layer(kit, &kit->image, "top");
	kit->image.id = xasprintf("%s-main", kit->tag);
	if (kit->rt->ops->networks)
		return expect(kit->rt->ops->networks(kit->rt, &kit->networks, &kit->n_networks, &err) == 0,
			      "the ranges of addresses are told", &err)
			   ? 0
			   : -1;
	return 0;
}

void kit_close(struct kit *kit)
{
	struct runtime_node *nodes = NULL;
	size_t n = 0;

	if (kit->rt && kit->rt->ops->list(kit->rt, &nodes, &n, NULL) == 0)
		for (size_t i = 0; i < n; i++)
			if (strstr(nodes[i].name, kit->tag))
				kit->rt->ops->remove(kit->rt, nodes[i].id, NULL);
	runtime_nodes_free(nodes, n);
	runtime_networks_free(kit->networks, kit->n_networks);
	runtime_free(kit->rt);
	image_clear(&kit->image);
	free(kit->ref);
	free(kit->tag);
}

/* The n-th address of a range, again and again. */
static char *nth_address(const struct runtime_network *network, unsigned n)
{
	struct in_addr first, last;
	char text[INET_ADDRSTRLEN];
	uint32_t count;

	inet_pton(AF_INET, network->address, &first);
	inet_pton(AF_INET, network->last, &last);
	count = ntohl(last.s_addr) - ntohl(first.s_addr) + 1;
	first.s_addr = htonl(ntohl(first.s_addr) + n % count);
	return xstrdup(inet_ntop(AF_INET, &first, text, sizeof(text)));
}

static void draft_networks(struct draft *draft, struct kit *kit)
{
	unsigned n = kit->given++;

	draft->networks = xcalloc(kit->n_networks, sizeof(*draft->networks));
	for (size_t i = 0; i < kit->n_networks; i++) {
		draft->networks[i] = kit->networks[i];
		draft->networks[i].address = nth_address(&kit->networks[i], n);
		draft->networks[i].last = NULL;
	}
	draft->spec.networks = draft->networks;
	draft->spec.n_networks = kit->n_networks;
}

void draft_init(struct draft *draft, struct kit *kit, const char *short_name)
{
	*draft = (struct draft){ .name = xasprintf("tepuy.%s.%s", kit->tag, short_name),
				 .instance = xasprintf("%s/%s/1.1", kit->tag, short_name) };
	strv_addf(&draft->labels, RUNTIME_LABEL_INSTANCE "=%s", draft->instance);
	strv_addf(&draft->labels, RUNTIME_LABEL_SPEC "=%s", "0123abcd");
	strv_add_all(&draft->argv, "/bin/runtime-node", "main", NULL);
	draft->spec = (struct runtime_spec){ .name = draft->name,
					     .host_name = "web-1.portal",
					     .image = &kit->image,
					     .image_ref = kit->ref,
					     .memory = (kit->rt->ops->machines ? 96u : 256u) << 20 };
	draft->n_networks = kit->n_networks;
	draft_networks(draft, kit);
}

void draft_release(struct draft *draft)
{
	strv_release(&draft->labels);
	strv_release(&draft->argv);
	strv_release(&draft->env);
	for (size_t i = 0; i < draft->n_networks; i++)
		free(draft->networks[i].address);
	free(draft->networks);
	free(draft->name);
	free(draft->instance);
}

char *kit_run(struct kit *kit, const struct draft *draft)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct runtime_spec spec = draft->spec;
	char *id = NULL;
	int r;

	spec.labels = &draft->labels;
	spec.argv = &draft->argv;
	spec.env = &draft->env;
	r = kit->rt->ops->create(kit->rt, &spec, &id, &err);
	if (r == 0)
		r = kit->rt->ops->start(kit->rt, id, &err);
	expect(r == 0, "a node is created and starts", &err);
	return id;
}

int kit_exec(struct kit *kit, const char *id, char **ret_output, ...)
{
	_cleanup_strv_ struct strv argv = { 0 };
	struct runtime_exec exec = { .argv = &argv, .timeout_ms = kit_ms(kit, 60000) };
	struct buf output = { 0 };
	const char *word;
	va_list ap;
	int r;

	va_start(ap, ret_output);
	while ((word = va_arg(ap, const char *)))
		strv_add(&argv, word);
	va_end(ap);
	r = kit->rt->ops->exec(kit->rt, id, &exec, &output, NULL);
	if (ret_output)
		*ret_output = buf_take(&output);
	buf_release(&output);
	return r;
}

char *kit_ask(struct kit *kit, const char *id, const char *line)
{
	int64_t deadline = clock_monotonic_ms() + kit_ms(kit, 90000);
	struct buf answer = { 0 };
	int fd = -1;
	ssize_t n;

	while (kit->rt->ops->dial(kit->rt, id, "/run/node.sock", &fd, NULL) < 0) {
		if (clock_monotonic_ms() > deadline)
			return NULL;
		poll(NULL, 0, 5);
	}
	dprintf(fd, "%s\n", line);
	while ((n = read(fd, buf_reserve(&answer, 4096), 4096)) > 0)
		answer.len += (size_t)n;
	close(fd);
	buf_add(&answer, "", 0);
	return buf_take(&answer);
}

bool kit_wait_state(struct kit *kit, const char *id, enum runtime_state state, int ms)
{
	int64_t deadline = clock_monotonic_ms() + ms;

	while (clock_monotonic_ms() < deadline) {
		struct runtime_node node = { 0 };
		bool there = kit->rt->ops->inspect(kit->rt, id, &node, NULL) == 0 && node.state == state;

		runtime_node_release(&node);
		if (there)
			return true;
		poll(NULL, 0, 10);
	}
	return false;
}

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct runtime_event *list;
	size_t n, cap;
	struct runtime *rt;
	pthread_t thread;
	int stop[2];
	int result;
} events = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void on_event(void *data, const struct runtime_event *event)
{
	(void)data;
	pthread_mutex_lock(&events.lock);
	events.list = grow_array(events.list, events.n, &events.cap, sizeof(*events.list));
	events.list[events.n] = *event;
	events.list[events.n++].instance = xstrdup(event->instance);
	pthread_cond_broadcast(&events.changed);
	pthread_mutex_unlock(&events.lock);
}

static void *watch(void *data)
{
	(void)data;
	events.result = events.rt->ops->watch(events.rt, events.stop[0], on_event, NULL, NULL);
	return NULL;
}

void events_begin(struct kit *kit)
{
	events.rt = kit->rt;
	if (pipe2(events.stop, O_CLOEXEC) < 0 || pthread_create(&events.thread, NULL, watch, NULL))
		abort();
}

void events_end(void)
{
	int64_t began = clock_monotonic_ms();

	close(events.stop[1]);
	pthread_join(events.thread, NULL);
	close(events.stop[0]);
	expect(events.result == 0 && clock_monotonic_ms() - began < 20000, "watch ends when it is told to", NULL);
	for (size_t i = 0; i < events.n; i++)
		free(events.list[i].instance);
	free(events.list);
}

size_t events_mark(void)
{
	size_t n;

	pthread_mutex_lock(&events.lock);
	n = events.n;
	pthread_mutex_unlock(&events.lock);
	return n;
}

static bool find_event(size_t mark, enum runtime_event_kind kind, const char *instance, struct runtime_event *ret)
{
	for (size_t i = mark; i < events.n; i++) {
		const struct runtime_event *event = &events.list[i];

		if (event->kind == kind && (!instance || (event->instance && !strcmp(event->instance, instance)))) {
			if (ret)
				*ret = *event;
			return true;
		}
	}
	return false;
}

bool events_wait(size_t mark, enum runtime_event_kind kind, const char *instance, int ms, struct runtime_event *ret)
{
	struct timespec until;
	bool found;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&events.lock);
	while (!(found = find_event(mark, kind, instance, ret)))
		if (pthread_cond_timedwait(&events.changed, &events.lock, &until) == ETIMEDOUT)
			break;
	pthread_mutex_unlock(&events.lock);
	return found;
}
