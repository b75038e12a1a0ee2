/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shared by the files of this folder only: what a step is given, how it says what it does, its input. */
#ifndef TEPUY_HOST_STEP_H
#define TEPUY_HOST_STEP_H

#include <stdbool.h>
#include <stdint.h>

#include "consul/request.h" /* _cleanup_json_ */
#include "host/setup.h"

struct step {
	const char *name;
	const json_t *input; /* an object */
	setup_tell_fn tell;
	void *data;
	const char *item;  /* what is being done, NULL: nothing has begun */
	int64_t deadline;  /* of the whole step, monotonic ms */
	int64_t said_wait; /* when it last said that it waits, monotonic ms */
};

/* An item of a step: either unchanged or pending, or begin, any number of waiting, and done or failed. Items do not
 * nest. */
void step_begin(struct step *step, const char *item, const char *format, ...) _printf_(3, 4);
void step_done(struct step *step, const char *format, ...) _printf_(2, 3);
void step_unchanged(struct step *step, const char *item, const char *format, ...) _printf_(3, 4);
/* An item that is as it must be, and counts only after something else is done, which the text says. */
void step_pending(struct step *step, const char *item, const char *format, ...) _printf_(3, 4);
/* At most every five seconds, whatever the caller's loop does. */
void step_waiting(struct step *step, const char *format, ...) _printf_(2, 3);
/* The item failed, if one had begun; returns `r` for the caller to hand on. */
int step_failed(struct step *step, int r, const struct err *err);
/* Sleeps a quarter of a second; -ETIMEDOUT with `what` in the message when the step's time, or `until`, is over. */
int step_pause(struct step *step, int64_t until, const char *what, struct err *err);
/* Milliseconds that the step has left, at least 1. */
int64_t step_left(const struct step *step);

/* The input's keys must be among these (NULL behind the last). */
int input_keys(const json_t *object, const char *const *keys, struct err *err);
/* Members of the input; borrowed. -EINVAL with a sentence that names the key. */
int input_text(const json_t *object, const char *key, const char **ret, struct err *err);
/* The same; NULL when it is absent or null. */
int input_text_or_null(const json_t *object, const char *key, const char **ret, struct err *err);
int input_flag(const json_t *object, const char *key, bool otherwise, bool *ret, struct err *err);
int input_number(const json_t *object, const char *key, int64_t least, int64_t most, int64_t otherwise, int64_t *ret,
		 struct err *err);
int input_list(const json_t *object, const char *key, const json_t **ret, struct err *err);
int input_name(const json_t *object, const char *key, const char **ret, struct err *err);    /* a tepuy name */
int input_address(const json_t *object, const char *key, const char **ret, struct err *err); /* IPv4 or IPv6 */
bool input_is_address(const char *text);

/* The steps. */
typedef int (*step_fn)(struct step *step, json_t **ret, struct err *err);

int step_runtime(struct step *step, json_t **ret, struct err *err);
int step_network_confirm(struct step *step, json_t **ret, struct err *err);
int step_network_undo(struct step *step, json_t **ret, struct err *err);
int step_consul_package(struct step *step, json_t **ret, struct err *err);
int step_identity(struct step *step, json_t **ret, struct err *err);
int step_authority(struct step *step, json_t **ret, struct err *err);
int step_sign(struct step *step, json_t **ret, struct err *err);
int step_consul(struct step *step, json_t **ret, struct err *err);
int step_acl(struct step *step, json_t **ret, struct err *err);
int step_agent(struct step *step, json_t **ret, struct err *err);
int step_rotate_gossip(struct step *step, json_t **ret, struct err *err);
int step_gossip(struct step *step, json_t **ret, struct err *err);
int step_remove_host(struct step *step, json_t **ret, struct err *err);
int step_images(struct step *step, json_t **ret, struct err *err);
int step_leave(struct step *step, json_t **ret, struct err *err);

#endif
