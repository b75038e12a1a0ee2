/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Asserts what src/runtime/runtime.h promises, of any driver: runtime-contract DRIVER DIR [FOREIGN]. DIR has the layers
 * (runtime-contract.sh makes them), FOREIGN is the id of something that the runtime has and tepuy did not make.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fs.h"
#include "contract-kit.h"

static void contract_probe(struct kit *kit)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_(freep) char *version = NULL;
	struct runtime *rt = NULL;

	expect(kit->rt->ops->probe(kit->rt, &version, &err) == RUNTIME_MINE, "probe says that the runtime is here",
	       &err);
	expect(version && *version, "probe tells the version", NULL);
	expect(runtime_open("no-such-runtime", NULL, &rt, &err) == -EINVAL &&
		   strstr(err_text(&err), kit->rt->ops->name),
	       "an unknown driver is refused, the known ones are named", NULL);
	expect(runtime_open(kit->rt->ops->name, "/nonexistent/runtime.sock", &rt, &err) == 0,
	       "opening connects to nothing", &err);
	if (rt) {
		expect(rt->ops->probe(rt, &version, NULL) == RUNTIME_NOT_MINE, "probe says that it is not here", NULL);
		runtime_free(rt);
	}
}

static void contract_import(struct kit *kit)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_(freep) char *again = NULL, *other_ref = NULL, *upper_ref = NULL, *none = NULL;
	struct image other = { .id = xasprintf("%s-other", kit->tag) };
	struct image upper = { .id = xasprintf("%s-upper", kit->tag) };
	struct image absent = { .id = xasprintf("%s-absent", kit->tag), .external = xstrdup("no-such-image:1") };
	int64_t began = now_us();

	expect(kit->rt->ops->import(kit->rt, &kit->image, &kit->ref, &err) == 0, "an image is imported", &err);
	measured("import of base and layer", now_us() - began);
	began = now_us();
	expect(kit->rt->ops->import(kit->rt, &kit->image, &again, &err) == 0 && again && !strcmp(again, kit->ref),
	       "importing it again gives the same name", &err);
	measured("import again", now_us() - began);
	kit_add_layer(kit, &other, "base");
	kit_add_layer(kit, &other, "other");
	began = now_us();
	expect(kit->rt->ops->import(kit->rt, &other, &other_ref, &err) == 0, "an image on the same base is imported",
	       &err);
	measured("import of a layer on a base that is there", now_us() - began);
	upper.external = xstrdup(kit->ref);
	kit_add_layer(kit, &upper, "other");
	expect(kit->rt->ops->import(kit->rt, &upper, &upper_ref, &err) == 0,
	       "a layer goes onto the runtime's own image", &err);
	expect(kit->rt->ops->import(kit->rt, &absent, &none, &err) == -ENOENT &&
		   strstr(err_text(&err), "no-such-image:1"),
	       "an external image that is absent is named", NULL);
	image_clear(&other);
	image_clear(&upper);
	image_clear(&absent);
}

static bool listed(struct kit *kit, const char *id, struct runtime_node *ret)
{
	struct runtime_node *nodes = NULL;
	size_t n = 0;
	bool found = false;

	if (kit->rt->ops->list(kit->rt, &nodes, &n, NULL) < 0)
		expect(false, "list works", NULL);
	for (size_t i = 0; i < n; i++)
		if (!strcmp(nodes[i].id, id)) {
			found = true;
			*ret = nodes[i];
			nodes[i] = (struct runtime_node){ 0 };
		}
	runtime_nodes_free(nodes, n);
	return found;
}

static void contract_create(struct kit *kit, struct draft *web, const char *id)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_(runtime_node_release) struct runtime_node node = { 0 };
	struct runtime_mount nowhere = { .from = (char *)"/nonexistent/data", .to = (char *)"/data" };
	struct runtime_spec spec = web->spec;
	struct strv no_labels = { 0 };
	char *other = NULL;

	spec.labels = &web->labels;
	spec.argv = &web->argv;
	spec.env = &web->env;
	expect(kit->rt->ops->create(kit->rt, &spec, &other, &err) == -EEXIST, "a name is given only once", &err);
	spec.name = "tepuy.tt-runtime.never";
	spec.image_ref = "tepuy/image:no-such-image";
	expect(kit->rt->ops->create(kit->rt, &spec, &other, &err) == -ENOENT && strstr(err_text(&err), "no-such-image"),
	       "a missing image is named", NULL);
	spec.image_ref = kit->ref;
	spec.mounts = &nowhere;
	spec.n_mounts = 1;
	expect(kit->rt->ops->create(kit->rt, &spec, &other, &err) == -ENOENT && strstr(err_text(&err), nowhere.from),
	       "a mount's missing source is named", NULL);
	spec.n_mounts = 0;
	spec.labels = &no_labels;
	expect(kit->rt->ops->create(kit->rt, &spec, &other, &err) == -EINVAL, "a node without its label is refused",
	       NULL);
	expect(other == NULL, "what fails returns no id", NULL);
	expect(listed(kit, id, &node), "list has the new node", NULL);
	expect(node.state == RUNTIME_CREATED && node.name && !strcmp(node.name, web->name),
	       "it is created, with its name", NULL);
}

/* Of a machine: at an address of its own. */
static void check_port(const struct kit *kit, const struct draft *web, const struct runtime_node *node)
{
	const struct runtime_port *port = node->n_ports == 1 ? &node->ports[0] : NULL;
	bool machines = kit->rt->ops->machines;

	expect(port && !strcmp(port->name, "http") && port->port == 80 && !port->udp &&
		   (machines ? port->host_port == 80 : port->host_port >= 1024) &&
		   !strcmp(port->address, machines ? web->networks[0].address : "127.0.0.1"),
	       "a port is told with its name and where it is", NULL);
}

static void contract_running(struct kit *kit, const struct draft *web, const char *id)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_(runtime_node_release) struct runtime_node node = { 0 }, in_list = { 0 };
	_cleanup_(freep) char *output = NULL, *hello = kit_ask(kit, id, "hello");
	const char *label;

	expect(hello && !strcmp(hello, "echo: hello\n"), "the main process runs", NULL);
	expect(kit->rt->ops->start(kit->rt, id, &err) == 0, "starting what runs is fine", &err);
	expect(kit->rt->ops->inspect(kit->rt, id, &node, &err) == 0, "inspect works", &err);
	label = runtime_node_label(&node, RUNTIME_LABEL_INSTANCE);
	expect(node.state == RUNTIME_RUNNING && node.exit_code == 0, "the node runs", NULL);
	expect(label && !strcmp(label, web->instance), "labels come back", NULL);
	expect(llabs(clock_realtime_ms() - node.started_ms) < kit_ms(kit, 120000), "it tells when it started", NULL);
	expect(node.address && *node.address, "it has an address", NULL);
	check_port(kit, web, &node);
	expect(listed(kit, id, &in_list) && in_list.state == RUNTIME_RUNNING, "list says that it runs", NULL);
	check_port(kit, web, &in_list);
	expect(strv_equal(&node.labels, &in_list.labels), "list and inspect tell the same labels", NULL);
	expect(kit_exec(kit, id, &output, "/bin/busybox", "hostname", NULL) == 0 && !strcmp(output, "web-1.portal\n"),
	       "it has its host name", NULL);
	free(output);
	expect(kit_exec(kit, id, &output, "/bin/sh", "-c", "tr '\\0' '\\n' </proc/$(pidof runtime-node)/environ",
			NULL) == 0 &&
		   strstr(output, "GREETING=hola\n"),
	       "it has its environment", NULL);
	free(TAKE_PTR(output));
	expect(kit_exec(kit, id, NULL, "/bin/sh", "-c", "echo kept >/data/kept", NULL) == 0, "it has its mount", NULL);
	expect(kit_exec(kit, id, NULL, "/bin/touch", "/fixed/x", NULL) != 0, "a read-only mount cannot be written",
	       NULL);
}

static int serve_port(uint16_t *ret_port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 1) < 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &len) < 0)
		abort();
	*ret_port = ntohs(at.sin_port);
	return fd;
}

/* A machine has all of its ports to itself. */
static void contract_port_taken(struct kit *kit)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct runtime_port port = { .name = (char *)"http", .address = (char *)"127.0.0.1", .port = 80 };
	_cleanup_(draft_release) struct draft draft;
	int r, listener = serve_port(&port.host_port);
	_cleanup_(freep) char *id = NULL, *number = xasprintf(":%u", port.host_port);

	draft_init(&draft, kit, "taken");
	draft.spec.labels = &draft.labels;
	draft.spec.argv = &draft.argv;
	draft.spec.ports = &port;
	draft.spec.n_ports = 1;
	r = kit->rt->ops->create(kit->rt, &draft.spec, &id, &err);
	if (r == 0)
		r = kit->rt->ops->start(kit->rt, id, &err);
	expect(r == -EADDRINUSE && strstr(err_text(&err), number), "a taken port is named", &err);
	close(listener);
	expect(id && kit->rt->ops->start(kit->rt, id, &err) == 0, "once it is free, the node starts", &err);
	expect(id && kit->rt->ops->remove(kit->rt, id, &err) == 0, "a running node is removed", &err);
}

static void contract_memory(struct kit *kit)
{
	_cleanup_(draft_release) struct draft draft;
	_cleanup_(freep) char *id = NULL;
	struct runtime_event event = { 0 };
	size_t mark = events_mark();

	draft_init(&draft, kit, "eater");
	strv_release(&draft.argv);
	strv_add_all(&draft.argv, "/bin/runtime-node", "eat", "512", NULL);
	draft.spec.memory = 128u << 20;
	id = kit_run(kit, &draft);
	expect(events_wait(mark, RUNTIME_DIED, draft.instance, kit_ms(kit, 60000), &event) && event.out_of_memory,
	       "a node that passes its memory limit dies, and is said to have run out of memory", NULL);
	if (id)
		kit->rt->ops->remove(kit->rt, id, NULL);
}

static void contract_dying(struct kit *kit, const struct draft *web, const char *id)
{
	struct runtime_event event = { 0 };
	size_t mark = events_mark();

	free(kit_ask(kit, id, "exit 3"));
	expect(events_wait(mark, RUNTIME_DIED, web->instance, kit_ms(kit, 60000), &event) && event.exit_code == 3 &&
		   !event.out_of_memory,
	       "a death is told with its code", NULL);
	expect(events_wait(mark, RUNTIME_STARTED, web->instance, kit_ms(kit, 60000), NULL),
	       "what died by itself is started again", NULL);
	free(kit_ask(kit, id, "say here again"));
}

static void contract_stop(struct kit *kit, const struct draft *web, const char *id)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_(runtime_node_release) struct runtime_node node = { 0 };
	size_t mark = events_mark();
	int64_t began = now_us();

	expect(kit->rt->ops->stop(kit->rt, id, kit_ms(kit, 10000), &err) == 0, "a node stops", &err);
	measured("stop", now_us() - began);
	expect(kit->rt->ops->inspect(kit->rt, id, &node, &err) == 0 && node.state == RUNTIME_EXITED && node.pid == 0,
	       "it has ended when stop returns", &err);
	expect(node.exit_code == 0, "it had its signal, not the kill", NULL);
	expect(events_wait(mark, RUNTIME_DIED, web->instance, kit_ms(kit, 60000), NULL), "a stop is told as a death",
	       NULL);
	expect(!events_wait(mark, RUNTIME_STARTED, web->instance, kit_ms(kit, 1500), NULL),
	       "what was stopped stays stopped", NULL);
	expect(kit->rt->ops->stop(kit->rt, id, 1000, &err) == 0, "stopping what is stopped is fine", &err);
	mark = events_mark();
	expect(kit->rt->ops->start(kit->rt, id, &err) == 0, "what was stopped starts", &err);
	free(kit_ask(kit, id, "exit 4"));
	expect(events_wait(mark, RUNTIME_DIED, web->instance, kit_ms(kit, 60000), NULL) &&
		   kit_wait_state(kit, id, RUNTIME_RUNNING, kit_ms(kit, 60000)),
	       "started again, it is kept running again", NULL);
}

static void contract_stop_by_force(struct kit *kit)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_(draft_release) struct draft draft;
	_cleanup_(freep) char *id = NULL;
	int64_t began;

	draft_init(&draft, kit, "deaf");
	draft.spec.stop_signal = "USR2"; /* which busybox's shell ignores when told to */
	strv_release(&draft.argv);
	strv_add_all(&draft.argv, "/bin/sh", "-c", "trap '' USR2; while :; do sleep 60; done", NULL);
	id = kit_run(kit, &draft);
	began = clock_monotonic_ms();
	expect(id && kit->rt->ops->stop(kit->rt, id, 1000, &err) == 0, "a node that ignores its signal is killed",
	       &err);
	expect(clock_monotonic_ms() - began < kit_ms(kit, 40000), "in time", NULL);
	expect(id && kit_wait_state(kit, id, RUNTIME_EXITED, kit_ms(kit, 60000)), "and then it has ended", NULL);
}

static void contract_remove(struct kit *kit, const struct draft *web, const char *id)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct runtime_node node = { 0 };
	size_t mark = events_mark();

	expect(kit->rt->ops->remove(kit->rt, id, &err) == 0, "a node is removed", &err);
	expect(kit->rt->ops->remove(kit->rt, id, &err) == 0, "removing what is absent is fine", &err);
	expect(kit->rt->ops->stop(kit->rt, id, 1000, &err) == 0, "stopping what is absent is fine", &err);
	expect(kit->rt->ops->start(kit->rt, id, NULL) == -ENOENT, "what is absent cannot be started", NULL);
	expect(kit->rt->ops->inspect(kit->rt, id, &node, NULL) == -ENOENT, "what is absent cannot be inspected", NULL);
	expect(kit->rt->ops->inspect(kit->rt, "../version", &node, NULL) == -ENOENT, "what is no id is absent", NULL);
	expect(kit_exec(kit, id, NULL, "/bin/true", NULL) == -ENOENT, "nothing runs in what is absent", NULL);
	expect(!listed(kit, id, &node), "list forgets it", NULL);
	expect(events_wait(mark, RUNTIME_REMOVED, web->instance, kit_ms(kit, 60000), NULL), "the removal is told",
	       NULL);
}

/* What a removed node wrote on its volume, another one finds there. */
static void contract_volume(struct kit *kit, const char *data_dir)
{
	struct runtime_mount mount = { .from = (char *)data_dir, .to = (char *)"/data" };
	_cleanup_(draft_release) struct draft draft;
	_cleanup_(freep) char *id = NULL, *output = NULL;

	draft_init(&draft, kit, "heir");
	draft.spec.mounts = &mount;
	draft.spec.n_mounts = 1;
	id = kit_run(kit, &draft);
	expect(id && kit_exec(kit, id, &output, "/bin/cat", "/data/kept", NULL) == 0 && !strcmp(output, "kept\n"),
	       "a volume keeps its content when its node goes", NULL);
	if (id)
		kit->rt->ops->remove(kit->rt, id, NULL);
}

static void contract_foreign(struct kit *kit, const char *foreign)
{
	struct runtime_node node = { 0 };
	struct runtime_file file = { .path = (char *)"/x", .data = "x", .len = 1, .mode = 0600 };

	expect(!listed(kit, foreign, &node), "what tepuy did not make is not listed", NULL);
	expect(kit->rt->ops->inspect(kit->rt, foreign, &node, NULL) == -EPERM, "nor inspected", NULL);
	expect(kit->rt->ops->start(kit->rt, foreign, NULL) == -EPERM, "nor started", NULL);
	expect(kit->rt->ops->stop(kit->rt, foreign, 0, NULL) == -EPERM, "nor stopped", NULL);
	expect(kit->rt->ops->remove(kit->rt, foreign, NULL) == -EPERM, "nor removed", NULL);
	expect(kit->rt->ops->put(kit->rt, foreign, &file, 1, NULL) == -EPERM, "nor written to", NULL);
	expect(kit_exec(kit, foreign, NULL, "/bin/true", NULL) == -EPERM, "nor entered", NULL);
}

struct worker {
	struct kit *kit;
	int number;
	bool ok;
};

static void *live_and_die(void *data)
{
	struct worker *worker = data;
	struct kit *kit = worker->kit;
	_cleanup_(freep) char *name = xasprintf("many-%d", worker->number), *id = NULL, *output = NULL;
	_cleanup_(draft_release) struct draft draft;

	draft_init(&draft, kit, name);
	draft.spec.labels = &draft.labels;
	draft.spec.argv = &draft.argv;
	worker->ok = kit->rt->ops->create(kit->rt, &draft.spec, &id, NULL) == 0 &&
		     kit->rt->ops->start(kit->rt, id, NULL) == 0 &&
		     kit_exec(kit, id, &output, "/bin/echo", name, NULL) == 0 && strstr(output, name) &&
		     kit->rt->ops->remove(kit->rt, id, NULL) == 0;
	return NULL;
}

static void contract_threads(struct kit *kit)
{
	struct worker workers[4];
	pthread_t threads[ARRAY_SIZE(workers)];
	size_t n = kit->rt->ops->machines ? 2 : ARRAY_SIZE(workers);
	bool ok = true;

	for (size_t i = 0; i < n; i++) {
		workers[i] = (struct worker){ kit, (int)i, false };
		if (pthread_create(&threads[i], NULL, live_and_die, &workers[i]))
			abort();
	}
	for (size_t i = 0; i < n; i++) {
		pthread_join(threads[i], NULL);
		ok = ok && workers[i].ok;
	}
	expect(ok, "several threads may use a runtime at once", NULL);
}

/* One node from its creation to its end. */
static void life(struct kit *kit)
{
	_cleanup_(freep) char *data_dir = xasprintf("%s/data-%s", kit->dir, kit->tag),
			      *fixed_dir = xasprintf("%s/fixed-%s", kit->dir, kit->tag);
	struct runtime_mount mounts[] = {
		{ .from = data_dir, .to = (char *)"/data", .size = 64u << 20 },
		{ .from = fixed_dir, .to = (char *)"/fixed", .read_only = true, .size = 64u << 20 }
	};
	struct runtime_port port = { .name = (char *)"http", .address = (char *)"127.0.0.1", .port = 80 };
	_cleanup_(draft_release) struct draft web;
	_cleanup_(freep) char *id = NULL;
	size_t mark = events_mark();
	int64_t began;

	expect(fs_mkdirs(data_dir, 0755, NULL) == 0 && fs_mkdirs(fixed_dir, 0755, NULL) == 0, "volumes are made", NULL);
	draft_init(&web, kit, "web");
	strv_add(&web.env, "GREETING=hola");
	web.spec.labels = &web.labels;
	web.spec.argv = &web.argv;
	web.spec.env = &web.env;
	web.spec.mounts = mounts;
	web.spec.n_mounts = ARRAY_SIZE(mounts);
	web.spec.ports = &port;
	web.spec.n_ports = 1;
	web.spec.memory_max = 512u << 20;
	web.spec.cpus = 1;
	web.spec.cpus_max = 2;
	began = now_us();
	if (!expect(kit->rt->ops->create(kit->rt, &web.spec, &id, NULL) == 0, "a node is created", NULL))
		return;
	measured("create", now_us() - began);
	contract_create(kit, &web, id);
	expect(kit_exec(kit, id, NULL, "/bin/true", NULL) == -ESRCH, "nothing runs in a node that does not", NULL);
	began = now_us();
	expect(kit->rt->ops->start(kit->rt, id, NULL) == 0, "it starts", NULL);
	measured("start", now_us() - began);
	expect(events_wait(mark, RUNTIME_STARTED, web.instance, kit_ms(kit, 60000), NULL), "the start is told", NULL);
	contract_running(kit, &web, id);
	contract_exec(kit, id);
	contract_attach(kit, id);
	contract_put(kit, id);
	contract_dial(kit, id);
	contract_logs(kit, id);
	contract_usage(kit, id);
	contract_resize(kit, id);
	contract_dying(kit, &web, id);
	contract_stop(kit, &web, id);
	contract_remove(kit, &web, id);
	contract_volume(kit, data_dir);
}

/* Whether its images must boot, for the script that makes the layers. */
static bool has_machines(const char *driver)
{
	struct runtime *rt = NULL;
	bool machines = runtime_open(driver, getenv("RUNTIME_ENDPOINT"), &rt, NULL) == 0 && rt->ops->machines;

	runtime_free(rt);
	return machines;
}

int main(int argc, char **argv)
{
	struct kit kit;

	if (argc < 3) {
		fprintf(stderr, "usage: %s DRIVER DIR|machines [FOREIGN]\n", argv[0]);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	if (!strcmp(argv[2], "machines"))
		return !has_machines(argv[1]);
	if (argc > 3 && !strcmp(argv[3], "step"))
		return kit_open(&kit, argv[1], getenv("RUNTIME_ENDPOINT"), argv[2]) < 0 ? 2
											: contract_step(&kit, argv + 4);
	if (kit_open(&kit, argv[1], getenv("RUNTIME_ENDPOINT"), argv[2]) == 0) {
		contract_probe(&kit);
		events_begin(&kit);
		expect(events_wait(0, RUNTIME_RECONNECTED, NULL, kit_ms(&kit, 60000), NULL),
		       "watch tells when it begins to see", NULL);
		contract_import(&kit);
		if (kit.ref) {
			life(&kit);
			contract_put_created(&kit);
			if (!kit.rt->ops->machines)
				contract_port_taken(&kit);
			contract_memory(&kit);
			contract_stop_by_force(&kit);
			contract_threads(&kit);
			contract_killed(&kit, argv[1]);
			if (argc > 3)
				contract_foreign(&kit, argv[3]);
		}
		events_end();
	}
	kit_close(&kit);
	return report();
}
