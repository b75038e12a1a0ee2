/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Making this machine a host: the steps of docs/setup.md, each run on the machine itself, as root. A step looks before
 * it does, may be killed at any instant, and says what it does through a callback; it never prints.
 */
#ifndef TEPUY_HOST_SETUP_H
#define TEPUY_HOST_SETUP_H

#include <jansson.h>

#include "base/err.h"

enum setup_state { SETUP_BEGIN, SETUP_DONE, SETUP_UNCHANGED, SETUP_FAILED, SETUP_WAITING, SETUP_PENDING };

/* "begin" …: the names in NDJSON. */
const char *setup_state_name(enum setup_state state);

/* Told as it happens. `item` is a part of the step; `text` is for a person. Never has a secret. */
typedef void (*setup_tell_fn)(void *data, const char *step, const char *item, enum setup_state state, const char *text);

/* Names of all steps, NULL behind the last. */
extern const char *const setup_steps[];

/*
 * Runs a step to its end. `input` is the object that docs/setup.md describes (NULL: empty). The caller owns *ret.
 * -ENOENT: there is no such step; -EPERM: not root; -EBUSY: another step holds this host; -EINVAL: wrong input; else
 * what docs/setup.md says.
 */
int setup_run(const char *step, const json_t *input, setup_tell_fn tell, void *data, json_t **ret, struct err *err);

#endif
