/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Changes to one terminal at a time, which are undone on every way out: return, signal, abort. */
#ifndef TEPUY_CLI_TERMINAL_H
#define TEPUY_CLI_TERMINAL_H

#include "base/err.h"

enum terminal_mode {
	TERMINAL_RAW,    /* every key goes through as it is */
	TERMINAL_HIDDEN, /* what is typed is not shown */
};

/* Of standard input; -ENOTTY when that is none. */
int terminal_set(enum terminal_mode mode, struct err *err);
int terminal_set_on(int fd, enum terminal_mode mode, struct err *err);
/* Back to how it was; harmless when nothing was changed. */
void terminal_restore(void);
/* 24 by 80 when it cannot be told. */
void terminal_size(int *ret_rows, int *ret_columns);

#endif
