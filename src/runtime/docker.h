/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shared by the files of the Docker driver only: the connection to the Engine, and the slots that they implement. */
#ifndef TEPUY_RUNTIME_DOCKER_H
#define TEPUY_RUNTIME_DOCKER_H

#include <pthread.h>

#include "http/http.h"
#include "runtime/docker-json.h"
#include "runtime/docker-wire.h"
#include "runtime/runtime.h"

#define DOCKER_IDLE 8   /* kept-alive connections; more are made when more threads call at once */
#define DOCKER_DIALED 4 /* nodes that are dialed again and again: proxies, of which a host has few */

/* Where a node was found that was dialed before. */
struct docker_dialed {
	char id[65]; /* the Engine's own, whole */
	pid_t pid;
};

struct docker {
	char *socket;         /* path */
	char *base;           /* "unix:PATH" */
	pthread_mutex_t lock; /* of all that follows */
	struct http *idle[DOCKER_IDLE];
	size_t n_idle;
	int api; /* minor version spoken: 1.<api> */
	enum { DOCKER_UNKNOWN, DOCKER_NO_INIT, DOCKER_HAS_INIT } init;
	struct docker_dialed dialed[DOCKER_DIALED]; /* the oldest is overwritten */
	size_t n_dialed;
};

/* The driver's own part of a runtime that docker_runtime_new made; borrowed. */
struct docker *docker_of(struct runtime *rt);

/*
 * One request; `path` comes without the API's version, `body` is JSON or NULL. 0 for any 2xx and for 304 (ret->status
 * says which), else what docker_error makes of it. `ret` may be NULL. timeout_ms as in http_request.
 */
int docker_call(struct docker *docker, const char *method, const char *path, const char *body, int64_t timeout_ms,
		struct http_reply *ret, struct err *err);
/* The same for requests that carry or take other things than JSON; path as above. */
int docker_request(struct docker *docker, const struct http_request *request, struct http_reply *ret, struct err *err);
/* "/v1.41PATH"; the caller owns it. */
char *docker_path(struct docker *docker, const char *path);
/* Asks the Engine for its version and remembers what the driver needs of it. `ret_version` may be NULL. */
int docker_hello(struct docker *docker, char **ret_version, struct err *err);
/* Turns a failure to connect into a sentence that says what to do; other errors stay as they are. Returns -err->code.
 */
int docker_away(const struct docker *docker, int code, struct err *err);

/* Inspects a container that must be tepuy's: -ENOENT, -EPERM when it is someone else's. Release `ret`. */
int docker_find(struct docker *docker, const char *id, struct docker_container *ret, struct err *err);
/* As docker_find, and it must run (-ESRCH). */
int docker_find_running(struct docker *docker, const char *id, struct docker_container *ret, struct err *err);

/* A connection of its own whose reply's body is read as it comes: hijacked by the Engine (exec) or without end. */
struct docker_stream {
	int fd; /* non-blocking; poll it for reading, then take */
	struct wire_head head;
	struct wire_chunks chunks;
	struct buf raw;
	bool ended;
};

#define DOCKER_STREAM_INIT ((struct docker_stream){ .fd = -1 })

/* Sends the request and reads the reply's head, within 30 s. `hijack`: asks for the connection to be upgraded. */
int docker_stream_open(struct docker *docker, const char *method, const char *path, const char *body, bool hijack,
		       struct docker_stream *ret, struct err *err);
/* Appends what has come. 1: more may come; 0: the end; negative errno (never -EAGAIN). */
int docker_stream_take(struct docker_stream *stream, struct buf *to);
void docker_stream_close(struct docker_stream *stream);

/* Waits until `fd` is readable or `stop_fd` (-1: none) is: 1, or 0 to stop; -errno. timeout_ms < 0: for ever, else
 * -ETIMEDOUT. */
int docker_wait(int fd, int stop_fd, int64_t timeout_ms);

/* A program in a node: made, watched, ended. */
int docker_exec_make(struct docker *docker, const char *id, const struct strv *argv, const char *user, bool input,
		     bool tty, char **ret_exec_id, struct err *err);
int docker_exec_start(struct docker *docker, const char *exec_id, bool tty, struct docker_stream *ret, struct err *err);
/* Its exit status once it ended, -ETIMEDOUT if it has not by then (monotonic ms). */
int docker_exec_result(struct docker *docker, const char *exec_id, int64_t deadline, struct err *err);
/* Keeps the beginning of a program's output, for docker_exec_code. */
void docker_keep_said(struct buf *said, const char *bytes, size_t len);
/* Sends a signal to it and its process group, when it is still that program in that container. */
void docker_exec_signal(struct docker *docker, const char *exec_id, const char *id, int signal);

/* Slots, in the files named after them. */
int docker_prune(struct runtime *rt, const struct strv *images, struct err *err);
int docker_import(struct runtime *rt, const struct image *image, char **ret_ref, struct err *err);
int docker_exec(struct runtime *rt, const char *id, const struct runtime_exec *exec, struct buf *output,
		struct err *err);
int docker_attach(struct runtime *rt, const char *id, const struct strv *argv, bool tty, int rows, int columns,
		  int *ret_fd, struct err *err);
int docker_put(struct runtime *rt, const char *id, const struct runtime_file *files, size_t n, struct err *err);
int docker_logs(struct runtime *rt, const char *id, int tail, bool follow, bool timestamps, int stop_fd,
		runtime_log_fn fn, void *data, struct err *err);
int docker_watch(struct runtime *rt, int stop_fd, runtime_event_fn fn, void *data, struct err *err);
int docker_usage(struct runtime *rt, const char *id, struct runtime_usage *ret, struct err *err);
int docker_dial(struct runtime *rt, const char *id, const char *path, int *ret_fd, struct err *err);

#endif
