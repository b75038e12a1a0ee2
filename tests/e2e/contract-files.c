/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files into a node, sockets in it, and its log. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "contract-kit.h"

static int put(struct kit *kit, const char *id, const char *path, const char *text, struct err *err)
{
	struct runtime_file file = {
		.path = (char *)path, .data = text, .len = strlen(text), .mode = 0640, .owner = (char *)"web"
	};

	return kit->rt->ops->put(kit->rt, id, &file, 1, err);
}

/* "640 web web 5" and the content. */
static bool looks(struct kit *kit, const char *id, const char *path, const char *mode_and_owner, const char *content)
{
	_cleanup_(freep) char *stat = NULL, *text = NULL;

	return kit_exec(kit, id, &stat, "/bin/busybox", "stat", "-c", "%a %U %G", path, NULL) == 0 &&
	       kit_exec(kit, id, &text, "/bin/cat", path, NULL) == 0 &&
	       !strncmp(stat, mode_and_owner, strlen(mode_and_owner)) && !strcmp(text, content);
}

static void put_places(struct kit *kit, const char *id)
{
	_cleanup_err_ struct err err = ERR_INIT;
	int64_t began = now_us();

	expect(put(kit, id, "/etc/site.conf", "first", &err) == 0, "a file is put into a running node", &err);
	measured("put of one file", now_us() - began);
	expect(looks(kit, id, "/etc/site.conf", "640 web web\n", "first"), "with its content, mode and owner", NULL);
	expect(put(kit, id, "/etc/site.conf", "", &err) == 0 && looks(kit, id, "/etc/site.conf", "640", ""),
	       "an empty one replaces it", &err);
	expect(put(kit, id, "/srv/new/deep/er/file", "deep", &err) == 0 &&
		   looks(kit, id, "/srv/new/deep/er/file", "640", "deep"),
	       "missing directories are made", &err);
	expect(put(kit, id, "/srv/to-etc/through", "inside", &err) == 0 &&
		   looks(kit, id, "/etc/through", "640", "inside"),
	       "links on the way are followed inside the node", &err);
	expect(put(kit, id, "/srv/link", "now a file", &err) == 0 && looks(kit, id, "/srv/link", "640", "now a file"),
	       "a link at the place is itself replaced", &err);
	expect(kit_exec(kit, id, NULL, "/bin/busybox", "test", "-s", "/etc/link-target", NULL) == 1,
	       "not what it points to", NULL);
	expect(put(kit, id, "/srv/escape/tt-docker-escaped", "prison", &err) == 0 &&
		   access("/tmp/tt-docker-escaped", F_OK) < 0,
	       "a link that climbs out stays inside", &err);
	expect(looks(kit, id, "/tmp/tt-docker-escaped", "640", "prison"), "and ends in the node's own tree", NULL);
}

static void put_refused(struct kit *kit, const char *id)
{
	_cleanup_err_ struct err err = ERR_INIT;
	struct runtime_file files[] = {
		{ .path = (char *)"/etc/one", .data = "1", .len = 1, .mode = 0644 },
		{ .path = (char *)"/etc/two", .data = "2", .len = 1, .mode = 0644, .owner = (char *)"nobody-here" }
	};

	expect(put(kit, id, "relative", "x", NULL) == -EINVAL, "a relative path is refused", NULL);
	expect(put(kit, id, "/etc/../etc/x", "x", NULL) == -EINVAL, "a path that climbs is refused", NULL);
	expect(put(kit, id, "/etc/", "x", NULL) == -EINVAL, "a directory's path is refused", NULL);
	expect(put(kit, id, "/etc", "x", &err) < 0 && strstr(err_text(&err), "/etc"), "a directory is not replaced",
	       NULL);
	expect(put(kit, id, "/etc/passwd/x", "x", NULL) < 0, "a file is no directory", NULL);
	expect(kit->rt->ops->put(kit->rt, id, files, 2, &err) == -ENOENT && strstr(err_text(&err), "nobody-here"),
	       "an unknown owner is named", NULL);
	expect(kit_exec(kit, id, NULL, "/bin/busybox", "test", "-e", "/etc/one", NULL) == 1,
	       "then nothing is put in place", NULL);
	expect(kit_exec(kit, id, NULL, "/bin/sh", "-c", "ls -a /etc /srv | grep -E '^\\.[a-z]' | grep -v pwd.lock",
			NULL) == 1,
	       "no half-made file is left", NULL);
}

struct watcher {
	struct kit *kit;
	const char *id;
	int input; /* read end of a pipe: closed by the test to stop it */
	int output;
	int status;
};

static void *watch_file(void *data)
{
	struct watcher *watcher = data;
	_cleanup_strv_ struct strv argv = { 0 };
	struct runtime_exec exec = { .argv = &argv,
				     .input_fd = watcher->input,
				     .output_fd = watcher->output,
				     .timeout_ms = kit_ms(watcher->kit, 60000) };

	strv_add_all(&argv, "/bin/runtime-node", "watch", "/etc/watched", NULL);
	watcher->status = watcher->kit->rt->ops->exec(watcher->kit->rt, watcher->id, &exec, NULL, NULL);
	close(watcher->output);
	return NULL;
}

/* Replaces a file, by letters of different lengths, while a program inside reads it as fast as it can. */
static void put_is_atomic(struct kit *kit, const char *id)
{
	struct runtime_file file = { .path = (char *)"/etc/watched", .mode = 0644 };
	static char text[300000];
	int times = kit_kilobytes(kit, 200);
	int input[2], output[2], r = 0;
	char said[64] = "";
	struct watcher watcher;
	pthread_t thread;
	int64_t began;

	memset(text, 'a', sizeof(text));
	file.data = text;
	file.len = sizeof(text);
	kit->rt->ops->put(kit->rt, id, &file, 1, NULL);
	if (pipe(input) < 0 || pipe(output) < 0)
		abort();
	watcher = (struct watcher){ kit, id, input[0], output[1], -1 };
	if (pthread_create(&thread, NULL, watch_file, &watcher))
		abort();
	expect(read(output[0], said, sizeof(said) - 1) > 0, "the reader inside reads", NULL);
	began = now_us();
	for (int i = 0; i < times && r == 0; i++) {
		memset(text, 'a' + i % 26, sizeof(text));
		file.len = i % 2 ? sizeof(text) : 1000;
		r = kit->rt->ops->put(kit->rt, id, &file, 1, NULL);
	}
	measured("put while it is read (average)", (now_us() - began) / times);
	close(input[1]);
	pthread_join(thread, NULL);
	expect(r == 0 && watcher.status == 0, "a reader inside never sees a file absent, empty or half written", NULL);
	close(input[0]);
	close(output[0]);
}

void contract_put(struct kit *kit, const char *id)
{
	put_places(kit, id);
	put_refused(kit, id);
	put_is_atomic(kit, id);
}

void contract_put_created(struct kit *kit)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_(draft_release) struct draft draft;
	_cleanup_(freep) char *id = NULL;
	char longest[210] = "/srv/";
	int r;

	memset(longest + 5, 'n', 180);
	draft_init(&draft, kit, "fresh");
	draft.spec.labels = &draft.labels;
	draft.spec.argv = &draft.argv;
	if (!expect(kit->rt->ops->create(kit->rt, &draft.spec, &id, &err) == 0, "a node is created", &err))
		return;
	expect(put(kit, id, "/etc/early.conf", "early", &err) == 0, "a file is put into a node that never ran", &err);
	expect(put(kit, id, "/srv/made/for/it", "deep", &err) == 0, "directories are made there too", &err);
	expect(put(kit, id, longest, "long", &err) == 0, "a long name is no problem", &err);
	expect(put(kit, id, "/etc/../x", "x", NULL) == -EINVAL, "a path that climbs is refused there too", NULL);
	r = kit->rt->ops->start(kit->rt, id, &err);
	expect(r == 0 && looks(kit, id, "/etc/early.conf", "640 web web\n", "early"),
	       "it is there when the node starts", &err);
	expect(looks(kit, id, "/srv/made/for/it", "640 web web\n", "deep"), "and the deep one", NULL);
	expect(kit_exec(kit, id, NULL, "/bin/sh", "-c", "[ $(stat -c %a /srv/made) = 755 ]", NULL) == 0,
	       "made directories have usual modes", NULL);
	expect(looks(kit, id, longest, "640", "long"), "and the one with a long name", NULL);
}

void contract_dial(struct kit *kit, const char *id)
{
	_cleanup_(freep) char *answer = kit_ask(kit, id, "are you there");
	int fd = -1;

	expect(answer && !strcmp(answer, "echo: are you there\n"), "a socket in the node answers", NULL);
	expect(kit->rt->ops->dial(kit->rt, id, "/run/none.sock", &fd, NULL) == -ENOENT, "one that is absent does not",
	       NULL);
	expect(kit->rt->ops->dial(kit->rt, id, "/etc/passwd", &fd, NULL) < 0, "a file is no socket", NULL);
	expect(fd == -1, "what fails returns no descriptor", NULL);
}

struct log {
	pthread_mutex_t lock;
	struct buf out, err;
	int calls, end_after; /* > 0: the sink ends it after so many calls */
};

static int take_log(void *data, int stream, const char *bytes, size_t len)
{
	struct log *log = data;
	int r;

	pthread_mutex_lock(&log->lock);
	buf_add(stream == 2 ? &log->err : &log->out, bytes, len);
	r = log->end_after && ++log->calls >= log->end_after ? -ECANCELED : 0;
	pthread_mutex_unlock(&log->lock);
	return r;
}

static bool log_has(struct log *log, const char *text)
{
	bool has;

	pthread_mutex_lock(&log->lock);
	has = strstr(buf_text(&log->out), text) != NULL;
	pthread_mutex_unlock(&log->lock);
	return has;
}

static void log_release(struct log *log)
{
	buf_release(&log->out);
	buf_release(&log->err);
}

#define LOG_INIT ((struct log){ .lock = PTHREAD_MUTEX_INITIALIZER })

static void logs_past(struct kit *kit, const char *id)
{
	_cleanup_err_ struct err err = ERR_INIT;
	_cleanup_(log_release) struct log all = LOG_INIT, last = LOG_INIT, timed = LOG_INIT, ended = LOG_INIT;

	free(kit_ask(kit, id, "say one"));
	free(kit_ask(kit, id, "say two"));
	for (int i = 0; i < 500 && !log_has(&all, "two\n"); i++) {
		log_release(&all);
		all = LOG_INIT;
		if (kit->rt->ops->logs(kit->rt, id, -1, false, false, -1, take_log, &all, &err) < 0)
			break;
		poll(NULL, 0, 10);
	}
	expect(!err.code, "logs are read", &err);
	expect(!strcmp(buf_text(&all.out), "node starts\none\ntwo\n"), "all that was said is there", NULL);
	expect(strstr(buf_text(&all.err), "node warns\n") != NULL, "errors come apart", NULL);
	kit->rt->ops->logs(kit->rt, id, 1, false, false, -1, take_log, &last, NULL);
	expect(!strcmp(buf_text(&last.out), "two\n") && !last.err.len, "the last line can be had alone", NULL);
	kit->rt->ops->logs(kit->rt, id, 1, false, true, -1, take_log, &timed, NULL);
	expect(strlen(buf_text(&timed.out)) > 20 && timed.out.data[4] == '-' && timed.out.data[10] == 'T' &&
		   strstr(timed.out.data, "Z two\n"),
	       "lines have times when asked for", NULL);
	ended.end_after = 1;
	expect(kit->rt->ops->logs(kit->rt, id, -1, true, false, -1, take_log, &ended, NULL) == -ECANCELED,
	       "the reader can end it", NULL);
	expect(kit->rt->ops->logs(kit->rt, "absent-node", -1, false, false, -1, take_log, &ended, NULL) == -ENOENT,
	       "an absent node has none", NULL);
}

struct follower {
	struct kit *kit;
	const char *id;
	struct log log;
	int stop[2], result;
};

static void *follow(void *data)
{
	struct follower *follower = data;

	follower->result = follower->kit->rt->ops->logs(follower->kit->rt, follower->id, 0, true, false,
							follower->stop[0], take_log, &follower->log, NULL);
	return NULL;
}

static void logs_to_come(struct kit *kit, const char *id)
{
	struct follower follower = { .kit = kit, .id = id, .log = LOG_INIT, .result = 1 };
	int64_t deadline = clock_monotonic_ms() + kit_ms(kit, 60000), began;
	pthread_t thread;

	if (pipe(follower.stop) < 0 || pthread_create(&thread, NULL, follow, &follower))
		abort();
	while (!log_has(&follower.log, "later\n") && clock_monotonic_ms() < deadline) {
		free(kit_ask(kit, id, "say later"));
		poll(NULL, 0, 20);
	}
	expect(log_has(&follower.log, "later\n"), "a follower hears what is said later", NULL);
	expect(!log_has(&follower.log, "two\n"), "and nothing older, when no lines are asked for", NULL);
	began = clock_monotonic_ms();
	close(follower.stop[1]);
	pthread_join(thread, NULL);
	expect(follower.result == 0 && clock_monotonic_ms() - began < 20000, "it ends when it is told to", NULL);
	close(follower.stop[0]);
	log_release(&follower.log);
}

void contract_logs(struct kit *kit, const char *id)
{
	logs_past(kit, id);
	logs_to_come(kit, id);
}
