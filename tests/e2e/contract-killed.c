/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is left by a process that is killed with SIGKILL in the middle of a step: list must know it, remove must clear
 * it, and the step must work after it. Also what a node uses.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "contract-kit.h"

extern char **environ;

void contract_usage(struct kit *kit, const char *id)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct runtime_usage usage = { 0 }, later = { 0 };
	int r = 0;

	if (!kit->rt->ops->usage)
		return;
	expect(kit->rt->ops->usage(kit->rt, id, &usage, &err) == 0, "what a node uses is told", &err);
	expect(usage.memory > 0 && usage.memory_max >= 96u << 20 && usage.memory <= usage.memory_max,
	       "its memory and its limit", NULL);
	/* Some runtimes count in tenths of a second. */
	for (int i = 0; i < 50 && r == 0 && later.cpu_ms <= usage.cpu_ms; i++) {
		kit_exec(kit, id, NULL, "/bin/sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done", NULL);
		r = kit->rt->ops->usage(kit->rt, id, &later, &err);
	}
	expect(r == 0 && later.cpu_ms > usage.cpu_ms, "its processor time grows with its work", &err);
	expect(kit->rt->ops->usage(kit->rt, "absent-node", &usage, NULL) == -ENOENT, "what is absent uses nothing",
	       NULL);
}

/* Whether it comes to that: a machine's system gives memory up when it can. */
static bool comes_to(struct kit *kit, const char *id, uint64_t memory, unsigned cpus, bool grows)
{
	int64_t deadline = clock_monotonic_ms() + kit_ms(kit, 60000);
	struct runtime_usage usage = { 0 };

	do {
		if (kit->rt->ops->usage(kit->rt, id, &usage, NULL) == 0 && usage.cpus == cpus &&
		    (grows ? usage.memory_max >= memory : usage.memory_max < memory))
			return true;
		poll(NULL, 0, 200);
	} while (clock_monotonic_ms() < deadline);
	printf("%llu MiB, %u processors\n", (unsigned long long)(usage.memory_max >> 20), usage.cpus);
	return false;
}

void contract_resize(struct kit *kit, const char *id)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct runtime_usage usage = { 0 };
	struct runtime_limits limits = { .memory = (uint64_t)(kit->rt->ops->machines ? 144u : 300u) << 20, .cpus = 2 };
	uint64_t more;

	if (!kit->rt->ops->resize)
		return;
	expect(kit->rt->ops->usage(kit->rt, id, &usage, &err) == 0 && usage.cpus == 1, "it has one processor", &err);
	more = usage.memory_max + (32u << 20);
	expect(kit->rt->ops->resize(kit->rt, id, &limits, &err) == 0, "it gets other limits while it runs", &err);
	expect(comes_to(kit, id, more, 2, true), "it has more memory and another processor", NULL);
	expect(kit->rt->ops->resize(kit->rt, id, &limits, &err) == 0, "the same limits once more", &err);
	limits = (struct runtime_limits){ .memory = (uint64_t)(kit->rt->ops->machines ? 96u : 256u) << 20 };
	expect(kit->rt->ops->resize(kit->rt, id, &limits, &err) == 0, "it gets less memory", &err);
	expect(comes_to(kit, id, more, 2, false), "it has less, and its processors are left alone", NULL);
	expect(kit->rt->ops->resize(kit->rt, "absent-node", &limits, NULL) == -ENOENT, "what is absent has no limits",
	       NULL);
}

int contract_step(struct kit *kit, char **argv)
{
	_cleanup_(draft_release) struct draft draft;
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_(freep) char *id = NULL;
	int r = kit->rt->ops->import(kit->rt, &kit->image, &kit->ref, &err);

	draft_init(&draft, kit, "killed");
	draft.spec.labels = &draft.labels;
	draft.spec.argv = &draft.argv;
	if (r == 0 && !strcmp(argv[0], "create"))
		r = kit->rt->ops->create(kit->rt, &draft.spec, &id, &err);
	else if (r == 0 && !strcmp(argv[0], "start"))
		r = kit->rt->ops->start(kit->rt, argv[1], &err);
	else if (r == 0)
		r = kit->rt->ops->remove(kit->rt, argv[1], &err);
	if (r < 0)
		printf("%s: %s\n", argv[0], err_text(&err));
	return r < 0;
}

/* One step, as a process of its own. */
static pid_t spawn(struct kit *kit, const char *driver, const char *step, const char *id)
{
	_cleanup_(freep) char *tag = xasprintf("RUNTIME_TAG=%s", kit->tag);
	const char *argv[] = { "/proc/self/exe", driver, kit->dir, "step", step, id ? id : "-", NULL };
	_cleanup_strv_ struct strv env = { 0 };
	pid_t pid;

	for (char **one = environ; *one; one++)
		strv_add(&env, *one);
	strv_add(&env, tag);
	if (posix_spawn(&pid, argv[0], NULL, NULL, (char **)argv, env.v))
		abort();
	return pid;
}

static bool run_whole(struct kit *kit, const char *driver, const char *step, const char *id, int64_t *ret_ms)
{
	int64_t began = clock_monotonic_ms();
	pid_t pid = spawn(kit, driver, step, id);
	int status = -1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	*ret_ms = clock_monotonic_ms() - began;
	return status == 0;
}

static void run_and_kill(struct kit *kit, const char *driver, const char *step, const char *id, int64_t after_ms)
{
	pid_t pid = spawn(kit, driver, step, id);

	poll(NULL, 0, (int)after_ms);
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* The node of that name, as list tells it; the caller owns its id, NULL: not there. */
static char *find(struct kit *kit, const char *name)
{
	struct runtime_node *nodes = NULL;
	char *id = NULL;
	size_t n = 0;

	kit->rt->ops->list(kit->rt, &nodes, &n, NULL);
	for (size_t i = 0; i < n; i++)
		if (!strcmp(nodes[i].name, name))
			id = xstrdup(nodes[i].id);
	runtime_nodes_free(nodes, n);
	return id;
}

/* Removes what is there, and makes it anew: a runtime that is a daemon may complete what a killed client asked for
 * while we look. The id, or NULL. */
static char *clear_and_make(struct kit *kit, struct draft *draft, struct err *err)
{
	int64_t deadline = clock_monotonic_ms() + kit_ms(kit, 60000);
	int r = -EEXIST;

	while (r == -EEXIST && clock_monotonic_ms() < deadline) {
		_cleanup_(freep) char *id = find(kit, draft->name);
		char *made = NULL;

		if (id && kit->rt->ops->remove(kit->rt, id, err) < 0)
			return NULL;
		r = kit->rt->ops->create(kit->rt, &draft->spec, &made, err);
		if (r == 0)
			return made;
		poll(NULL, 0, 50);
	}
	return NULL;
}

static void killed_creation(struct kit *kit, const char *driver, struct draft *draft)
{
	enum { POINTS = 8 };
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_(freep) char *whole = NULL, *after = NULL;
	int64_t duration = 0;
	bool cleared = true;

	expect(run_whole(kit, driver, "create", NULL, &duration), "another process makes a node", NULL);
	whole = find(kit, draft->name);
	expect(whole && kit->rt->ops->remove(kit->rt, whole, &err) == 0, "and this one removes it", &err);
	for (int i = 1; i <= POINTS && cleared; i++) {
		_cleanup_(freep) char *id = NULL, *made = NULL;

		run_and_kill(kit, driver, "create", NULL, duration * i / (POINTS + 1));
		id = find(kit, draft->name);
		cleared = !id || kit->rt->ops->remove(kit->rt, id, &err) == 0;
		if (i % 4 == 0) {
			made = clear_and_make(kit, draft, &err);
			cleared = cleared && made && kit->rt->ops->remove(kit->rt, made, &err) == 0;
		}
	}
	expect(cleared, "what a killed creation left is listed, goes away, and is not in the way", &err);
	after = find(kit, draft->name);
	expect(!after, "nothing of it is left", NULL);
}

static void killed_start(struct kit *kit, const char *driver, struct draft *draft)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_(freep) char *id = clear_and_make(kit, draft, &err);
	int64_t began, whole;

	if (!expect(id != NULL, "a node is made", &err))
		return;
	began = clock_monotonic_ms();
	expect(kit->rt->ops->start(kit->rt, id, &err) == 0, "it starts", &err);
	whole = clock_monotonic_ms() - began;
	expect(kit->rt->ops->stop(kit->rt, id, kit_ms(kit, 5000), &err) == 0, "it stops", &err);
	run_and_kill(kit, driver, "start", id, whole / 2);
	expect(kit->rt->ops->start(kit->rt, id, &err) == 0 && kit_exec(kit, id, NULL, "/bin/true", NULL) == 0,
	       "what a killed start left is started", &err);
	expect(kit->rt->ops->stop(kit->rt, id, kit_ms(kit, 5000), &err) == 0, "and stopped", &err);
	run_and_kill(kit, driver, "start", id, whole / 4);
	expect(kit->rt->ops->remove(kit->rt, id, &err) == 0, "or removed", &err);
}

static void killed_removal(struct kit *kit, const char *driver, struct draft *draft)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_(freep) char *id = clear_and_make(kit, draft, &err), *left = NULL;
	int64_t duration = 0;

	expect(id && run_whole(kit, driver, "remove", id, &duration), "another process removes a node", &err);
	for (int i = 1; i <= 3; i++) {
		_cleanup_(freep) char *made = clear_and_make(kit, draft, &err);

		if (expect(made != NULL, "a node is made", &err))
			run_and_kill(kit, driver, "remove", made, duration * i / 4);
		if (made)
			expect(kit->rt->ops->remove(kit->rt, made, &err) == 0, "a killed removal is completed", &err);
	}
	left = find(kit, draft->name);
	expect(!left, "nothing of it is left", NULL);
}

void contract_killed(struct kit *kit, const char *driver)
{
	_cleanup_(draft_release) struct draft draft;

	draft_init(&draft, kit, "killed");
	draft.spec.labels = &draft.labels;
	draft.spec.argv = &draft.argv;
	killed_creation(kit, driver, &draft);
	killed_start(kit, driver, &draft);
	killed_removal(kit, driver, &draft);
}
