/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files into a node, and sockets in it: from the host while it runs, through the Engine's archives while it does not.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/i18n.h"
#include "runtime/docker.h"
#include "runtime/node-root.h"
#include "runtime/tar.h"

#define MOST_PASSWD (1u << 20)
#define PUT_MS 60000

/* A file of a container that does not run, as the Engine packs it; left empty when there is none. */
static int fetch(struct docker *docker, const char *id, const char *file, struct buf *to, struct err *err)
{
	_cleanup_(freep) char *path = xasprintf("/containers/%s/archive?path=%s", id, file);
	_cleanup_(http_reply_release) struct http_reply reply = { 0 };
	struct http_request request = { .method = "GET", .path = path, .most = MOST_PASSWD + 4 * TAR_BLOCK };
	const char *content;
	size_t len;
	int r = docker_request(docker, &request, &reply, err);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	if (tar_first_file(reply.body.data, reply.body.len, &content, &len) == 0)
		buf_add(to, content, len);
	return 0;
}

static bool any_owner(const struct runtime_file *files, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (files[i].owner)
			return true;
	return false;
}

static int pack(const struct runtime_file *files, size_t n, const char *passwd, const char *group, struct buf *to,
		struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		const struct runtime_file *file = &files[i];
		struct tar_entry entry = { .name = file->path + 1, .size = file->len, .mode = file->mode, .type = '0' };
		int r = 0;

		if (!node_path_is_sane(file->path))
			return err_set(err, EINVAL,
				       _("'%s' is no path for a file in a node: give an absolute one without '..'"),
				       file->path);
		if (file->owner)
			r = node_owner(file->owner, passwd, group, &entry.uid, &entry.gid, err);
		if (r < 0)
			return r;
		tar_add_head(to, &entry);
		buf_add(to, file->data, file->len);
		tar_add_padding(to, file->len);
	}
	tar_add_end(to);
	return 0;
}

/* Nobody in it sees them: the Engine unpacks them, in a chroot of its own. */
static int put_stopped(struct docker *docker, const char *id, const struct runtime_file *files, size_t n,
		       struct err *err)
{
	_cleanup_(freep) char *path = xasprintf("/containers/%s/archive?path=/&noOverwriteDirNonDir=1", id);
	_cleanup_buf_ struct buf passwd = { 0 }, group = { 0 }, tar = { 0 };
	struct http_request request = {
		.method = "PUT", .path = path, .timeout_ms = PUT_MS, .content_type = "application/x-tar"
	};
	int r = 0;

	if (any_owner(files, n)) {
		r = fetch(docker, id, "/etc/passwd", &passwd, err);
		if (r == 0)
			r = fetch(docker, id, "/etc/group", &group, err);
	}
	if (r == 0)
		r = pack(files, n, buf_text(&passwd), buf_text(&group), &tar, err);
	if (r < 0)
		return r;
	request.body = tar.data;
	request.body_len = tar.len;
	return docker_request(docker, &request, NULL, err);
}

static int put_once(struct docker *docker, const char *id, const struct runtime_file *files, size_t n, struct err *err)
{
	_cleanup_container_ struct docker_container container = { 0 };
	_cleanup_(closep) int root_fd = -1;
	int r = docker_find(docker, id, &container, err);

	if (r < 0)
		return r;
	if (container.node.state != RUNTIME_RUNNING || !container.node.pid)
		return put_stopped(docker, container.node.id, files, n, err);
	r = node_root_open(container.node.pid, container.node.id, &root_fd, err);
	return r < 0 ? r : node_root_put(root_fd, files, n, err);
}

int docker_put(struct runtime *rt, const char *id, const struct runtime_file *files, size_t n, struct err *err)
{
	struct docker *docker = docker_of(rt);
	int r = put_once(docker, id, files, n, err);

	/* It ended between the two looks: then it is a stopped one, or a new run of it. */
	return r == -ESRCH ? put_once(docker, id, files, n, err) : r;
}

/* The process of a node that was dialed before, 0: not known. It may have ended since, which node_root_open notices. */
static pid_t recall(struct docker *docker, const char *id)
{
	pid_t pid = 0;

	pthread_mutex_lock(&docker->lock);
	for (size_t i = 0; i < DOCKER_DIALED; i++)
		if (!strcmp(docker->dialed[i].id, id))
			pid = docker->dialed[i].pid;
	pthread_mutex_unlock(&docker->lock);
	return pid;
}

static void remember(struct docker *docker, const char *id, pid_t pid)
{
	struct docker_dialed *dialed = NULL;

	pthread_mutex_lock(&docker->lock);
	for (size_t i = 0; i < DOCKER_DIALED; i++)
		if (!strcmp(docker->dialed[i].id, id))
			dialed = &docker->dialed[i];
	if (!dialed)
		dialed = &docker->dialed[docker->n_dialed++ % DOCKER_DIALED];
	snprintf(dialed->id, sizeof(dialed->id), "%s", id);
	dialed->pid = pid;
	pthread_mutex_unlock(&docker->lock);
}

/* Asking the Engine takes longer than all the rest of a change that goes to a proxy's socket. */
static int open_root(struct docker *docker, const char *id, int *ret_fd, struct err *err)
{
	_cleanup_container_ struct docker_container container = { 0 };
	pid_t known = recall(docker, id);
	int r;

	if (known && node_root_open(known, id, ret_fd, NULL) == 0)
		return 0;
	r = docker_find_running(docker, id, &container, err);
	if (r == 0)
		r = node_root_open(container.node.pid, container.node.id, ret_fd, err);
	if (r == 0 && !strcmp(container.node.id, id))
		remember(docker, id, container.node.pid);
	return r;
}

int docker_dial(struct runtime *rt, const char *id, const char *path, int *ret_fd, struct err *err)
{
	_cleanup_(closep) int root_fd = -1;
	int r = open_root(docker_of(rt), id, &root_fd, err);

	return r < 0 ? r : node_root_dial(root_fd, path, ret_fd, err);
}
