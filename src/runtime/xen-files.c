/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files into a machine, and sockets in it: by SSH while it runs, on its disk while it does not. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/i18n.h"
#include "base/text.h"
#include "runtime/node-root.h"
#include "runtime/xen.h"
#include "ssh/mux.h"

#define PUT_MS 120000
#define LOCK_MS 240000
#define CONNECT_MS 30000
#define DIAL_MS 30000
#define MOST_PATHS 64

/* Splits what `fetch_users` says. */
#define BETWEEN "tepuy-between-passwd-and-group"

/*
 * For each file: path, mode, uid:gid, size; the contents follow each other on standard input. All are written beside
 * their places first, then each is renamed over its own; whatever ends it removes what is not in its place.
 */
static const char put_script[] =
    "set -eu; umask 077; news=; trap 'for n in $news; do rm -f -- \"$n\"; done' EXIT; trap 'exit 1' HUP INT TERM PIPE; "
    "make() { d=${1%/*}; [ -d \"$d/\" ] || (umask 022; mkdir -p -- \"$d/\"); "
    "[ ! -d \"$1\" ] || [ -L \"$1\" ] || { echo \"$1 is a directory\" >&2; exit 21; }; "
    "n=$d/.tepuy-put.$$.$i; news=\"$news $n\"; head -c \"$4\" >\"$n\"; "
    "[ \"$(stat -c %s -- \"$n\")\" = \"$4\" ] || { echo \"$1 did not arrive whole\" >&2; exit 1; }; "
    "chown -- \"$3\" \"$n\"; chmod -- \"$2\" \"$n\"; }; "
    "i=0; count=$(($# / 4)); while [ $i -lt $count ]; do make \"$1\" \"$2\" \"$3\" \"$4\"; "
    "set -- \"$@\" \"$1\" \"$n\"; shift 4; i=$((i+1)); done; "
    "while [ $# -gt 0 ]; do mv -fT -- \"$2\" \"$1\"; shift 2; done";

static int command_once(struct xen *xen, const struct xen_node *node, const struct xen_record *record,
			const struct remote_command *command, struct buf *output, bool *ret_kept, struct err *err)
{
	struct remote *remote = NULL;
	int r = xen_session(xen, node, record->run, false, CONNECT_MS, &remote, ret_kept, err);

	if (r < 0)
		return r;
	r = xen_command(remote, command, output, err);
	if (r == 0 || r == -EIO)
		xen_session_back(xen, node->name, record->run, remote);
	else
		remote_close(remote);
	return r;
}

int xen_repeat_command(struct xen *xen, const struct xen_node *node, const struct xen_record *record,
		       const struct remote_command *command, struct buf *output, struct err *err)
{
	bool kept = true;
	int r = -EHOSTUNREACH;

	for (int i = 0; i < XEN_IDLE + 1 && kept && (r == -EHOSTUNREACH || r == -ETIMEDOUT); i++)
		r = command_once(xen, node, record, command, output, &kept, err);
	return r;
}

static bool any_owner(const struct runtime_file *files, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (files[i].owner)
			return true;
	return false;
}

/* The machine's users, as two texts. */
static int fetch_users(struct xen *xen, const struct xen_node *node, const struct xen_record *record, struct buf *to,
		       const char **ret_group, struct err *err)
{
	_cleanup_strv_ struct strv argv = { 0 };
	struct remote_command command = { .argv = &argv, .timeout_ms = PUT_MS };
	char *between;
	int r;

	strv_add_all(&argv, "/bin/sh", "-c", "cat /etc/passwd; echo " BETWEEN "; cat /etc/group", NULL);
	r = xen_repeat_command(xen, node, record, &command, to, err);
	if (r < 0)
		return r;
	between = strstr(buf_text(to), BETWEEN "\n");
	if (!between)
		return err_set(err, EBADMSG, _("The machine %s did not tell its users"), node->name);
	*between = '\0';
	*ret_group = between + strlen(BETWEEN "\n");
	return 0;
}

/* The script's arguments and its input. */
static int describe(const struct runtime_file *files, size_t n, const char *passwd, const char *group,
		    struct strv *argv, struct buf *input, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		const struct runtime_file *file = &files[i];
		uid_t uid = 0;
		gid_t gid = 0;
		int r = file->owner ? node_owner(file->owner, passwd, group, &uid, &gid, err) : 0;

		if (r < 0)
			return r;
		strv_add(argv, file->path);
		strv_addf(argv, "%o", (unsigned)file->mode & 07777);
		strv_addf(argv, "%u:%u", uid, gid);
		strv_addf(argv, "%zu", file->len);
		if (file->len)
			buf_add(input, file->data, file->len);
	}
	return 0;
}

static int put_running(struct xen *xen, const struct xen_node *node, const struct xen_record *record,
		       const struct runtime_file *files, size_t n, struct err *err)
{
	_cleanup_strv_ struct strv argv = { 0 };
	struct buf users = { 0 }, input = { 0 };
	const char *group = "";
	struct remote_command command = { .argv = &argv, .timeout_ms = PUT_MS };
	int r = any_owner(files, n) ? fetch_users(xen, node, record, &users, &group, err) : 0;

	strv_add_all(&argv, "/bin/sh", "-c", put_script, "tepuy", NULL);
	r = r < 0 ? r : describe(files, n, buf_text(&users), group, &argv, &input, err);
	command.input = input.data;
	command.input_len = input.len;
	if (r == 0)
		r = xen_repeat_command(xen, node, record, &command, NULL, err);
	if (input.data)
		explicit_bzero(input.data, input.cap);
	buf_release(&input);
	buf_release(&users);
	return r < 0 && err && r == -EIO ? err_wrap(err, _("Cannot write %s in the node"), n ? files[0].path : "") : r;
}

static int put_stopped(struct xen *xen, const char *id, const struct runtime_file *files, size_t n, struct err *err)
{
	const struct xen_config *config;
	_cleanup_(xen_unmountp) struct xen_mount mount = XEN_MOUNT_INIT;
	_cleanup_(closep) int lock = -1;
	_cleanup_(freep) char *disk = NULL;
	bool present;
	int r = xen_config_of(xen, &config, err);

	if (r < 0)
		return r;
	lock = xen_lock_node(config, id, LOCK_MS, err);
	r = lock < 0 ? lock : xen_domain_runs(xen, id, &present, err);
	if (r == 0 && present)
		return -EAGAIN;                    /* it was just started */
	r = r < 0 ? r : xen_destroy(xen, id, err); /* one that has ended has its disk until it is cleared away */
	disk = xen_node_disk(config, id);
	r = r < 0 ? r : xen_mount(disk, false, &mount, err);
	r = r < 0 ? r : node_root_put(mount.root, files, n, err);
	return r < 0 ? r : xen_unmount(&mount, err);
}

static int check_paths(const struct runtime_file *files, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++)
		if (!node_path_is_sane(files[i].path))
			return err_set(err, EINVAL,
				       _("'%s' is no path for a file in a node: give an absolute one without '..'"),
				       files[i].path);
	return 0;
}

static int put_once(struct xen *xen, const char *id, const struct runtime_file *files, size_t n, struct err *err)
{
	_cleanup_xen_node_ struct xen_node node = { 0 };
	struct xen_record record = { 0 };
	bool has_record, present = false;
	int r = xen_load_node(xen, id, &node, &record, &has_record, err);

	if (r == 0 && !has_record)
		r = err_set(err, EIO, _("The node %s was never completed; remove it and make it again"), id);
	if (r < 0)
		return r;
	if (record.phase == XEN_RUNNING) {
		present = xen_has_session(xen, id, record.run);
		r = present ? 0 : xen_domain_runs(xen, id, &present, err);
	}
	if (r < 0)
		return r;
	return present ? put_running(xen, &node, &record, files, n, err) : put_stopped(xen, id, files, n, err);
}

int xen_put(struct runtime *rt, const char *id, const struct runtime_file *files, size_t n, struct err *err)
{
	struct xen *xen = xen_of(rt);
	bool present = true;
	int r = check_paths(files, n, err);

	if (r < 0)
		return r;
	r = put_once(xen, id, files, n, err);
	/* It ended or began between the two looks. */
	if (r == -EHOSTUNREACH || r == -ETIMEDOUT || r == -ECONNREFUSED) {
		xen_forget_sessions(xen, id);
		if (xen_domain_runs(xen, id, &present, NULL) == 0 && !present)
			r = -EAGAIN;
	}
	return r == -EAGAIN ? put_once(xen, id, files, n, err) : r;
}

/* The machine's mux, opened when it is first dialed; give it back with done_dialing. */
static struct mux *borrow_mux(struct xen *xen, const char *name, int64_t run)
{
	struct mux *mux = NULL;

	pthread_mutex_lock(&xen->lock);
	for (size_t i = 0; i < xen->n_guests; i++) {
		struct xen_guest *guest = xen->guests[i];

		if (!strcmp(guest->name, name) && guest->run == run && guest->mux && mux_is_alive(guest->mux)) {
			guest->dialing++;
			mux = guest->mux;
		}
	}
	pthread_mutex_unlock(&xen->lock);
	return mux;
}

static void done_dialing(struct xen *xen, const struct mux *mux)
{
	bool stale = false;
	_cleanup_(freep) char *name = NULL;

	pthread_mutex_lock(&xen->lock);
	for (size_t i = 0; i < xen->n_guests; i++)
		if (xen->guests[i]->mux == mux) {
			xen->guests[i]->dialing--;
			stale = xen->guests[i]->run < 0 && !xen->guests[i]->dialing;
			name = stale ? xstrdup(xen->guests[i]->name) : NULL;
		}
	pthread_mutex_unlock(&xen->lock);
	if (stale)
		xen_forget_sessions(xen, name);
}

static int open_mux(struct xen *xen, const struct xen_node *node, const struct xen_record *record, struct mux **ret,
		    struct err *err)
{
	struct remote *remote = NULL;
	struct mux *mux = NULL, *old = NULL;
	bool kept;
	int r = xen_session(xen, node, record->run, true, CONNECT_MS, &remote, &kept, err);

	r = r < 0 ? r : mux_new(remote, &mux, err);
	if (r < 0)
		return r;
	*ret = xen_keep_mux(xen, node->name, record->run, mux, &old);
	mux_free(old);
	return *ret ? 0 : err_set(err, EAGAIN, _("Too many machines are dialed at once"));
}

/* Why a socket cannot be opened is not told over SSH. */
static int explain_dial(struct xen *xen, const struct xen_node *node, const struct xen_record *record, const char *path,
			int code, struct err *err)
{
	_cleanup_strv_ struct strv argv = { 0 };
	struct remote_command command = { .argv = &argv, .timeout_ms = DIAL_MS };
	_cleanup_buf_ struct buf output = { 0 };

	strv_add_all(&argv, "/bin/sh", "-c",
		     "if [ -S \"$1\" ]; then echo socket; elif [ -e \"$1\" ]; then echo other; else echo none; fi",
		     "tepuy", path, NULL);
	if (xen_repeat_command(xen, node, record, &command, &output, NULL) < 0)
		return err_errno(err, -code, _("Cannot connect to the socket %s in the node"), path);
	if (text_starts(buf_text(&output), "none"))
		return err_errno(err, ENOENT, _("Cannot open the socket %s in the node"), path);
	if (text_starts(buf_text(&output), "other"))
		return err_set(err, ENOTSOCK, _("%s in the node is not a socket"), path);
	return err_errno(err, ECONNREFUSED, _("Cannot connect to the socket %s in the node"), path);
}

int xen_dial(struct runtime *rt, const char *id, const char *path, int *ret_fd, struct err *err)
{
	struct xen *xen = xen_of(rt);
	_cleanup_xen_node_ struct xen_node node = { 0 };
	_cleanup_(closep) int ours = -1;
	struct xen_record record;
	struct mux *mux;
	int pair[2], r = xen_find_running(xen, id, &node, &record, err);

	if (r < 0)
		return r;
	mux = borrow_mux(xen, id, record.run);
	r = mux ? 0 : open_mux(xen, &node, &record, &mux, err);
	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		r = err_errno(err, errno, _("Cannot make a socket"));
	else {
		ours = pair[0];
		r = mux_add_socket(mux, pair[1], path, DIAL_MS, NULL);
	}
	done_dialing(xen, mux);
	if (r == -ECONNREFUSED)
		return explain_dial(xen, &node, &record, path, r, err);
	if (r < 0)
		return err_errno(err, -r, _("Cannot connect to the socket %s in the node"), path);
	*ret_fd = ours;
	ours = -1;
	return 0;
}
