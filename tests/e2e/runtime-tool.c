/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One call of a runtime driver, for scripts: runtime-tool DRIVER COMMAND…
 *   import ID LAYER…                 layers are DIR/NAME with NAME.tar and NAME.sha256; prints the reference
 *   create NAME REF ADDRESS ARGV…    of instance NAME/1.1; ADDRESS "-" where nodes have none of their own
 *   start|stop|remove NAME
 *   exec NAME ARGV…                  its exit status is this program's
 *   list | strays | capacity | usage NAME | put NAME PATH TEXT | logs NAME
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "runtime/runtime.h"

static int run_import(struct runtime *rt, char **argv, struct err *err)
{
	struct image_layer layers[8] = { 0 };
	struct image image = { .id = argv[0], .layers = layers };
	char *ref = NULL;
	int r;

	for (char **one = argv + 1; *one && image.n_layers < 8; one++) {
		_cleanup_(freep) char *sum = xasprintf("%s.sha256", *one);
		struct buf text = { 0 };

		if (fs_read(sum, 4096, &text, err) < 0)
			return -EINVAL;
		text.data[64] = '\0';
		layers[image.n_layers++] =
		    (struct image_layer){ .sha256 = buf_take(&text), .path = xasprintf("%s.tar", *one) };
	}
	r = rt->ops->import(rt, &image, &ref, err);
	if (r == 0)
		printf("%s\n", ref);
	return r;
}

static int run_create(struct runtime *rt, char **argv, struct err *err)
{
	struct runtime_network *networks = NULL;
	struct strv labels = { 0 }, args = { 0 };
	struct runtime_spec spec = { .name = argv[0],
				     .host_name = argv[0],
				     .labels = &labels,
				     .image = &(struct image){ 0 },
				     .image_ref = argv[1],
				     .argv = &args,
				     .memory = 96u << 20 };
	char *id = NULL;
	int r = rt->ops->networks ? rt->ops->networks(rt, &networks, &spec.n_networks, err) : 0;

	if (r < 0)
		return r;
	if (spec.n_networks)
		networks[0].address = argv[2];
	spec.networks = networks;
	strv_addf(&labels, RUNTIME_LABEL_INSTANCE "=%s/1.1", argv[0]);
	for (char **one = argv + 3; *one; one++)
		strv_add(&args, *one);
	r = rt->ops->create(rt, &spec, &id, err);
	if (r == 0)
		printf("%s\n", id);
	return r;
}

static int run_exec(struct runtime *rt, char **argv, struct err *err)
{
	struct strv args = { 0 };
	struct runtime_exec exec = { .argv = &args, .timeout_ms = 300000 };
	struct buf output = { 0 };
	int r;

	for (char **one = argv + 1; *one; one++)
		strv_add(&args, *one);
	r = rt->ops->exec(rt, argv[0], &exec, &output, err);
	printf("%s", buf_text(&output));
	return r;
}

static int run_list(struct runtime *rt, struct err *err)
{
	static const char *const states[] = { "created", "running", "exited", "broken" };
	struct runtime_node *nodes = NULL;
	size_t n = 0;
	int r = rt->ops->list(rt, &nodes, &n, err);

	for (size_t i = 0; i < n; i++)
		printf("%s %s %d %s\n", nodes[i].name, states[nodes[i].state], nodes[i].exit_code,
		       nodes[i].address ? nodes[i].address : "-");
	runtime_nodes_free(nodes, n);
	return r;
}

static int take_log(void *data, int stream, const char *bytes, size_t len)
{
	(void)data;
	printf("%d: %.*s", stream, (int)len, bytes);
	return 0;
}

static int run_simple(struct runtime *rt, const char *command, char **argv, struct err *err)
{
	struct runtime_usage usage;
	struct strv names = { 0 };
	uint64_t memory;
	int r = -EINVAL;

	if (!strcmp(command, "list"))
		return run_list(rt, err);
	if (!strcmp(command, "strays")) {
		r = rt->ops->strays ? rt->ops->strays(rt, &names, err) : 0;
		for (size_t i = 0; i < names.n; i++)
			printf("%s\n", names.v[i]);
	} else if (!strcmp(command, "capacity")) {
		r = rt->ops->capacity(rt, &memory, err);
		printf("%llu\n", (unsigned long long)memory);
	} else if (!strcmp(command, "usage") && argv[0]) {
		r = rt->ops->usage(rt, argv[0], &usage, err);
		if (r == 0)
			printf("%llu %lld %u\n", (unsigned long long)usage.memory, (long long)usage.cpu_ms, usage.cpus);
	} else if (!strcmp(command, "logs") && argv[0])
		r = rt->ops->logs(rt, argv[0], -1, false, false, -1, take_log, NULL, err);
	return r;
}

static int run(struct runtime *rt, const char *command, char **argv, int n, struct err *err)
{
	struct runtime_file file = { .mode = 0644 };

	if (!strcmp(command, "import") && n >= 2)
		return run_import(rt, argv, err);
	if (!strcmp(command, "create") && n >= 4)
		return run_create(rt, argv, err);
	if (!strcmp(command, "exec") && n >= 2)
		return run_exec(rt, argv, err);
	if (!strcmp(command, "start") && n == 1)
		return rt->ops->start(rt, argv[0], err);
	if (!strcmp(command, "stop") && n == 1)
		return rt->ops->stop(rt, argv[0], 60000, err);
	if (!strcmp(command, "remove") && n == 1)
		return rt->ops->remove(rt, argv[0], err);
	if (!strcmp(command, "put") && n == 3) {
		file.path = argv[1];
		file.data = argv[2];
		file.len = strlen(argv[2]);
		return rt->ops->put(rt, argv[0], &file, 1, err);
	}
	return run_simple(rt, command, argv, err);
}

int main(int argc, char **argv)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct runtime *rt = NULL;
	int r;

	signal(SIGPIPE, SIG_IGN);
	if (argc < 3 || runtime_open(argv[1], getenv("RUNTIME_ENDPOINT"), &rt, &err) < 0) {
		fprintf(stderr, "runtime-tool: %s\n", err.code ? err_text(&err) : "DRIVER COMMAND…");
		return 2;
	}
	r = run(rt, argv[2], argv + 3, argc - 3, &err);
	if (r < 0)
		fprintf(stderr, "runtime-tool: %s: %s\n", argv[2], err_text(&err));
	runtime_free(rt);
	return r < 0 ? 125 : r;
}
