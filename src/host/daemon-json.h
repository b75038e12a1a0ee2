/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Docker's /etc/docker/daemon.json, as a function of its text. */
#ifndef TEPUY_HOST_DAEMON_JSON_H
#define TEPUY_HOST_DAEMON_JSON_H

#include <stdbool.h>

#include "base/err.h"

/*
 * The text with live-restore on and, where the logs go to files and nothing is said about their size, limits for them.
 * Everything else stays. `*ret` (the caller owns it) is NULL when nothing is to be changed. -EINVAL: it is no JSON
 * object; an empty text is taken for {}.
 */
int daemon_json_merge(const char *text, char **ret, struct err *err);
/* Whether a daemon leaves its containers alone when it is restarted, from what `docker info --format
 * '{{.LiveRestoreEnabled}}'` wrote. -EPROTO: it does not say. */
int daemon_json_keeps(const char *text, bool *ret, struct err *err);

#endif
