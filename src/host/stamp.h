/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Shared by the files of this folder only: does a service run with what its files say now? After each start or reload
 * that a step makes, the hash of what was read then is noted in /run together with the service's invocation, so that a
 * step that was killed between writing a file and the restart finds out. A start that nobody noted counts for what the
 * files say when it came after they were written.
 */
#ifndef TEPUY_HOST_STAMP_H
#define TEPUY_HOST_STAMP_H

#include <stdbool.h>

#include "base/strv.h"

/* To be called before files are changed: notes `text` for a running service that nobody noted, if it started after
 * `files` were written. `aspect` is a word: what is restarted for and what is only reloaded are noted apart. */
void stamp_adopt(const char *unit, const char *aspect, const char *text, const struct strv *files);
/* Is this what the running service has read? False when it does not run. */
bool stamp_is(const char *unit, const char *aspect, const char *text);
/* It has been started or reloaded with this. */
void stamp_set(const char *unit, const char *aspect, const char *text);

#endif
