/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Other machines, reached by SSH through libssh (RFC 4251 ff.): sessions, commands, files, streams. Names and settings
 * come from the operator's ssh_config (Host, User, Port, IdentityFile, ProxyJump, ProxyCommand, UserKnownHostsFile);
 * what `struct remote_host` says goes before it.
 *
 * SIGPIPE is ignored from the first session on, unless the program handles it. ssh_config, known_hosts and private keys
 * are read once in a program's life.
 *
 * A session belongs to one thread at a time; different sessions may be used by different threads. All calls are bounded
 * in time and return 0 or -errno with a sentence that names the host:
 *   -EHOSTUNREACH, -ECONNREFUSED, -ETIMEDOUT   it cannot be reached, or stopped answering (keepalive)
 *   -EKEYREJECTED  its host key is another than the known one, or was not accepted
 *   -EACCES        it let none of our keys or passwords in;  -EPERM  sudo refused
 */
#ifndef TEPUY_SSH_REMOTE_H
#define TEPUY_SSH_REMOTE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/strv.h"

struct remote_host {
	const char *name;        /* for messages, and what ssh_config's Host is matched with */
	const char *address;     /* NULL: ssh_config's HostName, or the name itself */
	const char *user;        /* NULL: ssh_config's, or the operator's own */
	const char *fingerprint; /* "SHA256:…": only this host key, without asking; NULL: known_hosts, or ask */
	uint16_t port;           /* 0: ssh_config's, or 22 */
	bool known_by_name;      /* its key is looked for under `name` where known_hosts has that, then its address */
};

struct remote_dial;

enum remote_question {
	REMOTE_NEW_HOST_KEY, /* `prompt` shows the fingerprint; "yes" accepts and remembers it */
	REMOTE_PASSWORD,     /* of the user on the host, or a keyboard-interactive prompt */
	REMOTE_PASSPHRASE,   /* of an encrypted private key */
	REMOTE_SUDO,         /* sudo's password on the host */
};

/*
 * Asks the operator. Returns an allocated answer (wiped and freed by the callee), or NULL: no answer. Called by several
 * threads, one at a time.
 */
typedef char *(*remote_ask_fn)(void *data, enum remote_question question, const char *host, const char *prompt);

struct remote_options {
	const char *config;      /* NULL: ~/.ssh/config and /etc/ssh/ssh_config */
	const char *known_hosts; /* NULL: ssh_config's, or ~/.ssh/known_hosts */
	/* A private key's file: it alone is tried, and neither ssh_config nor known_hosts are looked at, as for
	 * machines that the program made by itself. Needs the host's fingerprint. NULL: none. */
	const char *identity;
	int64_t connect_ms; /* until the session is open; 0: 10 s */
	int64_t silence_ms; /* keepalive: a host that says nothing for so long is gone; 0: 15 s */
	remote_ask_fn ask;  /* NULL: nobody is asked */
	void *ask_data;
	struct remote_dial *through; /* borrowed: the connection is a channel of its session, as seen from that host */
};

struct remote;

/* Does ssh_config say where a host of that name is, or how it is reached? */
bool remote_is_configured(const char *name, const struct remote_options *options);
int remote_open(const struct remote_host *host, const struct remote_options *options, struct remote **ret,
		struct err *err);
void remote_close(struct remote *remote);
void remote_closep(struct remote **remote);
const char *remote_name(const struct remote *remote);

/* Takes output as it comes; negative errno ends the command with that error. */
typedef int (*remote_sink)(void *data, bool is_stderr, const char *bytes, size_t len);
/* Fills up to `size` bytes of standard input; 0 is the end. */
typedef ssize_t (*remote_source)(void *data, char *to, size_t size);

/* What a piece of a user's input says: bytes for the program, a new size of its terminal (0: none). */
struct remote_input {
	struct buf *bytes; /* to append to */
	int rows, columns;
	bool ended; /* nothing more will come */
};

/* Reads what came from input_fd; negative errno ends the command with that error. */
typedef int (*remote_decode)(void *data, const char *bytes, size_t len, struct remote_input *to);

struct remote_command {
	const struct strv *argv; /* quoted for the remote shell here and nowhere else */
	bool sudo;               /* as root: nothing to do if we are, `sudo -n`, or `sudo -S` with the password asked */
	const void *input;
	size_t input_len;
	remote_source source; /* instead of input */
	int input_fd;         /* > 0: instead of both, as it comes; its end is the end of the input */
	remote_decode decode; /* of input_fd, whose end is then -EPIPE; NULL: plain bytes */
	const bool *hold;     /* input_fd is not read while this is true (the sink may change it); NULL: read at once */
	int stop_fd;          /* > 0: the command ends with -ECANCELED once this is readable */
	bool tty;             /* in a terminal of that size */
	int rows, columns;
	remote_sink sink;   /* NULL: output is thrown away */
	void *data;         /* of source, decode and sink */
	int64_t timeout_ms; /* whole command; 0: 10 minutes; negative: none */
};

/* Runs it in a channel of its own. `ret_status`: exit status, 128+n for signal n. */
int remote_exec(struct remote *remote, const struct remote_command *command, int *ret_status, struct err *err);
/* As remote_exec; keeps standard output in `output` (may be NULL; 1 MiB at most), and a non-zero status is -EIO whose
 * message ends with the last line of standard error. */
int remote_checked(struct remote *remote, const struct remote_command *command, struct buf *output, struct err *err);

/* Copies what `fd` gives from its present position on to `path`: complete or not at all (renamed into place), `mode`
 * its permissions. Resumes nothing; an equal file that is there already (size and sha256) is not sent again. */
int remote_put(struct remote *remote, int fd, const char *path, mode_t mode, bool sudo, struct err *err);
/* The other way. `fd` gets the file's bytes. */
int remote_get(struct remote *remote, const char *path, int fd, bool sudo, struct err *err);

/*
 * A Unix socket that only this process can reach: it has no name in any directory, and `ret_path` (borrowed) goes
 * through /proc/self, so that a program that is killed leaves nothing behind. Every connection to it becomes a channel
 * that runs `argv` on the host, its bytes going to and fro (as `docker` does with dial-stdio). Served by a thread until
 * remote_dial_stop; the session is its own.
 */
int remote_dial_start(const struct remote_host *host, const struct remote_options *options, const struct strv *argv,
		      bool sudo, struct remote_dial **ret, const char **ret_path, struct err *err);
void remote_dial_stop(struct remote_dial *dial);
/* What went wrong last behind the socket, where a connection can only be closed; NULL: nothing. The caller owns it. */
char *remote_dial_trouble(struct remote_dial *dial);
/* Whom the host let in. Borrowed. */
const char *remote_dial_user(const struct remote_dial *dial);

/* One argv as one line for a POSIX shell. The caller owns it. */
char *remote_quote(const struct strv *argv);

/*
 * Runs `each` for every index below n on at most `parallel` threads (small stacks). `each` gets an index and runs to
 * its end; the order of beginning is the index's. Returns when all are done.
 */
typedef void (*remote_each_fn)(void *data, size_t index);
void remote_fan_out(size_t n, unsigned parallel, remote_each_fn each, void *data);

#endif
