/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The runtime's events, from the thread that waits for them to the loop. */
#ifndef TEPUY_AGENT_RUNTIME_WATCH_H
#define TEPUY_AGENT_RUNTIME_WATCH_H

#include <systemd/sd-event.h>

#include "runtime/runtime.h"

struct runtime_watch;

/* `fn` is called on the loop. */
int runtime_watch_new(sd_event *event, struct runtime *rt, runtime_event_fn fn, void *data, struct runtime_watch **ret,
		      struct err *err);
void runtime_watch_free(struct runtime_watch *watch);

#endif
