/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/i18n.h"
#include "model/check.h"

static const char *const kinds[] = { "http", "tcp", "exec", "ttl", NULL };

static const struct key keys[] = {
	{ .name = "id",
	  .type = KEY_NAME,
	  .description =
	      N_("Name of the check. Without it: the kind and its number in the list, as http-1. A service's check "
		 "takes the place of the recipe's check of the same name."),
	  KEY_FIELD(struct check, id) },
	{ .name = "http",
	  .type = KEY_STRING,
	  .max = CHECK_MOST_PATH,
	  .pattern = "^/[!-~]*$",
	  .expected = N_("the path of a URL, which begins with / and has no spaces"),
	  .description = N_("Path that answers a GET with 2xx while the node is well (429 is a warning)."),
	  KEY_FIELD(struct check, path) },
	{ .name = "tcp",
	  .type = KEY_NAME,
	  .description = N_("Name of a port of the recipe that accepts connections while the node is well."),
	  KEY_FIELD(struct check, tcp) },
	{ .name = "exec",
	  .type = KEY_ARGV,
	  .description = N_("Program run in the node: exit status 0 is passing, 1 a warning, any other critical."),
	  KEY_FIELD(struct check, argv) },
	{ .name = "ttl",
	  .type = KEY_DURATION,
	  .min = CHECK_FLOOR_MS,
	  .max = 7 * 86400000LL,
	  .description = N_("The node reports by itself; it is critical when it did not for so long."),
	  KEY_FIELD(struct check, ttl) },
	{ .name = "port",
	  .type = KEY_NAME,
	  .description = N_("With http: name of the recipe's port; the first one that it provides if it is not given."),
	  KEY_FIELD(struct check, port) },
	{ .name = "interval",
	  .type = KEY_DURATION,
	  .fallback = "10s",
	  .min = CHECK_MIN_MS,
	  .max = 86400000LL,
	  .description = N_("Time between two runs. Consul documents 1s as the least for http and tcp."),
	  KEY_FIELD(struct check, interval) },
	{ .name = "timeout",
	  .type = KEY_DURATION,
	  .min = CHECK_MIN_MS,
	  .max = 3600000LL,
	  .description = N_("Time after which a run has failed. Without it: half of the interval, from 1s to 10s."),
	  KEY_FIELD(struct check, timeout) },
};

const struct schema check_schema = {
	.name = "check",
	.keys = keys,
	.n_keys = ARRAY_SIZE(keys),
	.size = sizeof(struct check),
	.one_of = kinds,
	.description = N_("A health check, kept in Consul."),
};
