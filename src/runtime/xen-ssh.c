/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sessions with machines. A few are kept open for each, as a handshake takes longer than most of what is asked; each is
 * used by one thread at a time. What lasts (logs that are followed, interactive programs) has one of its own.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/i18n.h"
#include "runtime/xen.h"
#include "ssh/mux.h"

#define SIGNAL_MS 20000
#define SILENCE_MS 30000
#define MOST_HEAD 65536 /* bytes before the program's own output */

static void guest_free(struct xen_guest *guest)
{
	while (guest->n_idle)
		remote_close(guest->idle[--guest->n_idle]);
	mux_free(guest->mux);
	free(guest->name);
	free(guest);
}

static struct xen_guest *find(struct xen *xen, const char *name)
{
	for (size_t i = 0; i < xen->n_guests; i++)
		if (!strcmp(xen->guests[i]->name, name))
			return xen->guests[i];
	return NULL;
}

/* Taken out of the table; the caller frees it without the lock, as that takes time. One that is being dialed stays. */
static struct xen_guest *take_out(struct xen *xen, const struct xen_guest *guest)
{
	for (size_t i = 0; i < xen->n_guests; i++)
		if (xen->guests[i] == guest && !guest->dialing) {
			struct xen_guest *out = xen->guests[i];

			xen->guests[i] = xen->guests[--xen->n_guests];
			return out;
		}
	return NULL;
}

static struct xen_guest *oldest(struct xen *xen)
{
	struct xen_guest *old = xen->guests[0];

	for (size_t i = 1; i < xen->n_guests; i++)
		if (xen->guests[i]->used < old->used)
			old = xen->guests[i];
	return old;
}

void xen_forget_sessions(struct xen *xen, const char *name)
{
	for (;;) {
		struct xen_guest *guest, *out = NULL;

		pthread_mutex_lock(&xen->lock);
		guest = name ? find(xen, name) : xen->n_guests ? xen->guests[0] : NULL;
		if (guest && guest->dialing)
			guest->run = -1; /* whoever dials leaves it to be dropped */
		else if (guest)
			out = take_out(xen, guest);
		pthread_mutex_unlock(&xen->lock);
		if (!out)
			return;
		guest_free(out);
		if (name)
			return;
	}
}

bool xen_has_session(struct xen *xen, const char *name, int64_t run)
{
	const struct xen_guest *guest;
	bool has;

	pthread_mutex_lock(&xen->lock);
	guest = find(xen, name);
	has = guest && guest->run == run && (guest->n_idle || (guest->mux && mux_is_alive(guest->mux)));
	pthread_mutex_unlock(&xen->lock);
	return has;
}

static struct remote *take_idle(struct xen *xen, const char *name, int64_t run)
{
	struct xen_guest *guest;
	struct remote *remote = NULL;

	pthread_mutex_lock(&xen->lock);
	guest = find(xen, name);
	if (guest && guest->run == run && guest->n_idle)
		remote = guest->idle[--guest->n_idle];
	pthread_mutex_unlock(&xen->lock);
	return remote;
}

int xen_session(struct xen *xen, const struct xen_node *node, int64_t run, bool fresh, int64_t connect_ms,
		struct remote **ret, bool *ret_kept, struct err *err)
{
	const struct xen_config *config;
	_cleanup_(freep) char *key = NULL;
	struct remote_host host = { .name = node->name, .user = "root", .fingerprint = node->fingerprint, .port = 22 };
	struct remote_options options = { 0 };
	int r = xen_config_of(xen, &config, err);

	if (r < 0)
		return r;
	if (!node->n_networks || !node->fingerprint)
		return err_set(err, EOPNOTSUPP, _("The machine %s has no network, so nothing can be asked of it"),
			       node->name);
	*ret_kept = false;
	*ret = fresh ? NULL : take_idle(xen, node->name, run);
	if (*ret) {
		*ret_kept = true;
		return 0;
	}
	key = fs_join(config->directory, "key");
	host.address = node->networks[0].address;
	options.identity = key;
	options.connect_ms = xen_patience(config, connect_ms);
	options.silence_ms = xen_patience(config, SILENCE_MS);
	return remote_open(&host, &options, ret, err);
}

/* The entry of a machine, made when there is none; `*ret_out` is to be freed by the caller without the lock. */
static struct xen_guest *enter(struct xen *xen, const char *name, int64_t run, struct xen_guest **ret_out)
{
	struct xen_guest *guest = find(xen, name);

	*ret_out = NULL;
	if (guest && guest->run != run && !guest->dialing) {
		*ret_out = take_out(xen, guest);
		guest = NULL;
	}
	if (!guest) {
		if (xen->n_guests == XEN_GUESTS && !*ret_out)
			*ret_out = take_out(xen, oldest(xen));
		if (xen->n_guests == XEN_GUESTS)
			return NULL;
		guest = xcalloc(1, sizeof(*guest));
		guest->name = xstrdup(name);
		guest->run = run;
		xen->guests[xen->n_guests++] = guest;
	}
	guest->used = clock_monotonic_ms();
	return guest->run == run ? guest : NULL;
}

void xen_session_back(struct xen *xen, const char *name, int64_t run, struct remote *remote)
{
	struct xen_guest *guest, *out;

	pthread_mutex_lock(&xen->lock);
	guest = enter(xen, name, run, &out);
	if (guest && guest->n_idle < XEN_IDLE) {
		guest->idle[guest->n_idle++] = remote;
		remote = NULL;
	}
	pthread_mutex_unlock(&xen->lock);
	remote_close(remote);
	if (out)
		guest_free(out);
}

struct mux *xen_keep_mux(struct xen *xen, const char *name, int64_t run, struct mux *mux, struct mux **ret_old)
{
	struct xen_guest *guest, *out;

	pthread_mutex_lock(&xen->lock);
	guest = enter(xen, name, run, &out);
	*ret_old = mux;
	if (guest && guest->mux && (mux_is_alive(guest->mux) || guest->dialing)) {
		mux = guest->mux; /* another was quicker */
	} else if (guest) {
		*ret_old = guest->mux;
		guest->mux = mux;
	} else {
		mux = NULL;
	}
	if (mux)
		guest->dialing++;
	pthread_mutex_unlock(&xen->lock);
	if (out)
		guest_free(out);
	return mux;
}

int xen_command(struct remote *remote, const struct remote_command *command, struct buf *output, struct err *err)
{
	return remote_checked(remote, command, output, err);
}

/*
 * $1 token, $2 user or "", then the program. sshd makes what it runs the leader of a session, whose number is told
 * first: the program and its children can then be reached. 126 as a shell's for a user that is not there.
 */
static const char wrapper[] =
    "cd /; printf '%s %s\\n' \"$1\" $$ >&2; u=$2; shift 2; [ \"$u\" ] || exec \"$@\"; "
    "g=${u#*:}; [ \"$g\" != \"$u\" ] || g=; u=${u%%:*}; k=--init-groups; id -u -- \"$u\" >/dev/null 2>&1 || "
    "{ k=--clear-groups; case $u in *[!0-9]*) echo \"no user $u\" >&2; exit 126;; esac; }; "
    "[ \"$g\" ] || g=$(id -g -- \"$u\" 2>/dev/null) || g=$u; "
    "exec setpriv --reuid=\"$u\" --regid=\"$g\" $k -- \"$@\"";

void xen_program_init(struct xen_program *program, const struct xen_node *node, const char *user,
		      const struct strv *argv)
{
	uint64_t number[2] = { (uint64_t)clock_monotonic_ms(), 0 };

	*program = (struct xen_program){ .hold = true };
	if (getrandom(number, sizeof(number), 0) < 0)
		number[1] = (uint64_t)(uintptr_t)program;
	snprintf(program->token, sizeof(program->token), "%016llx%016llx", (unsigned long long)number[0],
		 (unsigned long long)number[1]);
	strv_add_all(&program->argv, "/bin/sh", "-c", wrapper, "tepuy", program->token, user ? user : "", "env",
		     "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL);
	strv_copy(&program->argv, &node->env);
	strv_copy(&program->argv, argv);
}

void xen_program_release(struct xen_program *program)
{
	strv_release(&program->argv);
	buf_release(&program->head);
}

void xen_program_again(struct xen_program *program)
{
	program->head.len = program->searched = 0;
}

int xen_program_feed(struct xen_program *program, const char *bytes, size_t len, const char **ret, size_t *ret_len)
{
	size_t token_len = strlen(program->token);
	const char *end;

	*ret = bytes;
	*ret_len = len;
	if (!program->hold || !len)
		return 0;
	*ret_len = 0;
	buf_add(&program->head, bytes, len);
	for (;;) {
		const char *line = program->head.data + program->searched, *token;

		end = memchr(line, '\n', program->head.len - program->searched);
		if (!end)
			return program->head.len > MOST_HEAD ? -EBADMSG : 0;
		program->searched = (size_t)(end + 1 - program->head.data);
		token = memmem(line, (size_t)(end - line), program->token, token_len);
		if (token) {
			program->group = atoi(token + token_len);
			break;
		}
	}
	program->hold = false;
	*ret = end + 1;
	*ret_len = program->head.len - program->searched;
	return 0;
}

void xen_program_signal(struct xen *xen, const struct xen_node *node, int64_t run, const struct xen_program *program,
			const char *signal)
{
	_cleanup_strv_ struct strv argv = { 0 };
	struct remote_command command = { .argv = &argv, .timeout_ms = SIGNAL_MS };
	struct remote *remote = NULL;
	bool kept;

	if (program->group <= 1)
		return;
	/* The shell's own: a machine need not have procps. */
	strv_add_all(&argv, "/bin/sh", "-c", "kill -s \"$1\" -- \"$2\"", "tepuy", signal, NULL);
	strv_addf(&argv, "-%d", program->group);
	if (xen_session(xen, node, run, false, SIGNAL_MS, &remote, &kept, NULL) < 0)
		return;
	/* Gone already is as good. */
	if (remote_checked(remote, &command, NULL, NULL) == -EHOSTUNREACH)
		remote_close(remote);
	else
		xen_session_back(xen, node->name, run, remote);
}
