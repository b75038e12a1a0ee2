/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How long to wait before the next attempt: 0.1 s, doubling up to 10 s, each with up to a quarter less or more. */
#ifndef TEPUY_CONSUL_BACKOFF_H
#define TEPUY_CONSUL_BACKOFF_H

#include <stdint.h>

struct consul_backoff {
	unsigned failures;
};

int64_t consul_backoff_next(struct consul_backoff *backoff); /* milliseconds */
void consul_backoff_reset(struct consul_backoff *backoff);

#endif
