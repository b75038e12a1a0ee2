/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a command is about: a service, a component of it, or one node. */
#ifndef TEPUY_CLI_TARGET_H
#define TEPUY_CLI_TARGET_H

#include <stdbool.h>

#include "base/err.h"

struct target {
	char *text;      /* "portal/web/1" */
	char *service;   /* "portal" */
	char *component; /* "web", or NULL */
	unsigned node;   /* 1 …, 0: all of the component's */
};

#define _cleanup_target_ _cleanup_(target_release)

/* -EINVAL with a sentence that says how a target is written. */
int target_parse(const char *text, struct target *ret, struct err *err);
void target_release(struct target *target);
/* Is the node of that name ("web/1") among what the target means? */
bool target_has(const struct target *target, const char *node);

#endif
