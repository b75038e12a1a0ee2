/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bytes carried both ways between two sockets. */
#ifndef TEPUY_BASE_RELAY_H
#define TEPUY_BASE_RELAY_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Carries until one of them ends, then what is left of that one's bytes to the other. Sockets may be blocking or not.
 * A side that is slow is waited for, and holds up nothing but what goes to it: a program that writes as it reads would
 * else wait for us while we wait for it. `early` (may be NULL) was read from `a` before. `*stopping` (NULL: never) ends
 * it within a second, with what is left unsent. Neither is closed.
 */
void relay(int a, int b, const void *early, size_t early_len, const _Atomic bool *stopping);

#endif
