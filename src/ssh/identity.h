/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Private keys of the operator: each file is read, and its passphrase asked for, once in a program's life. */
#ifndef TEPUY_SSH_IDENTITY_H
#define TEPUY_SSH_IDENTITY_H

#include <libssh/libssh.h>

#include "ssh/remote.h"

enum identity_state {
	IDENTITY_ABSENT, /* no such file, or no key in it */
	IDENTITY_READY,  /* `key` can sign */
	IDENTITY_LOCKED, /* encrypted, and not unlocked yet; `public_key` is there if it could be told */
	IDENTITY_GIVEN_UP,
};

struct identity {
	struct identity *next;
	char *path;
	enum identity_state state;
	ssh_key key, public_key; /* shared by all threads, never changed once they are there */
};

/* Never NULL; owned by this module. */
struct identity *identity_get(const char *path);
/* Asks for the passphrase of a locked one, at most three times; true when it is ready. */
bool identity_unlock(struct identity *identity, const struct remote_options *options, const char *host,
		     int64_t *deadline);

#endif
