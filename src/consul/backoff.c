/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "consul/backoff.h"

#include <sys/random.h>

#define FIRST_MS 100
#define MOST_MS 10000

int64_t consul_backoff_next(struct consul_backoff *backoff)
{
	int64_t ms = MOST_MS;
	uint16_t random = 0;

	if (backoff->failures < 7)
		ms = FIRST_MS << backoff->failures++;
	if (ms > MOST_MS)
		ms = MOST_MS;
	/* So that the agents of all hosts do not come back in the same moment. */
	(void)!getrandom(&random, sizeof(random), 0);
	return ms - ms / 4 + ms / 2 * random / UINT16_MAX;
}

void consul_backoff_reset(struct consul_backoff *backoff)
{
	backoff->failures = 0;
}
