/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Docker's event stream turned into runtime events, without I/O. */
#ifndef TEPUY_RUNTIME_DOCKER_EVENTS_H
#define TEPUY_RUNTIME_DOCKER_EVENTS_H

#include "runtime/runtime.h"

#define DOCKER_OOM_KEPT 32

struct docker_events { /* zero-initialised for a new connection */
	struct buf line;
	/* Docker tells of the kernel's kill in an event of its own before `die`: ids of those that wait for it. */
	char *killed[DOCKER_OOM_KEPT];
	size_t next_killed;
};

/* Takes a piece of the stream, calls `fn` for each event that matters. -EBADMSG: it is not a stream of events. */
int docker_events_feed(struct docker_events *events, const char *bytes, size_t len, runtime_event_fn fn, void *data);
void docker_events_release(struct docker_events *events);

#endif
