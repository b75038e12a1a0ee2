/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * known_hosts files, as sshd(8) describes them: plain and hashed names, patterns, [name]:port, @revoked. A file is read
 * once in a program's life and shared by its threads; a key that is added is remembered and appended to the file.
 */
#ifndef TEPUY_SSH_KNOWN_HOSTS_H
#define TEPUY_SSH_KNOWN_HOSTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strv.h"

enum known_answer {
	KNOWN_SAME,    /* this very key stands there */
	KNOWN_NEW,     /* nothing is known of the host */
	KNOWN_OTHER,   /* the host has a key of this type, and it is another one */
	KNOWN_MISSING, /* the host has keys, but none of this type */
	KNOWN_REVOKED,
};

/* Where the known key stands that is not the shown one. Strings are owned. */
struct known_place {
	char *file;
	int line;
	char *type;        /* "ssh-ed25519" */
	char *fingerprint; /* "SHA256:…" */
};

void known_place_release(struct known_place *place);

/* `name` as known_hosts has it (known_hosts_name); `blob` is the key in base64. `ret_place` is set unless SAME or NEW.
 */
int known_hosts_ask(const struct strv *files, const char *name, const char *type, const char *blob,
		    enum known_answer *ret, struct known_place *ret_place, struct err *err);
/* The types of the keys that are known of the host, each once. */
int known_hosts_types(const struct strv *files, const char *name, struct strv *ret, struct err *err);
/* Appends a line to `file`, which is made, with its directory, if it is not there. */
int known_hosts_add(const char *file, const char *name, bool hash, const char *type, const char *blob, struct err *err);

/* "example.org", or "[example.org]:2222" when the port is not 22. The caller owns it. */
char *known_hosts_name(const char *host, uint16_t port);
/* "SHA256:…" of a key in base64, as ssh-keygen -l shows it; "SHA256:?" of what is no base64. The caller owns it. */
char *known_hosts_fingerprint(const char *blob);

#endif
