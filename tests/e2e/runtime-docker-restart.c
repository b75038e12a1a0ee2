/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the Docker driver promises over restarts of dockerd: runtime-docker-restart DIR. Runs a dockerd of its own, in a
 * network namespace of its own and with everything below DIR (not on an overlay), so that the host's is left alone.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "contract-kit.h"

struct engine {
	char *socket, *host, *data, *exec, *pid_file;
	pid_t pid;
};

static void engine_begin(struct engine *engine, const struct runtime *rt)
{
	int64_t deadline = clock_monotonic_ms() + 60000;
	char *version = NULL;

	engine->pid = fork();
	if (engine->pid == 0) {
		if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
			_exit(126);
		/* In a network of its own: without a bridge dockerd removes docker0, which would be the host's. */
		execlp("unshare", "unshare", "--net", "dockerd", "-H", engine->host, "--data-root", engine->data,
		       "--exec-root", engine->exec, "--pidfile", engine->pid_file, "--bridge=none", "--iptables=false",
		       "--ip-forward=false", "--ip-masq=false", NULL);
		_exit(127);
	}
	while (rt->ops->probe((struct runtime *)rt, &version, NULL) != RUNTIME_MINE && clock_monotonic_ms() < deadline)
		poll(NULL, 0, 50);
	expect(version != NULL, "a dockerd of its own runs", NULL);
	free(version);
}

static void engine_end(struct engine *engine)
{
	kill(engine->pid, SIGTERM);
	waitpid(engine->pid, NULL, 0);
}

static void engine_release(struct engine *engine)
{
	free(engine->socket);
	free(engine->host);
	free(engine->data);
	free(engine->exec);
	free(engine->pid_file);
}

static char *make(struct kit *kit, const char *name, bool started)
{
	_cleanup_(draft_release) struct draft draft;
	char *id = NULL;

	draft_init(&draft, kit, name);
	if (started)
		return kit_run(kit, &draft);
	draft.spec.labels = &draft.labels;
	draft.spec.argv = &draft.argv;
	expect(kit->rt->ops->create(kit->rt, &draft.spec, &id, NULL) == 0, "a node is created", NULL);
	return id;
}

static void away(struct kit *kit)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct runtime_node *nodes = NULL;
	size_t n;

	expect(kit->rt->ops->list(kit->rt, &nodes, &n, &err) == -ECONNREFUSED && strstr(err_text(&err), "dockerd"),
	       "a dockerd that is away is named", NULL);
	err_release(&err);
	expect(kit->rt->ops->logs(kit->rt, "x", -1, false, false, -1, NULL, NULL, &err) == -ECONNREFUSED,
	       "also by what streams", &err);
}

static void check_restart(struct kit *kit, struct engine *engine)
{
	_cleanup_(freep) char *runs = make(kit, "runs", true), *stopped = make(kit, "stopped", true);
	_cleanup_(freep) char *twice = make(kit, "twice", true), *never = make(kit, "never", false);
	size_t mark;

	expect(kit->rt->ops->stop(kit->rt, stopped, 5000, NULL) == 0, "a node stops", NULL);
	kit->rt->ops->stop(kit->rt, twice, 5000, NULL);
	expect(kit->rt->ops->stop(kit->rt, twice, 5000, NULL) == 0, "one stops twice", NULL);
	expect(kit->rt->ops->stop(kit->rt, never, 5000, NULL) == 0, "one that never ran is stopped", NULL);
	mark = events_mark();
	engine_end(engine);
	away(kit);
	engine_begin(engine, kit->rt);
	expect(events_wait(mark, RUNTIME_RECONNECTED, NULL, 60000, NULL), "watch connects again by itself", NULL);
	expect(kit_wait_state(kit, runs, RUNTIME_RUNNING, 60000), "what ran runs again", NULL);
	expect(kit_wait_state(kit, stopped, RUNTIME_EXITED, 60000), "what was stopped stays stopped", NULL);
	expect(kit_wait_state(kit, twice, RUNTIME_EXITED, 60000), "what was stopped twice too", NULL);
	expect(kit_wait_state(kit, never, RUNTIME_CREATED, 60000), "and what never ran", NULL);
	mark = events_mark();
	expect(kit->rt->ops->start(kit->rt, stopped, NULL) == 0, "a stopped one starts", NULL);
	expect(events_wait(mark, RUNTIME_STARTED, NULL, 60000, NULL), "watch tells of it", NULL);
}

int main(int argc, char **argv)
{
	_cleanup_(engine_release) struct engine engine = { 0 };
	struct kit kit;

	if (argc != 2) {
		fprintf(stderr, "usage: %s DIR\n", argv[0]);
		return 2;
	}
	engine.socket = xasprintf("%s/docker.sock", argv[1]);
	engine.host = xasprintf("unix://%s", engine.socket);
	engine.data = xasprintf("%s/data", argv[1]);
	engine.exec = xasprintf("%s/exec", argv[1]);
	engine.pid_file = xasprintf("%s/pid", argv[1]);
	if (kit_open(&kit, "docker", engine.socket, argv[1]) == 0) {
		engine_begin(&engine, kit.rt);
		events_begin(&kit);
		expect(kit.rt->ops->import(kit.rt, &kit.image, &kit.ref, NULL) == 0, "an image is imported", NULL);
		if (kit.ref)
			check_restart(&kit, &engine);
		events_end();
	}
	kit_close(&kit);
	engine_end(&engine);
	return report();
}
