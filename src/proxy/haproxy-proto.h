/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The language of HAProxy's runtime socket (management.txt of HAProxy 2.6, "Unix Socket commands"): commands are
 * written and answers are read here, without any I/O. Unknown columns and lines are skipped, so that other versions
 * work; what cannot be understood is -EBADMSG.
 */
#ifndef TEPUY_PROXY_HAPROXY_PROTO_H
#define TEPUY_PROXY_HAPROXY_PROTO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strv.h"

enum {
	HAPROXY_MOST_LINE = 4096,  /* bytes of a command */
	HAPROXY_MOST_ROWS = 16384, /* servers in an answer */
	HAPROXY_MOST_NAME = 128,   /* bytes of a backend's or a server's name */
	HAPROXY_MOST_WEIGHT = 256,
};

/* A backend's or a server's name: letters, digits, '_', '-', '.', ':'; 1 to HAPROXY_MOST_NAME bytes. */
bool haproxy_is_name(const char *name);
/* The name of a node's server, from its component, number and generation: "web-1.5". The caller owns it. */
char *haproxy_server_name(const char *component, unsigned int n, unsigned long gen);
/* Is it of the form that haproxy_server_name gives? Others are servers that a person wrote into the template. */
bool haproxy_is_node_name(const char *name);

/*
 * A word that can be sent: not empty, no blank, control or non-ASCII character, none of `; \ " ' # <`, any of which
 * could end the command, start another one or a payload.
 */
bool haproxy_is_word(const char *word);
/* Writes one command line, with its newline. -EINVAL when one of `words` is none. The caller owns `ret`. */
int haproxy_write(const struct strv *words, char **ret, struct err *err);

/* srv_admin_state of "show servers state" (server-t.h of HAProxy) */
enum {
	HAPROXY_FORCED_MAINT = 0x01,
	HAPROXY_INHERITED_MAINT = 0x02,
	HAPROXY_CONFIG_MAINT = 0x04, /* `disabled` in the file; says nothing once it was enabled */
	HAPROXY_FORCED_DRAIN = 0x08,
	HAPROXY_INHERITED_DRAIN = 0x10,
	HAPROXY_RESOLVER_MAINT = 0x20,
};

enum {
	HAPROXY_CHECK_CONFIGURED = 0x02,
	HAPROXY_CHECK_ENABLED = 0x04,
};

/* A server as HAProxy has it. */
struct haproxy_row {
	char *backend, *server;
	char *address; /* "192.0.2.1", "2001:db8::1"; "-" when it has none */
	uint16_t port;
	unsigned int operation; /* srv_op_state: 0 stopped, 1 starting, 2 running, 3 stopping */
	unsigned int admin;     /* HAPROXY_FORCED_MAINT … */
	unsigned int check;     /* HAPROXY_CHECK_CONFIGURED … */
	unsigned int weight;    /* as set, 0 to 256 */
	unsigned int sessions;  /* running and queued; 0 until statistics were read */
	char *status;           /* "UP", "DOWN", "MAINT", "DRAIN", "no check" …; NULL until statistics were read */
};

/* What HAProxy has. Zero-initialised is empty. */
struct haproxy_table {
	struct haproxy_row *rows;
	size_t n, cap;
	struct strv backends; /* all of them, those without servers too; from statistics */
};

#define _cleanup_haproxy_table_ _cleanup_(haproxy_table_release)

void haproxy_table_release(struct haproxy_table *table);
/* Borrowed; NULL when there is none. */
const struct haproxy_row *haproxy_table_find(const struct haproxy_table *table, const char *backend,
					     const char *server);

/* The answer of "show servers state". */
int haproxy_read_state(const char *text, struct haproxy_table *ret, struct err *err);
/* The answer of "show stat -1 6 -1" (backends and servers, CSV): adds sessions and status to the rows. */
int haproxy_read_stat(const char *text, struct haproxy_table *table, struct err *err);

struct haproxy_info {
	char *version; /* owned: "2.6.12" */
	uint64_t pid, uptime_s, connections, requests;
	bool stopping; /* an old process that only finishes its connections */
};

/* The answer of "show info". Absent lines leave zeroes; no version is -EBADMSG. */
int haproxy_read_info(const char *text, struct haproxy_info *ret, struct err *err);
void haproxy_info_release(struct haproxy_info *info);

enum haproxy_verb {
	HAPROXY_ADD,     /* add server */
	HAPROXY_CHECK,   /* enable health */
	HAPROXY_ADDRESS, /* set server … addr … port */
	HAPROXY_WEIGHT,  /* set server … weight */
	HAPROXY_READY,   /* set server … state ready */
	HAPROXY_DRAIN,   /* … drain */
	HAPROXY_MAINT,   /* … maint */
	HAPROXY_REMOVE,  /* del server */
};

enum haproxy_answer {
	HAPROXY_DONE,
	HAPROXY_BUSY,    /* del server: connections are still on it */
	HAPROXY_REFUSED, /* the text says why */
};

/* What HAProxy's answer to a command means. */
enum haproxy_answer haproxy_read_answer(enum haproxy_verb verb, const char *text);

#endif
