/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TEPUY_BASE_QUOTE_H
#define TEPUY_BASE_QUOTE_H

#include "base/buf.h"

/* Appends `word` so that a POSIX shell reads it back as one word: the only quoting of this program. */
void quote_shell(struct buf *buf, const char *word);

#endif
