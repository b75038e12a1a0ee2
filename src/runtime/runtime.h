/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a host can run nodes with: Docker, Xen. One const table per file; an instance is {ops, priv}. A NULL slot is the
 * missing capability. Nothing outside a driver's file compares driver names. All calls block and may be made from
 * several threads at once; every one is bounded in time unless it says otherwise.
 */
#ifndef TEPUY_RUNTIME_RUNTIME_H
#define TEPUY_RUNTIME_RUNTIME_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/strv.h"
#include "image/image.h"

struct runtime_port {
	char *name;         /* the recipe's name: "http" */
	char *address;      /* host address it is bound to */
	uint16_t port;      /* inside the node */
	uint16_t host_port; /* on the host; in a request 0 lets the runtime choose, and choose anew at each start */
	bool udp;
};

struct runtime_mount {
	char *from; /* host path; must exist. Machines: a block device, or a directory in which a disk is made once */
	char *to;   /* path in the node */
	bool read_only;
	bool copied;   /* not a volume: its files are given to the node on a tmpfs, anew at each start (secrets) */
	uint64_t size; /* bytes of a disk that is made; 0: 10 GiB. Containers share the directory and need none */
};

/* A network in which nodes have addresses of their own. As a range: those between `address` and `last`; of one node:
 * its own address, `last` NULL. IPv4 as text. */
struct runtime_network {
	char *bridge;
	char *address, *last;
	unsigned prefix;
	char *gateway;   /* NULL: none behind this card */
	struct strv dns; /* servers, as addresses */
};

struct runtime_file {
	char *path;       /* absolute, in the node */
	const void *data; /* borrowed */
	size_t len;
	mode_t mode;
	char *owner; /* "user" or "user:group" as the node's own /etc/passwd knows them, or numbers; NULL: root */
};

/* What create needs. Everything is owned by the caller. `labels` must have RUNTIME_LABEL_INSTANCE. */
struct runtime_spec {
	const char *name;          /* the runtime's own name of it: "tepuy.portal.web.1.5" */
	const char *host_name;     /* "web-1.portal" */
	const struct strv *labels; /* "key=value" */
	const struct image *image;
	const char *image_ref;   /* what import returned */
	const struct strv *argv; /* main process */
	const struct strv *env;  /* "NAME=value": never a secret */
	const struct runtime_mount *mounts;
	size_t n_mounts;
	const struct runtime_port *ports;
	size_t n_ports;
	uint64_t memory;         /* bytes, 0: no limit */
	double cpus;             /* 0: no limit */
	uint64_t memory_max;     /* up to where `resize` may be asked to go; 0: it is not */
	double cpus_max;         /* likewise */
	const char *stop_signal; /* "TERM"; NULL: TERM */
	uint64_t log_size;       /* bytes per log file, 0: 10 MiB; three files are kept */
	bool isolated;           /* without a network */
	/* One for each that `networks` told, in its order, with the node's own address; of a runtime without: none. */
	const struct runtime_network *networks;
	size_t n_networks;
};

/* Other limits for a node that was made with a maximum for them. 0: this one stays as it is. */
struct runtime_limits {
	uint64_t memory; /* bytes */
	double cpus;
};

/* What a node uses now. */
struct runtime_usage {
	uint64_t memory, memory_max; /* bytes; 0: no limit */
	int64_t cpu_ms;              /* processor time since its start */
	unsigned cpus;               /* that it may use at once; 0: all of the host's */
};

enum runtime_state { RUNTIME_CREATED, RUNTIME_RUNNING, RUNTIME_EXITED, RUNTIME_BROKEN };

/* list leaves out_of_memory, pid and started_ms at 0: inspect knows them. Ports are those in force, so
 * none unless it runs. */
struct runtime_node {
	char *id, *name, *address; /* address: the node's own on the host's bridge, or NULL */
	struct strv labels;        /* "key=value" */
	enum runtime_state state;
	int exit_code;
	bool out_of_memory;
	pid_t pid;          /* of the main process as the host sees it, 0: none or elsewhere */
	int64_t started_ms; /* realtime, 0: never */
	struct runtime_port *ports;
	size_t n_ports;
};

/* Labels that every driver puts on what it makes; list returns only nodes with the first. */
#define RUNTIME_LABEL_INSTANCE "tepuy.instance" /* portal/web/1.5 */
#define RUNTIME_LABEL_SPEC "tepuy.fingerprint"
/* What Consul said of it when it was made, to take it over with should Consul forget it (docs/state.md, `found`). */
#define RUNTIME_LABEL_ASSIGNMENT "tepuy.assignment"

enum runtime_event_kind { RUNTIME_STARTED, RUNTIME_DIED, RUNTIME_REMOVED, RUNTIME_RECONNECTED };

/* RECONNECTED comes whenever a watch begins to see events, the first time too: list then, and nothing is missed. */
struct runtime_event {
	enum runtime_event_kind kind;
	char *instance;     /* value of the label, NULL for RECONNECTED: list again */
	int exit_code;      /* of DIED */
	bool out_of_memory; /* of DIED: the kernel killed it at its memory limit */
};

struct runtime_exec {
	const struct strv *argv;
	const char *user;  /* NULL: root */
	const char *input; /* standard input, NULL: none */
	size_t input_len;
	int64_t timeout_ms; /* 0: 60 s */
	size_t most_output; /* last bytes kept, 0: 64 KiB */
	int output_fd;      /* > 0: all standard output goes there instead, unbounded (backup) */
	int input_fd;       /* > 0: standard input comes from there (restore) */
};

struct runtime;
typedef void (*runtime_event_fn)(void *data, const struct runtime_event *event);
/* Takes a piece of a log (not always whole lines); stream 1 or 2; a negative errno ends it with that error. */
typedef int (*runtime_log_fn)(void *data, int stream, const char *bytes, size_t len);

enum runtime_probe { RUNTIME_MINE, RUNTIME_NOT_MINE, RUNTIME_BROKEN_HERE };

struct runtime_ops {
	const char *name; /* "docker" */
	bool quick;       /* a node is made and started in about a second: short-lived ones are worth their price */
	/* A node is a machine: its image has a system that boots (image_recipe.machine), its ports are at an address of
	 * its own, so inspect tells each as {node's address, port, host_port = port}; what is published needs no other.
	 */
	bool machines;
	/* Is this runtime on this host? `ret_version` (owned by the caller) on MINE; err says why on BROKEN_HERE. */
	enum runtime_probe (*probe)(struct runtime *rt, char **ret_version, struct err *err);
	/* The ranges that nodes of this host get their addresses from; who hands them out sees to it that no two nodes
	 * get one. The caller frees with runtime_networks_free. NULL: nodes have none of their own. */
	int (*networks)(struct runtime *rt, struct runtime_network **ret, size_t *ret_n, struct err *err);
	/* Memory for all nodes together, in bytes: what is free and what they have now. NULL: the host's own. */
	int (*capacity)(struct runtime *rt, uint64_t *ret_memory, struct err *err);
	/* Names of what runs here under names of ours though nothing here made it: told, and left alone. NULL: list has
	 * all that there can be. */
	int (*strays)(struct runtime *rt, struct strv *ret, struct err *err);
	/* All nodes made by tepuy, running or not. The caller frees with runtime_nodes_free. What tepuy did not make is
	 * never listed, and every other call refuses it with -EPERM. */
	int (*list)(struct runtime *rt, struct runtime_node **ret, size_t *ret_n, struct err *err);
	/* Makes the image known to the runtime (nothing to do when it is); `ret_ref` is owned by the caller. -ENOENT:
	 * the external image is not there. */
	int (*import)(struct runtime *rt, const struct image *image, char **ret_ref, struct err *err);
	/* -EEXIST when a node of that name exists, -ENOENT when the image or a mount's source is absent, -ENOSPC.
	 * -EADDRINUSE may come from create or start. */
	int (*create)(struct runtime *rt, const struct runtime_spec *spec, char **ret_id, struct err *err);
	int (*start)(struct runtime *rt, const char *id, struct err *err); /* started already: 0 */
	/* Sends the stop signal, waits `timeout_ms`, kills. Stopped or absent: 0. It stays stopped over restarts. */
	int (*stop)(struct runtime *rt, const char *id, int64_t timeout_ms, struct err *err);
	int (*remove)(struct runtime *rt, const char *id, struct err *err); /* absent: 0; never touches volumes */
	int (*inspect)(struct runtime *rt, const char *id, struct runtime_node *ret, struct err *err); /* -ENOENT */
	/* Runs argv in a running node: exit status (as a shell's: 127 no such program, 126 cannot run it, 128+n killed
	 * by signal n), or -errno: -ETIMEDOUT (it was killed), -ENOENT no such node, -ESRCH it does not run. `output`
	 * (may be NULL) gets stdout and stderr. */
	int (*exec)(struct runtime *rt, const char *id, const struct runtime_exec *exec, struct buf *output,
		    struct err *err);
	/* Runs argv in a running node, interactively (with a pty of that size if `tty`). *ret_fd is a connected stream
	 * socket that speaks the frames of docs/api.md's /v1/exec both ways (runtime/frame.h): data, end of input and
	 * resize in; stdout, stderr and lastly the exit status out, then end of file. Closing it early hangs the
	 * program up. */
	int (*attach)(struct runtime *rt, const char *id, const struct strv *argv, bool tty, int rows, int columns,
		      int *ret_fd, struct err *err);
	/* Writes files into a node, running or not; each replaces its predecessor atomically as seen inside a running
	 * node. Parent directories are made; a symbolic link at the path is itself replaced, those on the way stay
	 * inside the node. */
	int (*put)(struct runtime *rt, const char *id, const struct runtime_file *files, size_t n, struct err *err);
	/* `tail` last lines (-1: all); follow: until the node stops, the sink ends it or `stop_fd` (-1: none) becomes
	 * readable (0 is returned). With `timestamps` each line begins with an RFC 3339 time and a space. */
	int (*logs)(struct runtime *rt, const char *id, int tail, bool follow, bool timestamps, int stop_fd,
		    runtime_log_fn fn, void *data, struct err *err);
	/* Blocks and calls `fn` for each event until `stop_fd` becomes readable; reconnects by itself (RECONNECTED). */
	int (*watch)(struct runtime *rt, int stop_fd, runtime_event_fn fn, void *data, struct err *err);
	/* Forgets what import made of images other than these (their ids); what a node still uses stays. */
	int (*prune)(struct runtime *rt, const struct strv *images, struct err *err);
	/* -ENOENT no such node, -ESRCH it does not run. */
	int (*usage)(struct runtime *rt, const char *id, struct runtime_usage *ret, struct err *err);
	/*
	 * Gives a node other limits, within the maximum that it was made with: at once if it runs, and they hold over
	 * its restarts. The same once more: 0. -ENOENT no such node, -ENOMEM when the host has not as much.
	 */
	int (*resize)(struct runtime *rt, const char *id, const struct runtime_limits *limits, struct err *err);
	/* Connects to a Unix socket inside the node; the caller closes *ret_fd. */
	int (*dial)(struct runtime *rt, const char *id, const char *path, int *ret_fd, struct err *err);
	void (*free)(void *priv);
};

struct runtime {
	const struct runtime_ops *ops;
	void *priv;
};

/* Opens a driver by the name that a person gave ("docker"); NULL: the first whose probe says MINE.
 * `endpoint` is the driver's own (Docker: socket path; Xen: its configuration file) or NULL for its default. Free with
 * runtime_free. */
int runtime_open(const char *name, const char *endpoint, struct runtime **ret, struct err *err);
void runtime_free(struct runtime *rt);

void runtime_node_release(struct runtime_node *node);
void runtime_networks_free(struct runtime_network *networks, size_t n);
void runtime_nodes_free(struct runtime_node *nodes, size_t n);
/*
 * As ops->create, of an image that ops->import made known a moment ago: it is imported once more when it was taken away
 * meanwhile, as by an administrator's prune or another agent's, to whom it is one that nothing uses.
 */
int runtime_create(struct runtime *rt, const struct runtime_spec *spec, char **ret_id, struct err *err);
/* Whether the labels of a request name an instance, as they must. */
bool runtime_has_instance(const struct strv *labels);
/* Value of a label or NULL; borrowed. */
const char *runtime_node_label(const struct runtime_node *node, const char *key);

#endif
