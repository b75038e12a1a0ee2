/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A command as root. sudo is told to ask for its password with a text that nothing else says, on standard error; the
 * command announces itself there likewise before it begins. What lies before that is sudo's, and what is sent before it
 * is sudo's too: so the password never reaches the command, and input never reaches sudo.
 */
#ifndef TEPUY_SSH_SUDO_H
#define TEPUY_SSH_SUDO_H

#include <stdbool.h>

#include "base/buf.h"
#include "ssh/session.h"

struct sudo_gate {
	char ask[40], go[40]; /* the two texts; random */
	struct buf said;      /* what sudo said that is neither */
	unsigned asked;       /* how often it asked for the password */
	bool open;            /* the command has begun */
};

enum sudo_event { SUDO_MORE, SUDO_ASKS, SUDO_OPEN };

void sudo_gate_init(struct sudo_gate *gate);
/* The line for the host's shell. The caller owns it. */
char *sudo_line(const struct sudo_gate *gate, const struct strv *argv);
/*
 * Bytes of standard error while the gate is closed. SUDO_OPEN: what followed the announcement is in `ret_rest` (a part
 * of `said`, valid until the gate is released). At SUDO_ASKS call it again with no bytes.
 */
enum sudo_event sudo_gate_feed(struct sudo_gate *gate, const char *bytes, size_t len, const char **ret_rest,
			       size_t *ret_len);
void sudo_gate_release(struct sudo_gate *gate);

/* The answer to SUDO_ASKS with a newline behind it, from the session or the operator. -EPERM: wrong, or nobody knows.
 */
int sudo_password(struct remote *remote, const struct sudo_gate *gate, struct buf *to, struct err *err);
/* The error of a command that ended before it began. */
int sudo_refused(const struct remote *remote, const struct sudo_gate *gate, struct err *err);
bool sudo_needed(const struct remote *remote);

#endif
