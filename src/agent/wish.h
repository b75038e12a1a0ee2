/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Images that a host would rather not make itself, as its own memory and processors belong to machines: it wishes for
 * one in Consul, a host that runs containers takes the wish on, makes the image and gives it as any other
 * (docs/state.md, tepuy/wish/). Wish and taker are locks of sessions, so that neither outlives its host.
 */
#ifndef TEPUY_AGENT_WISH_H
#define TEPUY_AGENT_WISH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "consul/consul.h"

#define WISH_PREFIX "tepuy/wish/"

struct wish;

struct wish_request {
	struct consul *consul;
	const char *host, *bundle, *recipe; /* this host; a recipe's sha256 and name */
	const _Atomic bool *stopping;
	int64_t deadline; /* clock_monotonic_ms */
	/* What is being done, a line for a person. */
	void (*tell)(void *data, bool trouble, const char *line);
	void *tell_data;
};

/* Puts the wish for the machines' image of that recipe. All of the request is borrowed until wish_free. */
int wish_new(const struct wish_request *request, struct wish **ret, struct err *err);
/*
 * 1: another host took it on and has ended, be it with the image or not. 0: nobody has taken it on for 20 s, the time
 * is over, or the agent ends. Blocks; -errno: of Consul.
 */
int wish_wait(struct wish *wish, struct err *err);
/* Takes the wish back; NULL is fine. */
void wish_free(struct wish *wish);
void wish_freep(struct wish **wish);

/* --- the other side --- */

/* A wish that is there to be taken on. */
struct wish_seen {
	char *id; /* of this one wish: a later one for the same has another */
	char *host, *bundle;
	bool machine;
	char *taker; /* key of who takes it on */
};

/* Whether the key `i` is another host's wish that nobody is at. */
bool wish_read(const struct consul_kvs *kvs, size_t i, const char *self, struct wish_seen *ret);
void wish_seen_release(struct wish_seen *seen);

#endif
