/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The JSON of Docker's Engine API 1.41, both ways, without I/O. What is decoded comes from outside: every function
 * takes any bytes and answers -EBADMSG (with a sentence) to what it does not understand.
 */
#ifndef TEPUY_RUNTIME_DOCKER_JSON_H
#define TEPUY_RUNTIME_DOCKER_JSON_H

#include "runtime/runtime.h"

/* Where the driver keeps the ports' names: "http=80/tcp,metrics=9100/tcp". */
#define DOCKER_LABEL_PORTS "tepuy.docker.ports"

/* Encoders give a string that the caller owns. `init`: whether Docker has its init program. */
char *docker_encode_limits(const struct runtime_limits *limits); /* for /containers/ID/update */
char *docker_encode_create(const struct runtime_spec *spec, bool init);
char *docker_encode_exec(const struct strv *argv, const char *user, bool input, bool tty);
/* The filters of GET /events and GET /containers/json, percent-encoded for a query. */
char *docker_encode_event_filters(void);
char *docker_encode_list_filters(void);

struct docker_container {
	struct runtime_node node;
	bool ours;     /* has RUNTIME_LABEL_INSTANCE */
	bool restarts; /* has a restart policy */
	bool tty;
	uint64_t memory; /* its limit in bytes, 0: none */
	unsigned cpus;   /* that it may use at once, begun ones count; 0: all */
};

#define _cleanup_container_ _cleanup_(docker_container_release)

void docker_container_release(struct docker_container *container);
int docker_decode_container(const char *json, size_t len, struct docker_container *ret, struct err *err);
/* GET /containers/<id>/stats, without limits. */
int docker_decode_usage(const char *json, size_t len, struct runtime_usage *ret, struct err *err);
int docker_decode_list(const char *json, size_t len, struct runtime_node **ret, size_t *ret_n, struct err *err);
/* {"Id": …}; the caller owns it. */
int docker_decode_id(const char *json, size_t len, char **ret, struct err *err);

struct docker_version {
	char *version;    /* "20.10.24" */
	int minor, least; /* of the API, 1.<minor>, and the oldest that it takes */
	bool init;        /* has its init program */
};

void docker_version_release(struct docker_version *version);
int docker_decode_version(const char *json, size_t len, struct docker_version *ret, struct err *err);

struct docker_exec_state {
	bool running;
	int exit_code;
	pid_t pid;
};

/* A shell's exit status for what could not be run: Docker 20.10 gives 126 also for what is not there, and says why in
 * the program's own output, whose beginning this is. */
int docker_exec_code(int code, const char *said);
#define DOCKER_SAID 512 /* bytes of the beginning that are enough */
int docker_decode_exec(const char *json, size_t len, struct docker_exec_state *ret, struct err *err);

enum docker_event_kind { DOCKER_START, DOCKER_DIE, DOCKER_OOM, DOCKER_DESTROY };

struct docker_event {
	enum docker_event_kind kind;
	char *id, *instance; /* owned */
	int exit_code;
};

void docker_event_release(struct docker_event *event);
/* One line of GET /events. 1: `ret` is set; 0: an event that means nothing here; -EBADMSG. */
int docker_decode_event(const char *json, size_t len, struct docker_event *ret);

struct docker_image {
	struct strv layers; /* diff ids, "sha256:…", lowest first */
	struct strv env;
	char *user, *directory; /* or NULL */
};

void docker_image_release(struct docker_image *image);
int docker_decode_image(const char *json, size_t len, struct docker_image *ret, struct err *err);
/* Appends the names ("tepuy/image:1f3a…") of GET /images/json. */
int docker_decode_image_names(const char *json, size_t len, struct strv *names, struct err *err);
/* Appends the ids of GET /images/json. */
int docker_decode_images(const char *json, size_t len, struct strv *ids, struct err *err);
/* The archive's two documents. `layers` are all diff ids; `base` (may be NULL) gives what is inherited. */
char *docker_encode_image(const struct image *image, const struct docker_image *base, const struct strv *layers);
char *docker_encode_manifest(const char *ref, const struct strv *layers);
/* The reply of POST /images/load: 0, or the error inside it. */
int docker_decode_load(const char *json, size_t len, struct err *err);

/*
 * Turns a reply's status and body into an error: -ENOENT (404), -EEXIST (name taken), -ESRCH (not running), -EBUSY
 * (409), -EADDRINUSE (naming the port), -ENOSPC, -EINVAL (400), -EIO. Returns the code, `err` has a sentence.
 */
int docker_error(int status, const char *json, size_t len, struct err *err);

#endif
