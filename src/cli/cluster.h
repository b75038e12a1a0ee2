/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The hosts of an inventory (tepuy-hosts(5)) that one command works on at once: their sessions, how far each is, and
 * what went wrong where. A host that failed is left out of what follows; the others go on.
 */
#ifndef TEPUY_CLI_CLUSTER_H
#define TEPUY_CLI_CLUSTER_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "cli/cli.h"
#include "cli/inventory.h"
#include "cli/progress.h"
#include "ssh/remote.h"

struct arguments;

/* What a host says of itself before anything is done to it. */
struct host_self {
	char *system;            /* "Debian GNU/Linux 12 (bookworm)" */
	char *architecture;      /* dpkg's */
	char *installed, *build; /* tepuy's version and contents there, or NULL */
	bool interrupted;        /* dpkg has packages that are half installed */
	bool offline;            /* its apt uses a bundle */
	bool consul;             /* there is a program of that name */
	bool agent;              /* tepuy's agent runs */
	bool systemd;            /* is what started it */
};

struct member {
	const struct host *host;
	struct remote_host reach;
	struct remote *remote; /* NULL until it is connected */
	char *address;         /* what the other hosts reach it by: an IP address; NULL until it is connected */
	bool server;           /* of Consul */
	bool selected;         /* the command is about it; else it is a server that is needed for the others */
	bool failed;
	bool pending;   /* it did not really fail, but waits for somebody: its `err` says for what */
	char *reboot;   /* why it must be rebooted before it can run nodes; NULL: it need not be */
	struct err err; /* why */
	size_t changes; /* items that were not as wanted */
	struct host_self facts;

	/* Results of `tepuy setup` (docs/setup.md), each NULL until it is there. */
	json_t *identity, *authority, *signature, *consul, *token, *agent;
};

struct cluster {
	struct cli *cli;
	struct inventory inventory; /* what was chosen, and the document */
	struct hosts *hosts;        /* its document */
	struct member *v;           /* all of the document */
	size_t n;
	unsigned parallel;         /* hosts at once */
	struct progress *progress; /* NULL with --json */
	struct ask *ask;
	struct remote_options options;
	const void *data; /* what the command's own cluster_fn need */
};

/*
 * Reads what OPTIONS_INVENTORY say: hosts of a document, all of them or those that --hosts and --label choose. Errors
 * in the document are shown on cli->err with their places. Release with cluster_release, also after an error.
 */
int cluster_load(struct cli *cli, const struct arguments *args, struct cluster *ret, struct err *err);
/* All hosts of `file` (NULL: hosts.yaml), without a command line. */
int cluster_load_all(struct cli *cli, const char *file, struct cluster *ret, struct err *err);
void cluster_release(struct cluster *cluster);

#define _cleanup_cluster_ _cleanup_(cluster_release)

/* Borrowed from the cluster; NULL: the document has no host of that name. */
struct member *cluster_find(struct cluster *cluster, const char *name);
/* Begins to show how far the hosts are, under a title. Not with --json. */
void cluster_show(struct cluster *cluster, const char *title);
/* Ends that: what was last drawn stays. */
void cluster_hide(struct cluster *cluster);

/* What a host does now. Any thread. */
void cluster_say(struct cluster *cluster, struct member *host, enum progress_kind kind, const char *format, ...)
    _printf_(4, 5);

typedef bool (*cluster_which)(const struct member *host);
typedef int (*cluster_fn)(struct cluster *cluster, struct member *host, struct err *err);
/*
 * Calls `fn`, on several threads, for each host that has not failed and for which `which` (NULL: all) is true; a
 * negative errno makes it one that failed. Returns when all are done.
 */
void cluster_each(struct cluster *cluster, cluster_which which, cluster_fn fn);
/* The same, one after another, and no further than the first that fails. -errno of that one, in `err` too. */
int cluster_one_by_one(struct cluster *cluster, cluster_which which, cluster_fn fn, struct err *err);
/* A host failed, from any thread: takes what is in `err`. */
void cluster_fail(struct cluster *cluster, struct member *host, struct err *err);
/* Something that all others need has failed: all that have not failed by themselves, fail with it. */
void cluster_fail_all(struct cluster *cluster, const struct err *err);
/* Every selected host that has not failed is done: with `text`, or "unchanged". */
void cluster_praise(struct cluster *cluster, const char *text);
/* Hosts that have not failed and for which `which` is true. */
size_t cluster_count(const struct cluster *cluster, cluster_which which);

bool cluster_is_selected(const struct member *host);
bool cluster_is_server(const struct member *host);

/* Opens the session of a host (a cluster_fn) and finds its address. Does nothing when it is open. */
int cluster_connect(struct cluster *cluster, struct member *host, struct err *err);

/*
 * Says on cli->err what went wrong where, with --json writes {"hosts":[{"host","status","error"}]}, and returns the
 * exit status: all done, some, none.
 */
enum status cluster_conclude(struct cluster *cluster, bool json);

#endif
