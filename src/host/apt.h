/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Shared by the files of this folder only: packages of the host itself, through apt. Another user of apt is waited for,
 * by name; an installation that was interrupted is completed first.
 */
#ifndef TEPUY_HOST_APT_H
#define TEPUY_HOST_APT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "host/step.h"

/* Version that apt would install, owned by the caller; NULL: none. */
char *apt_candidate(const char *package);
bool apt_installed(const char *package);
/* Unpacked and not configured, or less: its files are there, and it is not to be relied on. */
bool apt_interrupted(const char *package);
int apt_update(struct step *step, int64_t lock_wait_ms, struct err *err);
/* A package's name or the path of a .deb. -ENOSPC, -EHOSTUNREACH (mirror), -EBUSY (lock), -EIO. */
int apt_install(struct step *step, const char *package, int64_t lock_wait_ms, struct err *err);
/* The mirror that this host's Debian `suite` comes from, and the path of its keyring (NULL: apt's own); both owned. */
int apt_mirror(const char *suite, char **ret_uri, char **ret_keyring, struct err *err);

/* For tests. What went wrong, out of apt's output: a whole sentence; returns -errno. */
int apt_say_why(const char *output, const char *what, struct err *err);

#endif
