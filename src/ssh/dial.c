/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/i18n.h"
#include "ssh/mux.h"

struct remote_dial {
	struct mux *mux;
	int node;   /* O_PATH of the socket, which has no name any more */
	char *path; /* "/proc/self/fd/<node>" */
	char *user;
};

static int make_socket(const char *dir, int *ret_listener, int *ret_node, struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_(closep) int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), node = -1;
	_cleanup_(freep) char *path = xasprintf("%s/agent.sock", dir);

	if (listener < 0)
		return err_errno(err, errno, _("Cannot open a socket"));
	if (strlen(path) >= sizeof(address.sun_path))
		return err_set(err, ENAMETOOLONG, _("The path of the socket %s is too long"), path);
	strcpy(address.sun_path, path);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(listener, 16) < 0)
		return err_errno(err, errno, _("Cannot make the socket %s"), path);
	node = open(path, O_PATH | O_CLOEXEC);
	unlink(path);
	if (node < 0)
		return err_errno(err, errno, _("Cannot make the socket %s"), path);
	*ret_listener = listener;
	*ret_node = node;
	listener = node = -1;
	return 0;
}

/*
 * The socket loses its name as soon as it is there: a program that is killed leaves nothing behind, and nobody else can
 * get at it. A descriptor keeps it, and /proc gives that one a path.
 */
static int make_nameless(int *ret_listener, int *ret_node, struct err *err)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	_cleanup_(freep) char *dir =
	    xasprintf("%s/tepuy-dial-XXXXXX", runtime && *runtime && access(runtime, W_OK) == 0 ? runtime : "/tmp");
	int r;

	if (!mkdtemp(dir)) /* mode 0700 */
		return err_errno(err, errno, _("Cannot make a directory for a socket"));
	r = make_socket(dir, ret_listener, ret_node, err);
	rmdir(dir);
	return r;
}

int remote_dial_start(const struct remote_host *host, const struct remote_options *options, const struct strv *argv,
		      bool sudo, struct remote_dial **ret, const char **ret_path, struct err *err)
{
	struct remote *remote = NULL;
	struct remote_dial *dial;
	int listener = -1, node = -1, r = make_nameless(&listener, &node, err);

	if (r < 0)
		return r;
	r = remote_open(host, options, &remote, err);
	if (r < 0) {
		close(listener);
		close(node);
		return r;
	}
	dial = xcalloc(1, sizeof(*dial));
	dial->node = node;
	dial->user = xstrdup(remote->user);
	dial->path = xasprintf("/proc/self/fd/%d", node);
	r = mux_listen(remote, listener, argv, sudo, &dial->mux, err);
	if (r < 0) {
		remote_dial_stop(dial);
		return r;
	}
	*ret = dial;
	*ret_path = dial->path;
	return 0;
}

void remote_dial_stop(struct remote_dial *dial)
{
	if (!dial)
		return;
	mux_free(dial->mux);
	close(dial->node);
	free(dial->path);
	free(dial->user);
	free(dial);
}

char *remote_dial_trouble(struct remote_dial *dial)
{
	return mux_trouble(dial->mux);
}

const char *remote_dial_user(const struct remote_dial *dial)
{
	return dial->user;
}

int session_through(struct remote_dial *dial, const char *host, uint16_t port, struct err *err)
{
	return mux_forward(dial->mux, host, port, err);
}
