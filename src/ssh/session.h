/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of this folder share about an open session. */
#ifndef TEPUY_SSH_SESSION_H
#define TEPUY_SSH_SESSION_H

#include <libssh/callbacks.h>
#include <libssh/libssh.h>

#include "ssh/remote.h"
#include "ssh/ssh-config.h"

struct jump;

struct remote {
	char *name; /* as the operator calls it */
	char *user;
	ssh_session ssh;
	ssh_event event;
	struct jump *jump; /* the way there, or NULL */

	struct ssh_counter_struct counter; /* filled by libssh */
	uint64_t bytes_heard;
	int64_t heard, asked; /* when it last said something, and when it was last asked to; clock_monotonic_ms */
	int64_t silence_ms;

	remote_ask_fn ask;
	void *ask_data;
	char *sudo_password;
};

/* What is needed while a session is being opened. */
struct opening {
	const struct remote_host *host;
	const struct remote_options *options;
	struct ssh_settings settings;
	char *known_name;  /* the host's name in known_hosts */
	struct strv types; /* of host keys to ask for, the best first */
	int64_t deadline;  /* clock_monotonic_ms; a question to the operator moves it */
	int depth;         /* jump hosts that we came through */
	struct remote *remote;
};

/* As remote_open, as the `depth`th host of a chain; `via` replaces what the configuration says of ProxyJump. */
int session_open(const struct remote_host *host, const struct remote_options *options, const char *via, int depth,
		 struct remote **ret, struct err *err);
int64_t session_left_ms(const struct opening *opening); /* at least 1 */

/*
 * Asks the operator, one question at a time; NULL when there is nobody or no answer. The caller wipes and frees it.
 * `deadline` (may be NULL) is moved by the time that it took.
 */
char *session_ask(const struct remote_options *options, enum remote_question question, const char *host,
		  const char *prompt, int64_t *deadline);
void session_wipe(char **secret); /* and frees it */

int session_check_key(struct opening *opening, bool *ret_try_again, struct err *err); /* -EKEYREJECTED */
int session_authenticate(struct opening *opening, struct err *err);
/* A socket to the host's sshd, through jump hosts if so. */
int session_connect(struct opening *opening, struct err *err);

/* A socket to a port as seen from the host that `dial` leads to; closed by the other side when it cannot be reached. */
int session_through(struct remote_dial *dial, const char *host, uint16_t port, struct err *err);

/* Is it still there? Asks it when it was silent for a while. Milliseconds until it is to be called again, or -errno. */
int session_pulse(struct remote *remote, struct err *err);
/* Waits for something of the session for at most `ms`; 0 or -errno of a session that is gone. */
int session_wait(struct remote *remote, int64_t ms, struct err *err);
/* -EHOSTUNREACH: the connection broke. */
int session_lost(struct remote *remote, struct err *err);

#endif
