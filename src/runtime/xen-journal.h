/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The lines of `journalctl -o json`, without I/O. */
#ifndef TEPUY_RUNTIME_XEN_JOURNAL_H
#define TEPUY_RUNTIME_XEN_JOURNAL_H

#include "runtime/runtime.h"

struct xen_journal {
	struct buf line; /* what has come of the present one */
	bool timestamps;
	runtime_log_fn fn;
	void *data;
	int failure; /* what `fn` ended it with */
};

/* Gives each entry's text to `fn`: 0, what `fn` answered, or -EBADMSG for a line that is too long. What is no entry is
 * left out. */
int xen_journal_feed(struct xen_journal *journal, const char *bytes, size_t len);
void xen_journal_release(struct xen_journal *journal);

#endif
