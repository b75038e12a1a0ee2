/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEPUY_BASE_CLOCK_H
#define TEPUY_BASE_CLOCK_H

#include <stdint.h>

int64_t clock_monotonic_ms(void);
int64_t clock_realtime_ms(void); /* since the epoch, UTC */

#endif
